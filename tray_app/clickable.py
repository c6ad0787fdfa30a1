"""Show notifications with clicks and buttons over the session bus, on one connection of their own.

Some services send a click only to the connection that has shown the notification, so it stays open.
"""

import html
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from proxy.identity import APP_ID, TITLE
from tray_app.notify import NAME, PATH, REPLACES_NONE, SERVICE_DECIDES, TIMEOUT_S, icon_uri

if TYPE_CHECKING:
    from tray_app.backends.bus import SessionBus

CLICK = "default"  # the action of a click on the notification itself
MAX_OPEN = 32  # whose clicks are waited for; the oldest ones are forgotten

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Notification:
    """A notification: its text, the labels of its buttons by key, and the callback that gets the clicked key."""

    title: str
    text: str
    actions: Mapping[str, str]
    on_action: Callable[[str], object]  # called on the connection's thread; must not block
    lasts_s: float | None = None  # None: as long as the service sees fit
    replaces: int = REPLACES_NONE  # the number of the one whose place it takes


@dataclass
class Showing:
    """A notification on its way to the screen."""

    notification: Notification
    is_over: bool = False  # nobody waits for it any more
    id: int | None = None
    settled: threading.Event = field(default_factory=threading.Event)


class ClickableNotifications:
    """Show notifications and receive their clicks. Call `show` and `withdraw` on any thread but the connection's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Showing] = []  # until there is a connection
        self._open: dict[int, Notification] = {}  # the connection's thread alone
        self._bus: SessionBus | None = None
        self._thread: threading.Thread | None = None
        self._is_stopped = False

    def show(self, notification: Notification) -> int | None:
        """Show a notification and return its number, None if no running service has taken it within a second."""
        showing = Showing(notification)
        with self._lock:
            if self._is_stopped:
                return None
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="notifications", daemon=True)
                self._thread.start()
            if self._bus is None:
                self._waiting.append(showing)
            else:
                self._bus.post(partial(self._begin, self._bus, showing))
        showing.settled.wait(TIMEOUT_S)
        showing.is_over = True
        return showing.id

    def change(self, number: int, notification: Notification) -> None:
        """Replace a notification; does nothing if it has gone."""
        with self._lock:
            if self._bus is not None:
                self._bus.post(partial(self._change, self._bus, Showing(replace(notification, replaces=number))))

    def withdraw(self, number: int) -> None:
        """Close a notification; does nothing if it has gone."""
        with self._lock:
            if self._bus is not None:
                self._bus.post(partial(self._take_away, self._bus, number))

    def stop(self) -> None:
        """Drop all callbacks and close the connection; a second call does nothing."""
        with self._lock:
            self._is_stopped = True
            thread, bus = self._thread, self._bus
            if bus is not None:
                bus.stop()
        if thread is not None:
            thread.join(TIMEOUT_S)

    def _serve(self) -> None:
        """Connect and serve until the bus disconnects or `stop` is called."""
        from tray_app.backends.bus import BusGone, SessionBus  # noqa: PLC0415  needs jeepney, which only Linux has

        try:
            bus = SessionBus()
        except BusGone as error:
            log.debug("no notifications: %s", error)
            self._end(None)
            return
        try:
            bus.listen(self._hear, NAME, sender=NAME)
            with self._lock:
                waiting, self._waiting = self._waiting, []
                if self._is_stopped:
                    return
                self._bus = bus
            for showing in waiting:
                bus.post(partial(self._begin, bus, showing))
            bus.run()
        except BusGone as error:
            log.debug("notifications have ended: %s", error)
        finally:
            self._end(bus)

    def _end(self, bus: "SessionBus | None") -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._bus = self._thread = None
        self._open.clear()
        for showing in waiting:
            showing.settled.set()
        if bus is not None:
            bus.close()

    def _begin(self, bus: "SessionBus", showing: Showing) -> None:
        """Show a notification if a service is running. No service is started, as a broken one would block for long."""
        from tray_app.backends.bus import THE_BUS  # noqa: PLC0415  as above

        service = replace(THE_BUS, name=NAME, path=PATH, interface=NAME)

        def after_owner(answer: Any) -> None:
            if isinstance(answer, tuple) and answer[0]:
                bus.call(service, "GetCapabilities", "", (), after_capabilities)
            else:
                showing.settled.set()

        def after_capabilities(answer: Any) -> None:
            replaced = showing.notification.replaces
            if isinstance(answer, tuple) and not showing.is_over and (not replaced or replaced in self._open):
                bus.call(service, "Notify", "susssasa{sv}i", arguments(showing.notification, answer[0]), after_notify)
            else:
                showing.settled.set()

        def after_notify(answer: Any) -> None:
            if isinstance(answer, tuple):
                showing.id = answer[0]
                self._open[answer[0]] = showing.notification
                for oldest in list(self._open)[:-MAX_OPEN]:
                    del self._open[oldest]
            showing.settled.set()

        bus.call(THE_BUS, "NameHasOwner", "s", (NAME,), after_owner)

    def _change(self, bus: "SessionBus", showing: Showing) -> None:
        if showing.notification.replaces in self._open:
            self._begin(bus, showing)

    def _take_away(self, bus: "SessionBus", number: int) -> None:
        if self._open.pop(number, None) is not None:
            from tray_app.backends.bus import THE_BUS  # noqa: PLC0415  as above

            service = replace(THE_BUS, name=NAME, path=PATH, interface=NAME)
            bus.call(service, "CloseNotification", "u", (number,))

    def _hear(self, signal: str, body: tuple[Any, ...]) -> None:
        """Handle a click once, and only on a button of the notification."""
        if signal == "ActionInvoked":
            notification = self._open.get(body[0])
            if notification is not None and body[1] in notification.actions:
                del self._open[body[0]]
                notification.on_action(body[1])
        elif signal == "NotificationClosed":
            self._open.pop(body[0], None)


def arguments(notification: Notification, capabilities: list[str]) -> tuple[Any, ...]:
    """Return the arguments of Notify. A service without support for buttons gets none, as some show a dialog."""
    text = notification.text
    body = html.escape(text, quote=False) if "body-markup" in capabilities else text
    actions = [word for pair in notification.actions.items() for word in pair] if "actions" in capabilities else []
    hints = {"desktop-entry": ("s", APP_ID)}
    lasts_ms = SERVICE_DECIDES if notification.lasts_s is None else int(notification.lasts_s * 1000)
    return (TITLE, notification.replaces, icon_uri(), notification.title, body, actions, hints, lasts_ms)
