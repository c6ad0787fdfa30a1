"""The menu as panels see it: what they read, what they are told, what a click does."""

import pytest

from tray_app.backends.dbus_menu import DbusMenu
from tray_app.backends.exported import Call, Fault, answer
from tray_app.menu import Line


class Panel:
    """Read and click a menu, and keep the signals it sends."""

    def __init__(self, *lines):
        self.lines = lines
        self.signals = []
        self.clicks = []
        self.menu = DbusMenu(
            lambda _object, name, *body: self.signals.append((name, *body)), self.clicks.append, self.show
        )
        self.show()
        self.signals.clear()

    def show(self, *lines):
        self.lines = lines or self.lines
        self.menu.show(self.lines)

    def call(self, member, signature, *body):
        exported = self.menu.exported
        _, answered = answer(
            {exported.path: exported}, Call(exported.path, exported.interface, member, signature, body)
        )
        return answered

    def layout(self, parent=0, depth=-1, names=()):
        return self.call("GetLayout", "iias", parent, depth, list(names))

    def id_of(self, key):
        properties = dict(self.call("GetGroupProperties", "aias", [], [])[0])
        return next(id_ for id_, named in properties.items() if named.get("x-tray-key") == ("s", key))

    def click(self, id_):
        self.call("Event", "isvu", id_, "clicked", ("i", 0), 0)


TOOLS = Line("tools", "Run tools", kind="check", checked=False)
COPY = Line("copy", "Copy", kind="submenu", children=(Line("url", "Address"), Line("key", "Key")))
QUIT = Line("quit", "Quit")


def test_the_layout_has_all_lines_in_their_order():
    panel = Panel(TOOLS, COPY, QUIT)

    _, (root, _, children) = panel.layout()

    assert root == 0
    assert [item[1]["label"] for _, item in children] == [("s", "Run tools"), ("s", "Copy"), ("s", "Quit")]
    below = children[1][1][2]
    assert [item[1]["label"] for _, item in below] == [("s", "Address"), ("s", "Key")]


def test_the_layout_stops_at_the_depth_asked_for():
    panel = Panel(COPY)

    _, (_, _, children) = panel.layout(depth=1)

    assert children[0][1][2] == []
    assert panel.layout(depth=0)[1][2] == []


def test_the_layout_of_a_submenu_can_be_asked_for_alone_and_by_name():
    panel = Panel(COPY)

    _, (_, properties, children) = panel.layout(panel.id_of("copy"), names=["label"])

    assert properties == {"label": ("s", "Copy")}
    assert len(children) == 2


def test_another_label_or_check_sends_just_that_and_no_new_layout():
    panel = Panel(TOOLS, QUIT)
    revision, _ = panel.layout()

    panel.show(Line("tools", "Run tools", kind="check", checked=True), Line("quit", "Leave", enabled=False))

    tools, quit_ = panel.id_of("tools"), panel.id_of("quit")
    updates = [(tools, {"toggle-state": ("i", 1)}), (quit_, {"label": ("s", "Leave"), "enabled": ("b", False)})]
    assert panel.signals == [("ItemsPropertiesUpdated", updates, [])]
    assert panel.layout()[0] == revision


def test_a_click_on_a_check_that_stays_as_it_was_tells_its_mark_once_more():
    panel = Panel(TOOLS, QUIT)
    panel.click(panel.id_of("tools"))  # Plasma's panel has flipped the mark by itself

    panel.show(TOOLS, QUIT)
    panel.show(TOOLS, QUIT)

    assert panel.signals == [("ItemsPropertiesUpdated", [(panel.id_of("tools"), {"toggle-state": ("i", 0)})], [])]


def test_a_panel_that_reads_one_level_is_told_to_read_the_submenus_before_they_open():
    panel = Panel(TOOLS, COPY, QUIT)

    revision, _ = panel.layout(depth=1)
    panel.layout(panel.id_of("copy"), depth=1)

    assert panel.signals == [("LayoutUpdated", revision, panel.id_of("copy"))]


def test_a_panel_that_reads_all_levels_is_told_nothing():
    panel = Panel(TOOLS, COPY, QUIT)

    panel.layout()

    assert panel.signals == []


def test_a_line_more_sends_a_new_layout_once():
    panel = Panel(QUIT)
    revision, _ = panel.layout()

    panel.show(TOOLS, QUIT)
    panel.show(TOOLS, QUIT)

    assert panel.signals == [("LayoutUpdated", revision + 1, 0)]


def test_the_same_look_sends_nothing():
    panel = Panel(TOOLS, COPY, QUIT)

    panel.show(TOOLS, COPY, QUIT)

    assert panel.signals == []


def test_a_line_that_was_away_has_its_old_id():
    panel = Panel(TOOLS, QUIT)
    id_before = panel.id_of("quit")
    panel.show(TOOLS)
    panel.show(Line("new", "New"), TOOLS)

    panel.show(QUIT)

    assert panel.id_of("quit") == id_before


def test_a_click_gives_the_key():
    panel = Panel(COPY, QUIT)

    panel.click(panel.id_of("url"))

    assert panel.clicks == ["url"]


def test_only_clicks_on_what_can_be_clicked_count():
    panel = Panel(Line("off", "Off", enabled=False), Line("line", kind="separator"), COPY)

    for key in ("off", "line", "copy"):
        panel.click(panel.id_of(key))
    panel.click(0)
    panel.call("Event", "isvu", panel.id_of("url"), "hovered", ("i", 0), 0)

    assert panel.clicks == []


def test_a_click_on_a_line_that_has_gone_is_refused():
    panel = Panel(TOOLS, QUIT)
    gone = panel.id_of("tools")
    panel.show(QUIT)

    with pytest.raises(Fault, match="no item"):
        panel.click(gone)
    assert panel.clicks == []


def test_an_event_group_names_the_ids_it_does_not_know_and_does_the_rest():
    panel = Panel(QUIT)

    unknown = panel.call(
        "EventGroup", "a(isvu)", [(99, "clicked", ("i", 0), 0), (panel.id_of("quit"), "clicked", ("i", 0), 0)]
    )

    assert unknown == ([99],)
    assert panel.clicks == ["quit"]


def test_about_to_show_looks_and_tells_whether_lines_came_or_went():
    panel = Panel(QUIT)

    panel.lines = (Line("quit", "Leave"),)
    assert panel.call("AboutToShow", "i", 0) == (False,)
    panel.lines = (TOOLS, QUIT)
    assert panel.call("AboutToShow", "i", 0) == (True,)

    assert [name for name, *_ in panel.signals] == ["ItemsPropertiesUpdated", "LayoutUpdated"]


def test_about_to_show_a_group_names_the_menus_that_need_an_update():
    panel = Panel(QUIT)

    panel.lines = (TOOLS, QUIT)

    assert panel.call("AboutToShowGroup", "ai", [0, 99]) == ([0], [99])
    assert panel.call("AboutToShowGroup", "ai", [0]) == ([], [])


def test_properties_can_be_asked_for_one_by_one():
    panel = Panel(TOOLS)

    assert panel.call("GetProperty", "is", panel.id_of("tools"), "label") == (("s", "Run tools"),)
    with pytest.raises(Fault, match="no property"):
        panel.call("GetProperty", "is", 0, "label")


def test_an_underscore_is_no_access_key():
    panel = Panel(Line("tools", "run_tools"))

    assert panel.call("GetProperty", "is", panel.id_of("tools"), "label") == (("s", "run__tools"),)
