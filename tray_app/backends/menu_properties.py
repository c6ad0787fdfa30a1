"""A menu line as the properties com.canonical.dbusmenu knows, and what of it changed."""

from collections.abc import Sequence

from tray_app.backends.exported import Variant
from tray_app.menu import Line

Properties = dict[str, Variant]

ROOT_PROPERTIES: Properties = {"children-display": ("s", "submenu")}
MENU_PROPERTIES: Properties = {
    "Version": ("u", 3),
    "TextDirection": ("s", "ltr"),
    "Status": ("s", "normal"),
    "IconThemePath": ("as", []),
}
# Panels pass over vendor properties; whoever scripts or tests the menu finds its lines by this one.
KEY_PROPERTY = "x-tray-key"


def properties(line: Line) -> Properties:
    """Write a line; every kind of line always has the same properties, so that a change never removes one."""
    if line.kind == "separator":
        return {"type": ("s", "separator"), KEY_PROPERTY: ("s", line.key)}
    written: Properties = {
        "label": ("s", line.label.replace("_", "__")),  # one underscore would mark an access key
        "enabled": ("b", line.enabled),
        KEY_PROPERTY: ("s", line.key),
    }
    if line.kind == "check":
        written |= {"toggle-type": ("s", "checkmark"), "toggle-state": ("i", int(bool(line.checked)))}
    if line.kind == "submenu":
        written |= {"children-display": ("s", "submenu")}
    return written


def named(written: Properties, names: Sequence[str]) -> Properties:
    """Return only the properties asked for; no names ask for all."""
    return {name: value for name, value in written.items() if not names or name in names}


def changes(before: Line, after: Line, *, is_clicked_check: bool) -> Properties:
    """Return the properties in which two looks at one line differ, and a clicked check's mark even if it stayed."""
    old = properties(before)
    if is_clicked_check:
        old.pop("toggle-state")
    return {name: value for name, value in properties(after).items() if old.get(name) != value}


def shape(lines: Sequence[Line]) -> tuple[object, ...]:
    """Return what must be the same for an open menu to stay as it is: keys, kinds and nesting."""
    return tuple((line.key, line.kind, shape(line.children)) for line in lines)
