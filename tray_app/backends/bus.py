"""Our connection to the session bus, and the loop that serves it.

The loop runs on the tray's thread, and so does all it calls: no locks. Only `post` and `stop` may be called elsewhere.
"""

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from jeepney.io.threading import ReceiveStopped, open_dbus_connection  # type: ignore[import-untyped]  # it ships no types

from tray_app.backends import messages
from tray_app.backends.agenda import Agenda, LoopEnded, Task, run_guarded
from tray_app.backends.exported import ERROR, Body, Call, Exported, Fault, Reply, answer
from tray_app.session_bus import Address

BUS = "org.freedesktop.DBus"
THE_BUS = Address(BUS, "/org/freedesktop/DBus", BUS)
ANSWER_LIMIT_S = 3.0

Answered = Callable[[Body | Fault], object]
SignalHandler = Callable[[str, Body], None]  # the signal's name and what it carries

log = logging.getLogger(__name__)


class BusGone(LoopEnded):
    """Say that there is no session bus, or no more."""


class SessionBus:
    """Call, offer objects and hear signals on the session bus; connects when made, or raises BusGone."""

    def __init__(self) -> None:
        try:
            self._connection = open_dbus_connection(_session_bus())
        except (OSError, ValueError, RuntimeError) as error:
            raise BusGone(str(error) or type(error).__name__) from error
        self.unique_name: str = self._connection.unique_name
        self._agenda = Agenda()
        self._objects: dict[str, Exported] = {}
        self._handlers: dict[str, list[SignalHandler]] = {}
        self._waiting: dict[int, Answered] = {}
        self._is_stopped = False

    def run(self) -> None:
        """Serve until `stop`; raises BusGone when the bus goes away."""
        while not self._is_stopped:
            self._turn()

    def stop(self) -> None:
        """Make `run` return; any thread and signal handlers."""
        self._is_stopped = True
        self._connection.interrupt()

    def close(self) -> None:
        """Leave the bus, which then takes our names and registrations back; not while `run` runs, twice is no error."""
        self._connection.close()

    def post(self, task: Task) -> None:
        """Have the loop run a task soon; any thread."""
        self._agenda.post(task)
        self._connection.interrupt()

    def after(self, delay_s: float, task: Task) -> None:
        """Have the loop run a task later; naming the same task again moves it."""
        self._agenda.after(delay_s, task)

    def export(self, exported: Exported) -> None:
        """Offer an object to everybody on the bus."""
        self._objects[exported.path] = exported

    def emit(self, exported: Exported, name: str, *body: Any) -> None:
        """Send one of an object's signals to whoever listens."""
        signature = "".join(exported.signals[name])
        self._send(messages.signal(exported.path, exported.interface, name, signature, body))

    def call(self, to: Address, member: str, signature: str, body: Body, then: Answered = lambda _: None) -> None:
        """Call a method and go on; `then` gets the answer, or the Fault."""
        serial = next(self._connection.outgoing_serial)
        self._waiting[serial] = then
        self._send(messages.method_call(to, member, signature, body), serial)

    def ask(self, to: Address, member: str, signature: str, body: Body) -> Body | Fault:
        """Call a method and wait for the answer; before `run` only."""
        answers: list[Body | Fault] = []
        self.call(to, member, signature, body, answers.append)
        self.after(ANSWER_LIMIT_S, partial(answers.append, Fault(ERROR + "NoReply")))
        while not answers:
            self._turn()
        return answers[0]

    def has_owner(self, name: str) -> bool:
        """Ask whether somebody owns a name, and wait for the answer; before `run` only."""
        answer = self.ask(THE_BUS, "NameHasOwner", "s", (name,))
        return not isinstance(answer, Fault) and bool(answer[0])

    def listen(self, handler: SignalHandler, interface: str, **conditions: str) -> None:
        """Have the handler called for every signal of an interface that meets these conditions of a match rule."""
        self._handlers.setdefault(interface, []).append(handler)
        self.call(THE_BUS, "AddMatch", "s", (messages.signal_rule(interface, conditions),))

    def watch_name(self, name: str, changed: Callable[[bool], None]) -> None:
        """Have `changed` told whenever a name gets an owner or loses it."""

        def on_signal(member: str, body: Body) -> None:
            if member == "NameOwnerChanged" and body[0] == name:
                changed(bool(body[2]))

        self.listen(on_signal, BUS, sender=BUS, member="NameOwnerChanged")

    def _turn(self) -> None:
        self._agenda.run_due()
        try:
            message = self._connection.receive(timeout=self._agenda.wait_s())
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
    """Return the session bus's address; libdbus too falls back to the bus of systemd's user session."""
    if os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return "SESSION"
    socket = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nonexistent") / "bus"
    if not socket.exists():
        raise BusGone("DBUS_SESSION_BUS_ADDRESS is not set")
    return f"unix:path={socket}"
