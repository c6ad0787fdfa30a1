"""A service of the desktop on the session bus: notes what it is asked, and answers as the test says."""

import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from jeepney import DBusAddress, HeaderFields, MatchRule, Message, MessageType, new_error, new_method_return, new_signal
from jeepney.bus_messages import message_bus
from jeepney.io.blocking import open_dbus_connection
from jeepney.wrappers import unwrap_msg

LOOK_EVERY_S = 0.05

Answer = tuple[str, tuple[Any, ...]]


class BusService:
    """Own a name on the bus in a thread, within a with statement.

    For each method there is what it returns, as signature and body; SILENCE is never answered.
    """

    SILENCE: Answer = ("", ())

    def __init__(self, name: str, methods: Mapping[str, Answer]) -> None:
        self.name = name
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._methods = methods
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"fake {name}")

    def __enter__(self) -> "BusService":
        self._connection = open_dbus_connection("SESSION")
        with self._connection.filter(MatchRule(type="method_call"), bufsize=10) as early:
            unwrap_msg(self._connection.send_and_get_reply(message_bus.RequestName(self.name)))
        for call in early:  # who had the bus start this service has waited for it
            self._answer(call)
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._connection.close()

    def emit(self, path: str, member: str, signature: str, *body: Any) -> None:
        """Send a signal of the service to whoever listens."""
        emitter = DBusAddress(path, interface=self.name)
        self._connection.send(new_signal(emitter, member, signature, body))

    def wait(self) -> None:
        """Wait until the bus ends."""
        self._thread.join()

    def _serve(self) -> None:
        while not self._stopped.is_set():
            with suppress(TimeoutError):
                message = self._connection.receive(timeout=LOOK_EVERY_S)
                if message.header.message_type is MessageType.method_call:
                    self._answer(message)

    def _answer(self, call: Message) -> None:
        method = call.header.fields[HeaderFields.member]
        self.calls.append((method, call.body))
        answer = self._methods.get(method)
        if answer is None:
            self._connection.send(new_error(call, "org.freedesktop.DBus.Error.UnknownMethod"))
        elif answer is not self.SILENCE:
            self._connection.send(new_method_return(call, *answer))
