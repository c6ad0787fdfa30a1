"""Short talks with services of the session bus, for callers that must not wait long. Linux only: imports jeepney."""

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

# No address; another transport; a broken address, a refusal, a text that is none; a bus that is gone or was hung up on.
FAILURES = (KeyError, RuntimeError, ValueError, OSError)

T = TypeVar("T")


@dataclass(frozen=True)
class Address:
    """Where a service is found on the bus, and the interface it is talked to with."""

    name: str
    path: str
    interface: str


class Service:
    """A living service, for as long as a talk lasts."""

    def __init__(self, address: Address, connection: DBusConnection) -> None:
        self._target = DBusAddress(address.path, address.name, address.interface)
        self._connection = connection

    def call(self, method: str, signature: str | None = None, body: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Call a method, but never start the service for it; raises what `bus_errors` translates."""
        message = new_method_call(self._target, method, signature, body)
        message.header.flags |= MessageFlag.no_auto_start
        return reply_to(message, self._connection)


def ask(address: Address, talk: Callable[[Service], T], limit_s: float) -> T:
    """Let `talk` call a service and return what it returns; raises BusUnavailable, after `limit_s` at the latest.

    May be called on any thread; the service is asked only where it is already running.
    """
    deadline = time.monotonic() + limit_s
    with (
        bus_errors(address),
        closing(prep_socket(get_bus("SESSION"), timeout=limit_s)) as bus_socket,
        hang_up_at(deadline, bus_socket),
        closing(DBusConnection(bus_socket)) as connection,
    ):
        (is_running,) = reply_to(message_bus.NameHasOwner(address.name), connection)
        if not is_running:
            raise BusUnavailable(f"{address.name} is not running")
        return talk(Service(address, connection))


def reply_to(message: Message, connection: DBusConnection) -> tuple[Any, ...]:
    """Send a message and return the body of its reply; raises what `bus_errors` translates."""
    reply: tuple[Any, ...] = unwrap_msg(connection.send_and_get_reply(message))
    return reply


@contextmanager
def hang_up_at(deadline: float, bus_socket: socket.socket) -> Iterator[None]:
    """End whatever waits for the bus at the deadline; the greeting of jeepney has no time limit of its own."""

    def hang_up() -> None:
        with suppress(OSError):  # the bus has hung up first
            bus_socket.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(deadline - time.monotonic(), hang_up)
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
        raise BusUnavailable(f"{address.name} gave no answer: {error or type(error).__name__}") from error
