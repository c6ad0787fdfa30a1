"""Call services on the session bus within a time limit. Linux only: imports jeepney."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from jeepney import DBusAddress, Message, MessageFlag, new_method_call  # type: ignore[import-untyped]  # ships no types
from jeepney.bus import get_bus  # type: ignore[import-untyped]  # see above
from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]  # see above
from jeepney.io.blocking import DBusConnection, prep_socket  # type: ignore[import-untyped]  # see above
from jeepney.wrappers import DBusErrorResponse, unwrap_msg  # type: ignore[import-untyped]  # see above

from tray_app.errors import BusUnavailable

# No address; unsupported transport; invalid address, refusal or text; a bus that has gone or was disconnected.
FAILURES = (KeyError, RuntimeError, ValueError, OSError)

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """The name, path and interface of a service on the bus."""

    name: str
    path: str
    interface: str


class Service:
    """A running service, for as long as its connection is open."""

    def __init__(self, address: Address, connection: DBusConnection) -> None:
        self._target = DBusAddress(address.path, address.name, address.interface)
        self._connection = connection

    def call(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Call a method without starting the service; raises what `bus_errors` translates."""
        message = new_method_call(self._target, method, signature, body)
        message.header.flags |= MessageFlag.no_auto_start
        return reply_to(message, self._connection)


def use_service(address: Address, use: Callable[[Service], T], timeout_s: float) -> T:
    """Pass a running service to `use` and return its result; raises BusUnavailable, within `timeout_s`.

    May be called on any thread. The service is not started.
    """
    deadline = time.monotonic() + timeout_s
    with (
        bus_errors(address),
        closing(prep_socket(get_bus("SESSION"), timeout=timeout_s)) as bus_socket,
        shut_down_at(deadline, bus_socket),
        closing(DBusConnection(bus_socket)) as connection,
    ):
        (is_running,) = reply_to(message_bus.NameHasOwner(address.name), connection)
        if not is_running:
            raise BusUnavailable(f"{address.name} is not running")
        return use(Service(address, connection))


def reply_to(message: Message, connection: DBusConnection) -> tuple[Any, ...]:
    """Send a message and return the body of its reply; raises what `bus_errors` translates."""
    reply: tuple[Any, ...] = unwrap_msg(connection.send_and_get_reply(message))
    return reply


@contextmanager
def shut_down_at(deadline: float, bus_socket: socket.socket) -> Iterator[None]:
    """Disconnect from the bus at the deadline; jeepney's authentication has no timeout of its own."""

    def shut_down() -> None:
        with suppress(OSError):  # the bus has disconnected first
            bus_socket.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(deadline - time.monotonic(), shut_down)
    timer.name = "bus-deadline"
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


@contextmanager
def bus_errors(address: Address) -> Iterator[None]:
    """Turn what jeepney raises into BusUnavailable."""
    try:
        yield
    except DBusErrorResponse as error:
        raise BusUnavailable(f"{address.name} refused: {error.name}") from error
    except FAILURES as error:
        raise BusUnavailable(f"{address.name} did not answer: {error or type(error).__name__}") from error
