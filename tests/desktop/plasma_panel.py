"""Plasma's panel as far as its menu is not like the others': it reads level by level and flips clicked checks itself.

See libdbusmenuqt/dbusmenuimporter.cpp in plasma-workspace.
"""

from contextlib import suppress
from typing import Any

from jeepney import DBusAddress, HeaderFields, MatchRule, MessageType, message_bus, new_method_call
from jeepney.io.blocking import open_dbus_connection
from jeepney.wrappers import unwrap_msg

from desktop.panel_side import ANSWER_LIMIT_S, MENU, Item

ONE_LEVEL = 1
LISTEN_S = 0.05


class PlasmaPanel:
    """Show the menu of one icon, as Plasma would."""

    def __init__(self, address: str, item: Item) -> None:
        self._connection = open_dbus_connection(address)
        self._menu = DBusAddress(item.menu, item.name, MENU)
        self._lines: dict[int, dict[str, Any]] = {}
        rule = MatchRule(type="signal", interface=MENU, path=item.menu)
        unwrap_msg(self._connection.send_and_get_reply(message_bus.AddMatch(rule), timeout=ANSWER_LIMIT_S))
        self._read_level(0)

    def close(self) -> None:
        self._connection.close()

    def shown(self) -> dict[str, dict[str, Any]]:
        """Return what it shows of each line by now, by the lines' keys."""
        with suppress(TimeoutError):
            while True:
                self._take(self._connection.receive(timeout=LISTEN_S))
        return {line["x-tray-key"]: line for line in self._lines.values()}

    def click(self, key: str) -> None:
        """Click a check."""
        id_ = next(id_ for id_, line in self._lines.items() if line["x-tray-key"] == key)
        self._lines[id_]["toggle-state"] = 1 - self._lines[id_]["toggle-state"]
        self._call("Event", "isvu", id_, "clicked", ("s", ""), 0)

    def _take(self, message: Any) -> None:
        if message.header.message_type is not MessageType.signal:
            return
        if message.header.fields[HeaderFields.member] == "LayoutUpdated":
            self._read_level(message.body[1])
        elif message.header.fields[HeaderFields.member] == "ItemsPropertiesUpdated":
            for id_, changed in message.body[0]:
                self._lines.get(id_, {}).update(plain(changed))

    def _read_level(self, parent: int) -> None:
        _revision, (_id, _properties, children) = self._call("GetLayout", "iias", parent, ONE_LEVEL, [])
        self._lines |= {id_: plain(properties) for _kind, (id_, properties, _below) in children}

    def _call(self, member: str, signature: str, *body: Any) -> Any:
        """Call the menu; the signals that come before its answer are heard next."""
        call = new_method_call(self._menu, member, signature, body)
        with self._connection.filter(MatchRule(type="signal"), bufsize=100) as heard:
            answer = unwrap_msg(self._connection.send_and_get_reply(call, timeout=ANSWER_LIMIT_S))
        for message in heard:
            self._take(message)
        return answer


def plain(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, (_kind, value) in properties.items()}
