"""The connection to the session bus, and the loop that serves it.

The loop and all it calls run on the tray's thread, without locks. Only `post` and `stop` may be called elsewhere.
"""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jeepney.io.threading import ReceiveStopped, open_dbus_connection  # type: ignore[import-untyped]  # it ships no types

from tray_app.backends import messages
from tray_app.backends.exported import ERROR, Body, Call, Exported, Fault, Reply, answer
from tray_app.backends.task_queue import LoopEnded, Task, TaskQueue, run_guarded
from tray_app.session_bus import Address

BUS = "org.freedesktop.DBus"
THE_BUS = Address(BUS, "/org/freedesktop/DBus", BUS)
ANSWER_TIMEOUT_S = 3.0

Answered = Callable[[Body | Fault], object]
SignalHandler = Callable[[str, Body], None]  # takes the signal's name and body

log = logging.getLogger(__name__)


class BusGone(LoopEnded):
    """There is no session bus, or it has gone."""


class SessionBus:
    """Call methods, export objects and receive signals on the session bus. Connects when created; raises BusGone."""

    def __init__(self) -> None:
        try:
            self._connection = open_dbus_connection(_session_bus())
        except (OSError, ValueError, RuntimeError) as error:
            raise BusGone(str(error) or type(error).__name__) from error
        self.unique_name: str = self._connection.unique_name
        self._tasks = TaskQueue()
        self._objects: dict[str, Exported] = {}
        self._handlers: dict[str, list[SignalHandler]] = {}
        self._waiting: dict[int, Answered] = {}
        self._is_stopped = False

    def run(self) -> None:
        """Serve until `stop`; raises BusGone if the bus goes away."""
        while not self._is_stopped:
            self._run_once()

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        self._is_stopped = True
        self._connection.interrupt()

    def close(self) -> None:
        """Disconnect, which releases our names; not while `run` is running. A second call does nothing."""
        self._connection.close()

    def post(self, task: Task) -> None:
        """Run a task on the loop soon; any thread."""
        self._tasks.post(task)
        self._connection.interrupt()

    def after(self, delay_s: float, task: Task) -> None:
        """Run a task on the loop later. A task that is already scheduled moves to the new time."""
        self._tasks.after(delay_s, task)

    def export(self, exported: Exported) -> None:
        """Export an object."""
        self._objects[exported.path] = exported

    def emit(self, exported: Exported, name: str, *body: Any) -> None:
        """Send one of an object's signals."""
        signature = "".join(exported.signals[name])
        self._send(messages.signal(exported.path, exported.interface, name, signature, body))

    def call(self, to: Address, member: str, signature: str, body: Body, then: Answered = lambda _: None) -> None:
        """Call a method without waiting; `then` is called with the answer or the Fault."""
        serial = next(self._connection.outgoing_serial)
        self._waiting[serial] = then
        self._send(messages.method_call(to, member, signature, body), serial)

    def ask(self, to: Address, member: str, signature: str, body: Body) -> Body | Fault:
        """Call a method and wait for the answer; only before `run`."""
        answers: list[Body | Fault] = []
        self.call(to, member, signature, body, answers.append)
        self.after(ANSWER_TIMEOUT_S, partial(answers.append, Fault(ERROR + "NoReply")))
        while not answers:
            self._run_once()
        return answers[0]

    def has_owner(self, name: str) -> bool:
        """Return whether a name has an owner; only before `run`."""
        answer = self.ask(THE_BUS, "NameHasOwner", "s", (name,))
        return not isinstance(answer, Fault) and bool(answer[0])

    def listen(self, handler: SignalHandler, interface: str, **conditions: str) -> None:
        """Call the handler for every signal of an interface that matches these conditions of a match rule."""
        self._handlers.setdefault(interface, []).append(handler)
        self.call(THE_BUS, "AddMatch", "s", (messages.signal_rule(interface, conditions),))

    def on_owner_changed(self, name: str, changed: Callable[[bool], None]) -> None:
        """Call `changed` whenever a name gets an owner (True) or loses it (False)."""

        def on_signal(member: str, body: Body) -> None:
            if member == "NameOwnerChanged" and body[0] == name:
                changed(bool(body[2]))

        self.listen(on_signal, BUS, sender=BUS, member="NameOwnerChanged")

    def _run_once(self) -> None:
        self._tasks.run_due()
        try:
            message = self._connection.receive(timeout=self._tasks.wait_s())
        except TimeoutError:
            return
        except ReceiveStopped:
            self._connection.reset_interrupt()
            return
        except OSError as error:
            raise BusGone(str(error)) from error
        run_guarded(partial(self._dispatch, message))

    def _dispatch(self, message: Any) -> None:
        if messages.is_call(message):
            answered = self._answer(messages.read_call(message))
            if messages.needs_reply(message):
                self._send(messages.reply(message, answered))
        elif messages.is_signal(message):
            heard = messages.read_call(message)
            for handler in self._handlers.get(heard.interface or "", ()):
                handler(heard.member, heard.body)
        else:
            serial, answer_or_fault = messages.read_answer(message)
            self._waiting.pop(serial)(answer_or_fault)

    def _answer(self, call: Call) -> Reply | Fault:
        try:
            return answer(self._objects, call)
        except Fault as fault:
            return fault
        except LoopEnded:
            raise
        except Exception as error:
            log.exception("%s failed", call.member)
            return Fault(ERROR + "Failed", type(error).__name__)

    def _send(self, message: Any, serial: int | None = None) -> None:
        try:
            self._connection.send(message, serial)
        except OSError as error:
            raise BusGone(str(error)) from error


def _session_bus() -> str:
    """Return the address of the session bus; like libdbus, fall back to the bus of systemd's user session."""
    if os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return "SESSION"
    socket = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent") / "bus"
    if not socket.exists():
        raise BusGone("DBUS_SESSION_BUS_ADDRESS is not set")
    return f"unix:path={socket}"
