"""Convert menu lines to the properties of com.canonical.dbusmenu, and compare them."""

from collections.abc import Sequence

from tray_app.backends.exported import Variant
from tray_app.menu import TOGGLES, Line

Properties = dict[str, Variant]

ROOT_PROPERTIES: Properties = {"children-display": ("s", "submenu")}
MENU_PROPERTIES: Properties = {
    "Version": ("u", 3),
    "TextDirection": ("s", "ltr"),
    "Status": ("s", "normal"),
    "IconThemePath": ("as", []),
}
# Panels ignore vendor properties; scripts and tests find the lines of the menu by this one.
KEY_PROPERTY = "x-tray-key"


def properties(line: Line) -> Properties:
    """Return a line's properties. They are the same for all lines of a kind, so a change never removes one."""
    if line.kind == "separator":
        return {"type": ("s", "separator"), KEY_PROPERTY: ("s", line.key)}
    written: Properties = {
        "label": ("s", line.label.replace("_", "__")),  # one underscore would mark an access key
        "enabled": ("b", line.enabled),
        KEY_PROPERTY: ("s", line.key),
    }
    if line.kind in TOGGLES:
        form = "radio" if line.kind == "radio" else "checkmark"
        written |= {"toggle-type": ("s", form), "toggle-state": ("i", int(bool(line.checked)))}
    if line.kind == "submenu":
        written |= {"children-display": ("s", "submenu")}
    return written


def named(written: Properties, names: Sequence[str]) -> Properties:
    """Return the properties with these names; all if there are no names."""
    return {name: value for name, value in written.items() if not names or name in names}


def changes(before: Line, after: Line, *, is_clicked_check: bool) -> Properties:
    """Return the properties of a line that changed, and the state of a clicked check even if it is the same."""
    old = properties(before)
    if is_clicked_check:
        old.pop("toggle-state")
    return {name: value for name, value in properties(after).items() if old.get(name) != value}


def shape(lines: Sequence[Line]) -> tuple[object, ...]:
    """Return what must not change for an open menu to stay: keys, kinds and nesting."""
    return tuple((line.key, line.kind, shape(line.children)) for line in lines)
