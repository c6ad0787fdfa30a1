"""Panels that come late, go, and are replaced by panels of the other kind."""

from collections.abc import Callable, Iterator

import pytest

from background import need
from desktop.processes import session_bus, trayer
from desktop.running_tray import RunningTray
from desktop.session import Desktop
from desktop.tray_script import COLOURS
from desktop.tray_user import Tray
from waiting import wait_for

Show = Callable[..., RunningTray]

RUNNING = COLOURS["running"]


@pytest.fixture
def empty_desktop(desktop_session: Desktop) -> Iterator[Desktop]:
    """Give the desktop without any panel."""
    need("trayer")
    desktop_session.stop_panel()
    yield desktop_session
    desktop_session.stop_panel()


def click_on(desktop: Desktop, tray: RunningTray) -> None:
    """Click on the icon with the mouse until the tray hears it."""
    place = wait_for(lambda: desktop.screen.middle_of(RUNNING), "the icon")
    desktop.screen.click(place)
    wait_for(lambda: tray.clicks, "the click")


def test_an_xembed_panel_that_comes_late_gets_the_icon(empty_desktop: Desktop, show: Show) -> None:
    tray = show(empty_desktop.env)
    assert tray.name == "StatusNotifier"
    assert not tray.is_shown()

    with trayer(empty_desktop.env):
        wait_for(tray.is_shown, "the icon", 20)

        click_on(empty_desktop, tray)


def test_an_xembed_panel_that_comes_late_gets_the_icon_without_a_session_bus(
    empty_desktop: Desktop, show: Show
) -> None:
    tray = show({**empty_desktop.env, "DBUS_SESSION_BUS_ADDRESS": ""})
    assert tray.name == "pystray on XEmbed"
    assert not tray.is_shown()

    with trayer(empty_desktop.env):
        wait_for(tray.is_shown, "the icon", 20)

        click_on(empty_desktop, tray)
    wait_for(lambda: not tray.is_shown(), "the end of the panel")
    tray.show(icon="error")
    tray.send_signal(15)
    assert tray.wait_for_end() == 0
    assert not any("Traceback" in line for line in tray.log)


def test_the_icon_moves_to_a_better_panel_and_back(empty_desktop: Desktop, show: Show) -> None:
    with trayer(empty_desktop.env):
        tray = show(empty_desktop.env)
        wait_for(tray.is_shown, "the icon in the old tray")
        assert tray.name == "pystray on XEmbed"

    empty_desktop.start_panel()
    empty_desktop.find_item(tray.pid)
    wait_for(tray.is_shown, "the icon on the new panel")
    empty_desktop.click(empty_desktop.find_item(tray.pid), "tools")
    wait_for(lambda: tray.clicks == ["tools"], "a click on the menu")

    empty_desktop.stop_panel()
    with trayer(empty_desktop.env):
        wait_for(lambda: empty_desktop.screen.middle_of(RUNNING), "the icon in the old tray again", 20)
        tray.send_signal(15)
        assert tray.wait_for_end() == 0
    assert tray.told("ended")


def test_a_panel_of_the_session_that_comes_late_gets_the_program(tray: Tray) -> None:
    tray.desktop.stop_panel()
    program = tray.program = tray.launch()
    wait_for(lambda: "Base URL" in program.printed, "the start")

    tray.desktop.start_panel()

    tray.item = tray.desktop.find_item(program.process.pid)
    tray.wait_until_it_runs()


def test_the_program_comes_back_with_a_new_panel(tray: Tray) -> None:
    tray.start().wait_until_it_runs()

    tray.desktop.restart_panel()

    tray.item = tray.desktop.find_item(tray.program.process.pid)
    tray.wait_until_it_runs()


@pytest.mark.parametrize("arguments", [(), ("--tray", "pystray")])
def test_on_an_xembed_panel_a_click_on_the_programs_icon_opens_its_page(
    empty_desktop: Desktop, tray: Tray, arguments: tuple[str, ...]
) -> None:
    empty_desktop.stop_panel()
    with session_bus(empty_desktop.env) as address, trayer(empty_desktop.env):
        wait_for(empty_desktop.screen.has_xembed_tray, "an XEmbed tray")
        tray.program = tray.launch(*arguments, DBUS_SESSION_BUS_ADDRESS=address)
        place = wait_for(empty_desktop.screen.middle_of_the_icon, "the icon")

        empty_desktop.screen.click(place)

        assert "/ui/enter?ticket=" in tray.opened()
        assert tray.is_serving()
        tray.program.send(15)
        assert tray.program.ended() == 0


def test_on_a_panel_that_knows_both_pystray_may_be_asked_for(tray: Tray) -> None:
    tray.program = tray.launch("--tray", "pystray")
    place = wait_for(tray.desktop.screen.middle_of_the_icon, "the icon")
    assert not tray.desktop.bus.items()

    tray.desktop.screen.click(place)

    assert "/ui/enter?ticket=" in tray.opened()


def test_none_shows_no_icon_where_there_is_a_panel(tray: Tray) -> None:
    tray.program = tray.launch("--tray", "none")

    wait_for(lambda: "There is no system tray: the tray was turned off" in tray.program.printed, "the sentence")

    assert tray.is_serving()
    assert tray.desktop.bus.item_of(tray.program.process.pid) is None
    assert tray.desktop.screen.is_panel_empty()


def test_sni_is_the_icon_with_the_menu(tray: Tray) -> None:
    tray.start("--tray", "sni").wait_until_it_runs()

    wait_for(
        lambda: "tray: StatusNotifier (the desktop shows StatusNotifier items)" in tray.log(), "its name in the log"
    )
