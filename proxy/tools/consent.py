"""Whether a call may run: the user's rules, and where they say so, a question to the user.

Whoever can ask (the tray, a terminal) attaches itself as an Asker; the program's page hands the answer to
`Consent.answer`, from any thread. Where nobody is attached the answer is no; so it is for `serve` without a terminal. A
question waits on the event loop only for the request it belongs to.
"""

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, Protocol

from proxy.errors.proxy_error import ProxyError
from proxy.tools.tool import Tool

Rule = Literal["auto", "ask", "never"]
Decision = Literal["yes", "no", "always"]

WAIT_S = 60.0  # then the answer is no
MAX_QUESTIONS = 32  # more open ones than this are answered no at once: nobody reads them

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """Ask whether this tool may run with these arguments."""

    id: int
    tool: str
    source: str  # function_tools.py, shipped, or the MCP server's name
    arguments: str  # all of them, as JSON text
    asker: str = ""  # the client program and the model, as far as they are known
    ends_at: float = field(default=0.0, compare=False)  # when it is answered with no, seconds of the wall clock


class Asker(Protocol):
    """Somebody who can put a question to the user. Both methods run on the event loop and must return at once."""

    def ask(self, question: Question) -> None:
        """Show the question; the answer goes to `Consent.answer` within WAIT_S seconds."""

    def withdraw(self, question: Question) -> None:
        """Take the question away: it was answered (maybe elsewhere), or its time is up, or its request is gone."""


@dataclass(frozen=True)
class OpenQuestion:
    """A question, and the request that waits for it."""

    question: Question
    loop: asyncio.AbstractEventLoop
    decided: "asyncio.Future[bool]" = field(compare=False)

    def decide(self, allowed: bool) -> None:
        """Hand the answer over to the request's loop."""
        self.loop.call_soon_threadsafe(self._settle, allowed)

    def _settle(self, allowed: bool) -> None:
        if not self.decided.done():  # the first answer counts
            self.decided.set_result(allowed)


class Consent:
    """Decide about calls. For any thread, but `permits` is for the event loop.

    `rules` are the settings' (name or pattern: auto, ask, never); `remember` keeps "always" for a tool.
    """

    def __init__(
        self, rules: Callable[[], Mapping[str, Rule]], remember: Callable[[str], None], wait_s: float = WAIT_S
    ) -> None:
        self._rules = rules
        self._remember = remember
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._askers: list[Asker] = []
        self._open: dict[int, OpenQuestion] = {}
        self._always: set[str] = set()  # until the program ends, where it could not be kept in the settings

    def attach(self, asker: Asker) -> Callable[[], None]:
        """Let somebody ask from now on; returns the function that detaches them."""
        with self._lock:
            self._askers = [*self._askers, asker]
        return lambda: self._detach(asker)

    @property
    def questions(self) -> tuple[Question, ...]:
        """Return the open questions, the oldest first."""
        with self._lock:
            return tuple(entry.question for entry in self._open.values())

    def rule_for(self, tool: Tool) -> Rule:
        """Return the user's rule for a tool: by its name, by the first pattern that fits, by the kind of tool."""
        rules = self._rules()
        if tool.name in self._always:
            return "auto"
        if tool.name in rules:
            return rules[tool.name]
        fitting = (rule for pattern, rule in rules.items() if fnmatchcase(tool.name, pattern))
        return next(fitting, "auto" if tool.is_trusted else "ask")

    def answer(self, question_id: int, decision: Decision) -> bool:
        """Take the user's answer; False where the question is over. "always" writes the settings file: it may block."""
        with self._lock:
            entry = self._open.get(question_id)
            same = [other for other in self._open.values() if entry and other.question.tool == entry.question.tool]
        if entry is None:
            return False
        if decision == "always":
            self._keep(entry.question.tool)
        for other in same if decision == "always" else [entry]:
            other.decide(decision != "no")
        return True

    async def permits(self, tool: Tool, arguments: str, asked_by: str = "") -> bool:
        """Tell whether a call may run; asks the user where their rules say so."""
        rule = self.rule_for(tool)
        if rule != "ask":
            return rule == "auto"
        with self._lock:
            askers = self._askers
            if not askers or len(self._open) >= MAX_QUESTIONS:
                return False
            ends_at = time.time() + self._wait_s
            entry = self._note(Question(next(self._ids), tool.name, tool.source, arguments, asked_by, ends_at))
        try:
            shown = [told(listener.ask, entry.question) for listener in askers]
            if True not in shown:
                return False
            await asyncio.wait({entry.decided}, timeout=self._wait_s)
            return entry.decided.done() and entry.decided.result()
        finally:
            with self._lock:
                del self._open[entry.question.id]
            for listener in askers:
                told(listener.withdraw, entry.question)

    def _note(self, question: Question) -> OpenQuestion:
        loop = asyncio.get_running_loop()
        entry = self._open[question.id] = OpenQuestion(question, loop, loop.create_future())
        return entry

    def _keep(self, name: str) -> None:
        self._always.add(name)
        try:
            self._remember(name)
        except (ProxyError, OSError) as error:
            log.warning("that %r may always run holds only until the program ends: %s", name, error)
        else:
            self._always.discard(name)

    def _detach(self, asker: Asker) -> None:
        with self._lock:
            self._askers = [other for other in self._askers if other is not asker]


def told(tell: Callable[[Question], None], question: Question) -> bool:
    """Tell an asker; what goes wrong with one must not stop the others."""
    try:
        tell(question)
    except Exception:
        log.exception("a question could not be shown or taken away")
        return False
    return True
