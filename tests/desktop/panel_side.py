"""The panel's side of the bus: find an icon, read its menu, click. It talks as a panel does, from outside."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

WATCHER = "org.kde.StatusNotifierWatcher"
ITEM = "org.kde.StatusNotifierItem"
MENU = "com.canonical.dbusmenu"
BUS = "org.freedesktop.DBus"
ANSWER_LIMIT_S = 5


@dataclass(frozen=True)
class Item:
    """Where an icon is found on the bus."""

    name: str
    path: str
    menu: str


@dataclass(frozen=True)
class MenuLine:
    """One line of a menu as a panel reads it; the root is a line too."""

    id: int
    key: str
    label: str
    enabled: bool
    checked: bool | None
    is_separator: bool
    children: "tuple[MenuLine, ...]"

    def walk(self) -> "Iterator[MenuLine]":
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, label_or_key: str) -> "MenuLine":
        """Return the line with this key, or whose label begins so."""
        lines = list(self.walk())
        found = [line for line in lines if line.key == label_or_key]
        found += [line for line in lines if line.label.startswith(label_or_key)]
        assert found, f"no menu line {label_or_key!r} among {[line.label for line in lines]}"
        return found[0]


class PanelSide:
    """A connection to a session bus."""

    def __init__(self, address: str) -> None:
        self._connection = open_dbus_connection(address)

    def close(self) -> None:
        self._connection.close()

    def call(self, name: str, path: str, interface: str, member: str, signature: str = "", *body: Any) -> Any:
        """Call a method and return all it answers; raises DBusErrorResponse."""
        message = new_method_call(DBusAddress(path, name, interface), member, signature or None, body)
        return unwrap_msg(self._connection.send_and_get_reply(message, timeout=ANSWER_LIMIT_S))

    def call_bus(self, member: str, signature: str = "", *body: Any) -> Any:
        """Call a method of the bus itself and return its answer."""
        return self.call(BUS, "/org/freedesktop/DBus", BUS, member, signature, *body)[0]

    def read(self, name: str, path: str, interface: str, member: str) -> Any:
        """Return a property's value."""
        ((_kind, value),) = self.call(name, path, "org.freedesktop.DBus.Properties", "Get", "ss", interface, member)
        return value

    def read_item(self, item: Item, member: str) -> Any:
        """Return a property of an icon."""
        return self.read(item.name, item.path, ITEM, member)

    def call_menu(self, item: Item, member: str, signature: str, *body: Any) -> Any:
        """Call a method of an icon's menu and return all it answers."""
        return self.call(item.name, item.menu, MENU, member, signature, *body)

    def has_owner(self, name: str) -> bool:
        return self.call_bus("NameHasOwner", "s", name)

    def lock_keyring(self) -> None:
        """Lock the Secret Service's collection, as a screen lock does."""
        service, path, interface = (
            "org.freedesktop.secrets",
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service",
        )
        self.call(service, path, interface, "Lock", "ao", [f"{path}/collection/login"])

    def has_host(self) -> bool:
        """Whether a panel is there that shows icons."""
        try:
            return self.read(WATCHER, "/StatusNotifierWatcher", WATCHER, "IsStatusNotifierHostRegistered")
        except DBusErrorResponse:
            return False

    def items(self) -> list[str]:
        """Return the names of the icons on the panel, in the panel's own way of writing them."""
        return self.read(WATCHER, "/StatusNotifierWatcher", WATCHER, "RegisteredStatusNotifierItems")

    def item_of(self, pid: int) -> Item | None:
        """Return the icon of a process, if a panel has one."""
        try:
            return next((self._item(item) for item in self.items() if self._pid(item) == pid), None)
        except DBusErrorResponse:  # it has just gone
            return None

    def _pid(self, item: str) -> int:
        return self.call_bus("GetConnectionUnixProcessID", "s", re.split("[/@]", item)[0])

    def _item(self, item: str) -> Item:
        name, _, path = item.partition("/")
        path = f"/{path or 'StatusNotifierItem'}"
        return Item(name, path, self.read(name, path, ITEM, "Menu"))

    def read_menu(self, item: Item) -> MenuLine:
        """Return the menu's root, with all lines below it."""
        _revision, layout = self.call_menu(item, "GetLayout", "iias", 0, -1, [])
        return menu_line(layout)

    def click(self, item: Item, label_or_key: str) -> None:
        """Click a line by its key, or by how its label begins."""
        self.click_id(item, self.read_menu(item).find(label_or_key).id)

    def click_id(self, item: Item, id_: int) -> None:
        self.call_menu(item, "Event", "isvu", id_, "clicked", ("i", 0), 0)

    def about_to_show(self, item: Item) -> bool:
        """Tell the menu that it opens; return whether it has changed."""
        return self.call_menu(item, "AboutToShow", "i", 0)[0]

    def activate(self, item: Item) -> None:
        self.call(item.name, item.path, ITEM, "Activate", "ii", 0, 0)


def menu_line(layout: Any) -> MenuLine:
    id_, properties, children = layout
    values = {name: value for name, (_kind, value) in properties.items()}
    return MenuLine(
        id=id_,
        key=values.get("x-tray-key", ""),
        label=values.get("label", "").replace("__", "_"),
        enabled=values.get("enabled", True),
        checked=bool(values["toggle-state"]) if "toggle-state" in values else None,
        is_separator=values.get("type") == "separator",
        children=tuple(menu_line(child) for _kind, child in children),
    )
