"""The tray on panels that know only XEmbed, where a click on the icon is all there is."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from background import need
from desktop.processes import session_bus, trayer, x_server
from desktop.running_tray import RunningTray
from desktop.screen import Screen
from desktop.session import Desktop
from desktop.tray_script import COLOURS
from waiting import wait_for

Show = Callable[..., RunningTray]
Environment = dict[str, str]

BLACK = (0, 0, 0)
RUNNING, ERROR = COLOURS["running"], COLOURS["error"]


@pytest.fixture
def env(desktop_session: Desktop) -> Iterator[Environment]:
    """Give an environment with a session bus of its own, on which there is no panel."""
    need("trayer")
    desktop_session.stop_panel()
    with session_bus(desktop_session.env) as address:
        yield {**desktop_session.env, "DBUS_SESSION_BUS_ADDRESS": address}


def test_a_click_on_the_icon_runs_the_default_line(desktop_session: Desktop, env: Environment, show: Show) -> None:
    with trayer(env):
        wait_for(desktop_session.screen.has_xembed_tray, "an XEmbed tray")
        tray = show(env)
        place = wait_for(lambda: desktop_session.screen.middle_of(RUNNING), "the icon")

        desktop_session.screen.click(place)

        wait_for(lambda: tray.clicks == ["open"], "the click")
        assert tray.name == "pystray on XEmbed"
        assert tray.is_shown()


def test_the_icon_follows_the_state(desktop_session: Desktop, env: Environment, show: Show) -> None:
    with trayer(env):
        wait_for(desktop_session.screen.has_xembed_tray, "an XEmbed tray")
        tray = show(env)
        wait_for(lambda: desktop_session.screen.middle_of(RUNNING), "the icon")

        tray.show(icon="error")

        wait_for(lambda: desktop_session.screen.middle_of(ERROR), "the other icon")


def test_the_panel_shows_through_where_the_icon_is_clear(
    desktop_session: Desktop, env: Environment, show: Show
) -> None:
    with trayer(env):
        wait_for(desktop_session.screen.has_xembed_tray, "an XEmbed tray")
        show(env)
        wait_for(lambda: desktop_session.screen.middle_of(RUNNING), "the icon")

        image = desktop_session.screen.image()

        around_the_corner, in_the_corner = image.getpixel((0, 0)), image.getpixel((2, 2))
        assert in_the_corner == around_the_corner != BLACK


def test_the_icon_comes_back_with_the_panel(desktop_session: Desktop, env: Environment, show: Show) -> None:
    with trayer(env):
        wait_for(desktop_session.screen.has_xembed_tray, "an XEmbed tray")
        tray = show(env)
        wait_for(lambda: desktop_session.screen.middle_of(RUNNING), "the icon")
    wait_for(lambda: not tray.is_shown(), "the tray knows that it is not shown")

    with trayer(env):
        place = wait_for(lambda: desktop_session.screen.middle_of(RUNNING), "the icon again")
        desktop_session.screen.click(place)
        wait_for(lambda: tray.clicks == ["open"], "the click")


def test_a_panel_without_a_session_bus_is_enough(desktop_session: Desktop, env: Environment, show: Show) -> None:
    del env["DBUS_SESSION_BUS_ADDRESS"]
    with trayer(env):
        wait_for(desktop_session.screen.has_xembed_tray, "an XEmbed tray")
        tray = show(env)

        wait_for(lambda: desktop_session.screen.middle_of(RUNNING), "the icon")

        assert tray.name == "pystray on XEmbed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second(desktop_session: Desktop, env: Environment, show: Show, number: int) -> None:
    with trayer(env):
        wait_for(desktop_session.screen.has_xembed_tray, "an XEmbed tray")
        tray = show(env)
        wait_for(lambda: desktop_session.screen.middle_of(RUNNING), "the icon")
        sent = time.monotonic()

        tray.send_signal(number)

        assert tray.wait_for_end() == 0
        assert time.monotonic() - sent < 1


def test_the_end_of_the_display_ends_the_tray(env: Environment, show: Show) -> None:
    with ExitStack() as parts:
        env["DISPLAY"] = parts.enter_context(x_server(env))
        parts.enter_context(trayer(env))
        screen = parts.enter_context(closing(Screen(env["DISPLAY"])))
        wait_for(screen.has_xembed_tray, "an XEmbed tray")
        tray = show(env)
        wait_for(lambda: screen.middle_of(RUNNING), "the icon")

    assert tray.wait_for_end() == 0
    wait_for(lambda: any("the X display went away" in line for line in tray.log), "the reason in the log")
