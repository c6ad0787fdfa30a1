"""Keep the icon registered with the StatusNotifierWatcher whenever there is one.

All of it runs on the tray's thread; `is_shown` may be read on any thread.
"""

import logging
import os
import re
from collections.abc import Callable, Sequence

from tray_app.backends import notifier_item
from tray_app.backends.bus import THE_BUS, Answered, SessionBus
from tray_app.backends.exported import ERROR, PROPERTIES, Body, Fault
from tray_app.session_bus import Address

WATCHER = "org.kde.StatusNotifierWatcher"
WATCHER_PATH = "/StatusNotifierWatcher"
NO_WATCHER = (ERROR + "ServiceUnknown", ERROR + "NameHasNoOwner")
DO_NOT_QUEUE = 4
BECAME_OWNER = 1
# A host may drop a new item although its watcher accepted it (GNOME's extension does): check after 1 s, then later.
CHECK_AFTER_S = (1, 2, 4, 8, 16)
SIGNAL_SETTLES_S = 0.5

log = logging.getLogger(__name__)


class Registration:
    """Keep our item registered: panels start late, restart, and sometimes drop items."""

    def __init__(
        self,
        bus: SessionBus,
        check_after_s: Sequence[float] = CHECK_AFTER_S,
        on_hidden: Callable[[], None] = lambda: None,
    ) -> None:
        self.is_shown = False
        self._on_hidden = on_hidden
        self._bus = bus
        self._check_after_s = check_after_s
        self._name = f"{notifier_item.INTERFACE}-{os.getpid()}-1"
        self._drops = 0  # how often in a row the watcher did not list us

    def start(self) -> None:
        """Request our name, register with the current watcher, and listen for the next one."""
        self._bus.on_owner_changed(WATCHER, self._on_watcher)
        self._bus.listen(self._on_signal, WATCHER)
        self._bus.call(THE_BUS, "RequestName", "su", (self._name, DO_NOT_QUEUE), self._on_name)

    def _on_name(self, answer: Body | Fault) -> None:
        if answer != (BECAME_OWNER,):  # sandboxes refuse the name, and their process ids repeat
            self._name = self._bus.unique_name
        self._register()

    def _on_watcher(self, is_there: bool) -> None:
        self._drops = 0
        if is_there:
            self._register()
        else:
            self._set_shown(False)

    def _on_signal(self, member: str, body: Body) -> None:
        is_about_us = "Host" in member or (member == "StatusNotifierItemUnregistered" and self._is_ours(str(body[0])))
        if is_about_us:
            self._bus.after(SIGNAL_SETTLES_S, self._check)

    def _register(self) -> None:
        watcher = Address(WATCHER, WATCHER_PATH, WATCHER)
        self._bus.call(
            watcher, "RegisterStatusNotifierItem", "s", (self._name,), lambda _: self._get_properties(self._read)
        )
        self._bus.after(self._check_after_s[self._drops], self._check)

    def _check(self) -> None:
        self._get_properties(self._read_or_register)

    def _get_properties(self, then: Answered) -> None:
        watcher = Address(WATCHER, WATCHER_PATH, PROPERTIES)
        self._bus.call(watcher, "GetAll", "s", (WATCHER,), then)

    def _read(self, answer: Body | Fault) -> bool:
        """Note whether the watcher lists us and has a host; return whether it lists us."""
        known = {} if isinstance(answer, Fault) else answer[0]
        items = known.get("RegisteredStatusNotifierItems", ("as", []))[1]
        is_listed = any(self._is_ours(item) for item in items)
        self._set_shown(is_listed and bool(known.get("IsStatusNotifierHostRegistered", ("b", False))[1]))
        return is_listed

    def _read_or_register(self, answer: Body | Fault) -> None:
        if self._read(answer):
            self._drops = 0
        elif self._drops < len(self._check_after_s) - 1 and not _is_watcher_missing(answer):
            self._drops += 1
            log.info("the panel dropped the icon; registering it again")
            self._register()

    def _is_ours(self, item: str) -> bool:
        """Return whether an item is ours; watchers write `name`, `name/path` or `name@path`."""
        return re.split("[/@]", item)[0] in (self._name, self._bus.unique_name)

    def _set_shown(self, is_shown: bool) -> None:
        if is_shown != self.is_shown:
            self.is_shown = is_shown
            log.info("a panel shows the icon" if is_shown else "no panel shows the icon any longer")
            if not is_shown:
                self._on_hidden()


def has_host(bus: SessionBus) -> bool:
    """Return whether there is a panel that shows StatusNotifier items; only before the bus runs."""
    if not bus.has_owner(WATCHER):
        return False
    where = Address(WATCHER, WATCHER_PATH, PROPERTIES)
    answer = bus.ask(where, "Get", "ss", (WATCHER, "IsStatusNotifierHostRegistered"))
    return not isinstance(answer, Fault) and bool(answer[0][1])


def _is_watcher_missing(answer: Body | Fault) -> bool:
    return isinstance(answer, Fault) and answer.name in NO_WATCHER
