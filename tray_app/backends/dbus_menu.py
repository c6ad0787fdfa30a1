"""The menu as a com.canonical.dbusmenu object. An id belongs to a key, so no click is lost while labels change.

An open menu stays open and correct: if only labels and checks change, only those are sent. Plasma's panel needs two
workarounds: it toggles a clicked check by itself, and it reads the menu one level at a time.
All of it runs on the tray's thread.
"""

from collections.abc import Callable
from itertools import count

from tray_app.backends.exported import ERROR, Body, Emit, Exported, Fault, Method, Variant
from tray_app.backends.menu_properties import (
    MENU_PROPERTIES,
    ROOT_PROPERTIES,
    Properties,
    changes,
    named,
    properties,
    shape,
)
from tray_app.menu import TOGGLES, Line, walk

INTERFACE = "com.canonical.dbusmenu"
PATH = "/StatusNotifierItem/Menu"
ROOT = 0
SIGNALS = {
    "ItemsPropertiesUpdated": ("a(ia{sv})", "a(ias)"),
    "LayoutUpdated": ("u", "i"),
    "ItemActivationRequested": ("i", "u"),
}

Lines = tuple[Line, ...]
Item = tuple[int, Properties, list[Variant]]


class DbusMenu:
    """Export lines as a menu; `about_to_show` has to call `show` with the current ones."""

    def __init__(self, emit: Emit, on_click: Callable[[str], None], about_to_show: Callable[[], None]) -> None:
        self._emit = emit
        self._on_click = on_click
        self._look_again = about_to_show
        self._ids: dict[str, int] = {}
        self._new_ids = count(ROOT + 1)
        self._top: Lines = ()
        self._lines: dict[int, Line] = {}
        self._clicked_checks: set[int] = set()
        self._revision = 0
        self.exported = Exported(PATH, INTERFACE, lambda: MENU_PROPERTIES, self._methods(), SIGNALS)

    def _methods(self) -> dict[str, Method]:
        return {
            "GetLayout": Method(("i", "i", "as"), ("u", "(ia{sv}av)"), self._get_layout),
            "GetGroupProperties": Method(("ai", "as"), ("a(ia{sv})",), self._get_group_properties),
            "GetProperty": Method(("i", "s"), ("v",), self._get_property),
            "Event": Method(("i", "s", "v", "u"), (), self._event),
            "EventGroup": Method(("a(isvu)",), ("ai",), self._event_group),
            "AboutToShow": Method(("i",), ("b",), self._about_to_show),
            "AboutToShowGroup": Method(("ai",), ("ai", "ai"), self._about_to_show_group),
        }

    def show(self, lines: Lines) -> None:
        """Set the lines and send the changes to the panels."""
        before, shape_before = self._lines, shape(self._top)
        self._top = lines
        self._lines = {self._id(line.key): line for line in walk(lines)}
        clicked, self._clicked_checks = self._clicked_checks, set()
        if shape(lines) != shape_before:
            self._revision += 1
            self._emit(self.exported, "LayoutUpdated", self._revision, ROOT)
            return
        updates = [
            (id_, changes(before[id_], line, is_clicked_check=id_ in clicked)) for id_, line in self._lines.items()
        ]
        if updates := [(id_, changed) for id_, changed in updates if changed]:
            self._emit(self.exported, "ItemsPropertiesUpdated", updates, [])

    def _id(self, key: str) -> int:
        if key not in self._ids:
            self._ids[key] = next(self._new_ids)
        return self._ids[key]

    def _line(self, id_: int) -> Line:
        if id_ not in self._lines:
            raise Fault(ERROR + "InvalidArgs", f"the menu has no item {id_}")
        return self._lines[id_]

    def _below(self, id_: int) -> Lines:
        return self._top if id_ == ROOT else self._line(id_).children

    def _properties(self, id_: int) -> Properties:
        return ROOT_PROPERTIES if id_ == ROOT else properties(self._line(id_))

    def _unknown(self, ids: list[int]) -> list[int]:
        return [id_ for id_ in ids if id_ != ROOT and id_ not in self._lines]

    def _get_layout(self, parent: int, depth: int, names: list[str]) -> Body:
        if depth == 1:
            self._announce_submenus(parent)
        return self._revision, self._item(parent, depth, names)

    def _announce_submenus(self, parent: int) -> None:
        """Make a panel read the submenus it left out; Plasma misplaces one that it reads on opening."""
        for line in self._below(parent):
            if line.children:
                self._emit(self.exported, "LayoutUpdated", self._revision, self._id(line.key))

    def _item(self, id_: int, depth: int, names: list[str]) -> Item:
        """Return one item and `depth` levels below it; -1 means all."""
        below = self._below(id_) if depth else ()
        drawn = [self._item(self._id(line.key), depth - 1, names) for line in below]
        return id_, named(self._properties(id_), names), [("(ia{sv}av)", item) for item in drawn]

    def _get_group_properties(self, ids: list[int], names: list[str]) -> Body:
        unknown = self._unknown(ids)
        wanted = [id_ for id_ in ids if id_ not in unknown] if ids else [ROOT, *self._lines]
        return ([(id_, named(self._properties(id_), names)) for id_ in wanted],)

    def _get_property(self, id_: int, name: str) -> Body:
        if name not in (known := self._properties(id_)):
            raise Fault(ERROR + "InvalidArgs", f"the menu's item {id_} has no property {name}")
        return (known[name],)

    def _event(self, id_: int, event: str, _data: Variant, _time: int) -> Body:
        if event == "clicked" and id_ != ROOT and (line := self._line(id_)).is_clickable:
            if line.kind in TOGGLES:
                self._clicked_checks.add(id_)
            self._on_click(line.key)
        return ()

    def _event_group(self, events: list[tuple[int, str, Variant, int]]) -> Body:
        unknown = self._unknown([id_ for id_, *_ in events])
        for event in events:
            if event[0] not in unknown:
                self._event(*event)
        return (unknown,)

    def _about_to_show(self, _id: int) -> Body:
        revision = self._revision
        self._look_again()
        return (self._revision != revision,)

    def _about_to_show_group(self, ids: list[int]) -> Body:
        (needs_update,) = self._about_to_show(ROOT)
        unknown = self._unknown(ids)
        return [id_ for id_ in ids if needs_update and id_ not in unknown], unknown
