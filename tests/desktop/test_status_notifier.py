"""The tray over D-Bus on a real panel: taken, read, clicked, and still there after what panels do."""

import signal
import time
from collections.abc import Callable

import pytest

from desktop.panel_side import ITEM
from desktop.processes import session_bus
from desktop.running_tray import RunningTray
from desktop.screen import Point
from desktop.session import Desktop
from desktop.tray_script import COLOURS
from waiting import wait_for

Show = Callable[..., RunningTray]

RUNNING, ERROR = COLOURS["running"], COLOURS["error"]
CLICKS = 100


def icon_of(desktop: Desktop, colour: tuple[int, int, int] = RUNNING) -> Point:
    """Wait until the icon is drawn and return where."""
    place = wait_for(lambda: desktop.screen.middle_of(colour), "the icon on the screen")
    assert place is not None
    return place


def test_the_panel_takes_the_icon_and_draws_it(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)

    desktop.find_item(tray.pid)

    assert tray.name == "StatusNotifier"
    assert icon_of(desktop)
    wait_for(tray.is_shown, "the tray knows that it is shown")


def test_the_icon_on_the_screen_follows_the_state(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    icon_of(desktop, RUNNING)

    tray.show(icon="error")

    assert icon_of(desktop, ERROR)


def test_title_and_attention_follow_the_look(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)

    tray.show(title="The port is taken", attention=True)

    wait_for(lambda: desktop.bus.read_item(item, "Title") == "The port is taken", "the title")
    assert desktop.bus.read_item(item, "Status") == "NeedsAttention"
    assert desktop.bus.read_item(item, "ToolTip")[2] == "The port is taken"


def test_the_menu_is_read_as_it_was_written(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)

    menu = desktop.read_menu(desktop.find_item(tray.pid))

    assert [line.key for line in menu.children] == ["open", "count", "tools", "line", "copy", "quit"]
    assert [line.key for line in menu.find("copy").children] == ["copy-url", "copy-key"]
    assert menu.find("tools").label == "Run_tools & more"
    assert menu.find("tools").checked is False
    assert not menu.find("count").enabled
    assert menu.find("line").is_separator


def test_a_click_checks_a_line_and_its_id_stays(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)
    id_before = desktop.read_menu(item).find("tools").id

    desktop.click(item, "Run_tools")

    wait_for(lambda: desktop.read_menu(item).find("tools").checked, "the check")
    assert desktop.read_menu(item).find("tools").id == id_before
    assert tray.clicks == ["tools"]


def test_ids_stay_when_lines_come_and_go(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)
    id_before = desktop.read_menu(item).find("quit").id

    tray.show(lines=3)

    wait_for(lambda: len(desktop.read_menu(item).children) == 9, "three more lines")
    assert desktop.read_menu(item).find("quit").id == id_before


def test_a_disabled_line_takes_no_click(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)

    desktop.click(item, "count")
    desktop.click(item, "copy-url")

    wait_for(lambda: tray.clicks, "the click after it")
    assert tray.clicks == ["copy-url"]


def test_the_menu_is_looked_at_when_it_is_about_to_be_shown(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)
    desktop.read_menu(item)

    needs_update = desktop.bus.about_to_show(item)

    assert needs_update is False
    assert desktop.read_menu(item).find("count").label.startswith("Requests: ")


def test_no_click_is_lost_while_labels_change_50_times_a_second(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)
    tray.show(per_second=50)
    wait_for(lambda: desktop.read_menu(item).find("count").label != "Requests: 0", "changing labels")

    for _ in range(CLICKS):
        id_ = desktop.read_menu(item).find("tools").id
        count = desktop.read_menu(item).find("count").label
        wait_for(lambda count=count: desktop.read_menu(item).find("count").label != count, "another label")
        desktop.bus.click_id(item, id_)

    wait_for(lambda: len(tray.clicks) >= CLICKS, "all clicks")
    assert tray.clicks == ["tools"] * CLICKS


def test_a_click_on_the_icon_runs_the_default_line(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)

    desktop.screen.click(icon_of(desktop))

    wait_for(lambda: tray.clicks == ["open"], "the default line")


def test_an_open_menu_stays_open_and_clickable_while_it_changes(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    tray.show(per_second=2)
    desktop.screen.click(icon_of(desktop), button=3)
    box = wait_for(lambda: desktop.screen.menu_box(), "an open menu")
    opened = desktop.screen.image().crop(box)

    for _ in range(4):
        wait_for(lambda seen=opened: desktop.screen.image().crop(box) != seen, "the label changes on the screen")
        opened = desktop.screen.image().crop(box)
    assert desktop.screen.menu_box() == box
    desktop.screen.click(((box[0] + box[2]) // 2, (box[1] + box[3]) // 2))  # in the middle stands `tools`

    wait_for(lambda: tray.clicks == ["tools"], "the click with the mouse")


def test_the_icon_comes_back_with_the_panel(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    wait_for(tray.is_shown, "the icon")

    desktop.stop_panel()
    wait_for(lambda: not tray.is_shown(), "the tray knows that it is not shown")
    desktop.start_panel()

    desktop.click(desktop.find_item(tray.pid), "tools")
    wait_for(lambda: tray.clicks == ["tools"], "a click on the new panel")
    assert icon_of(desktop)


def test_a_panel_that_comes_late_gets_the_icon(desktop: Desktop, show: Show) -> None:
    desktop.stop_panel()
    tray = show(desktop.env)
    assert tray.name == "StatusNotifier"
    assert not tray.is_shown()

    desktop.start_panel()

    desktop.find_item(tray.pid)
    wait_for(tray.is_shown, "the icon")


def test_the_end_of_the_session_bus_ends_the_tray(desktop: Desktop, show: Show) -> None:
    with session_bus(desktop.env) as address:
        tray = show({**desktop.env, "DBUS_SESSION_BUS_ADDRESS": address}, "sni")
        assert tray.name == "StatusNotifier"

    assert tray.wait_for_end() == 0
    assert tray.told("ended")
    wait_for(lambda: any("the session bus went away" in line for line in tray.log), "the reason in the log")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_within_a_second_and_the_icon_goes(desktop: Desktop, show: Show, number: int) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)
    sent = time.monotonic()

    tray.send_signal(number)

    assert tray.wait_for_end() == 0
    assert time.monotonic() - sent < 1
    assert tray.told("ended")
    wait_for(lambda: not desktop.bus.has_owner(item.name), "the item's end")
    wait_for(lambda: desktop.screen.middle_of(RUNNING) is None, "an empty panel")


def test_the_menu_can_quit(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)

    desktop.click(desktop.find_item(tray.pid), "Quit")

    assert tray.wait_for_end() == 0


def test_cinnamon_reads_the_menu_its_own_way(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)
    menu = desktop.read_menu(item)
    tools, url = menu.find("tools").id, menu.find("copy-url").id

    properties = dict(desktop.bus.call_menu(item, "GetGroupProperties", "aias", [tools, url], ["label"])[0])
    unknown_ids = desktop.bus.call_menu(
        item, "EventGroup", "a(isvu)", [(tools, "clicked", ("i", 0), 0), (999, "clicked", ("i", 0), 0)]
    )[0]
    updates_needed, errors = desktop.bus.call_menu(item, "AboutToShowGroup", "ai", [0, 999])

    assert properties == {tools: {"label": ("s", "Run__tools & more")}, url: {"label": ("s", "Copy address")}}
    assert unknown_ids == errors == [999]
    assert updates_needed == []
    wait_for(lambda: tray.clicks == ["tools"], "the click")


def test_the_objects_describe_themselves(desktop: Desktop, show: Show) -> None:
    tray = show(desktop.env)
    item = desktop.find_item(tray.pid)

    (described,) = desktop.bus.call(item.name, item.path, "org.freedesktop.DBus.Introspectable", "Introspect")

    assert ITEM in described
    assert '<node name="Menu"/>' in described
