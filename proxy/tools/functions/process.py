"""The functions' process as the proxy sees it: started, asked over its pipes, ended whole. Lives on one loop.

A call that runs out of time is told so; then the process is asked for a sign of life. One that gives none is held by
its function, which nothing but the end of the process can stop.
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from proxy.tools.functions.frames import Frames, Message, NoFrame, frame
from proxy.tools.functions.memory import OUT_OF_MEMORY
from proxy.tools.functions.output import Output
from proxy.tools.functions.start import NO_CONSOLE, command, environment
from proxy.tools.invocation import out_of_time
from proxy.tools.mcp.orphans import Orphans
from proxy.tools.rich_result import RichResult
from proxy.tools.tool import CallFailed

START_S = 30.0
ALIVE_S = 1.0  # for a sign of life
REST_S = 0.02  # after each chunk of output: a function that floods it must not keep the loop busy
LAST_WORDS_S = 0.3  # from the end of the process to the end of what it said
LEAVE_S = 1.0  # for a process to end by itself
TERMINATE_S = 0.5  # for what it has started, once that was asked to end
POLL_S = 0.01
ERRORS = 2  # of the three pipes; what functions print comes there too
HELD = "it did not answer, and was stopped"
CLOSED = "it closed its pipe, and was stopped"
GARBLED = "it said what cannot be read, and was stopped"
OVERFULL = "too many of its functions did not end, and it was stopped"


class ProcessEnded(Exception):
    """Say how the process has ended, in words that stand in brackets."""


class FunctionsProcess(asyncio.SubprocessProtocol):
    """One process. `ended` is called once, when it is over, on purpose or not."""

    def __init__(self, path: Path, orphans: Orphans, ended: Callable[["FunctionsProcess"], None]) -> None:
        self._path = path
        self._orphans = orphans
        self._tell_ended = ended
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls = 0
        self._is_retired = False
        self._why_killed: str | None = None
        self._watching: asyncio.Task[None] | None = None
        self._exited, self._has_said_all, self._over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.output = Output(path.name)
        self._transport: asyncio.SubprocessTransport | None = None  # until it runs
        self.how: str | None = None  # it ended
        self.has_answered = False  # a call

    async def start(self) -> None:
        """Start it, and return once it listens; raises OSError, ProcessEnded, asyncio.TimeoutError."""
        is_posix = os.name == "posix"
        try:
            await self._loop.subprocess_exec(
                lambda: self, *command(), env=environment(), start_new_session=is_posix, creationflags=NO_CONSOLE
            )
        finally:
            if self._transport is None:
                self._over.set()
        _, answer = self._ask(do="ping")
        await asyncio.wait_for(answer, START_S)

    async def load(self, source: str | None, memory_bytes: int) -> Message:
        """Return what the file holds, or what it held before where `source` is given; raises ProcessEnded."""
        _, answer = self._ask(do="load", path=str(self._path), source=source, memory_bytes=memory_bytes)
        return await answer

    async def call(self, name: str, arguments: str, limit_s: float, limit_bytes: int) -> str:
        """Return a call's result; raises CallFailed. Cancelled, it is dropped there too."""
        ends = self._loop.time() + limit_s
        self._calls += 1
        number = -1
        try:
            number, answer = self._ask(do="call", name=name, arguments=arguments, seconds=limit_s, bytes=limit_bytes)
            done, _ = await asyncio.wait({answer}, timeout=limit_s)
            if not done:
                self._check_alive()
                raise out_of_time(limit_s)
            result = answer.result()
            self.has_answered = True
            if result.get("outcome") == "too many" and self._calls == 1:  # calls that were left behind, all of them
                self._end(OVERFULL)
            return result_in(result)
        except ProcessEnded as ended:
            raise CallFailed("failed", f"The tool's process ended ({ended}).") from ended
        except asyncio.CancelledError:
            self._send({"do": "drop", "id": number})
            self._loop.call_at(ends, self._check_alive)  # a function that awaits nothing has the rest of its time
            raise
        finally:
            self._waiting.pop(number, None)
            self._calls -= 1
            if self._is_retired:
                self.retire()

    @property
    def is_over(self) -> bool:
        """Tell whether it, and what it has started, has ended, or never began."""
        return self._over.is_set()

    async def is_well(self) -> bool:
        """Tell whether a call may go to it; where it is asked for a sign of life just now, wait for that."""
        if self._watching is not None and not self._watching.done():
            await asyncio.wait({self._watching})
        if self._why_killed is not None:
            await waited_for(self._exited, LEAVE_S)
            return False
        return self.how is None

    def retire(self) -> None:
        """End it once its last call is over."""
        self._is_retired = True
        if not self._calls:
            self._begin(self.stop())

    async def stop(self) -> None:
        """End it and what it has started; a second call waits for that too."""
        self._is_retired = True
        if self._transport is None:
            return
        if self.how is None:
            self._pipe(0).close()
        if not await self._is_over(LEAVE_S):
            self.kill()
            await self._is_over(LEAVE_S + TERMINATE_S)

    def kill(self) -> None:
        """End it and what it has started, at once."""
        if self.how is None and self._transport is not None:
            self._signal(is_last=True)

    def _end(self, why: str) -> None:
        """End it because it is of no use any more."""
        if self.how is None:
            self._why_killed = self._why_killed or why
            self.kill()

    def _ask(self, **question: object) -> "tuple[int, asyncio.Future[Message]]":
        """Send a question and return its number and the answer to come; raises ProcessEnded, as the answer does."""
        if self.how is not None:
            raise ProcessEnded(self.how)
        number = next(self._numbers)
        answer = self._waiting[number] = self._loop.create_future()
        self._send({"id": number, **question})
        return number, answer

    def _send(self, message: Message) -> None:
        if self.how is None:
            self._pipe(0).write(frame(message))

    def _check_alive(self) -> None:
        """Ask for a sign of life, and end the process where there is none."""
        if self.how is None and (self._watching is None or self._watching.done()):
            self._watching = self._begin(self._watch())

    async def _watch(self) -> None:
        number, answer = self._ask(do="ping")
        await asyncio.wait({answer}, timeout=ALIVE_S)
        self._waiting.pop(number, None)
        if not answer.done():
            self._end(HELD)

    # --- as asyncio calls it

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note that it runs."""
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self.pid = self._transport.get_pid()
        self._orphans.note(self.pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what it says or prints."""
        if fd == ERRORS:
            self.output.add(data)
            self._pipe(fd).pause_reading()
            self._loop.call_later(REST_S, self._read_on)
            return
        try:
            for answer in self._frames.add(data):
                waiting = self._waiting.get(answer["id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(answer)
        except (NoFrame, KeyError, TypeError):  # a function has written there
            self._end(GARBLED)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002  as asyncio has it
        """Take note that no answer will come; a process that has closed its pipe is of no use."""
        if fd == 1:
            self._has_said_all.set()
            self._loop.call_later(LAST_WORDS_S, self._end, CLOSED)

    def process_exited(self) -> None:
        """Take note of its end."""
        code = self._transport.get_returncode() if self._transport is not None else None
        self.how = self._why_killed or described(code)
        self._tell_ended(self)
        self._exited.set()
        self._begin(self._finish())

    async def _finish(self) -> None:
        """Tell those who wait, and end what it has started."""
        await waited_for(self._has_said_all, LAST_WORDS_S)  # a process it has forked may hold the pipe open
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(ProcessEnded(self.how))
                answer.exception()  # some of them have nobody left who waits
        if os.name == "posix":
            await self._end_group()
        if self._transport is not None:
            self._transport.close()
        self._orphans.forget(self.pid)
        self._over.set()

    async def _end_group(self) -> None:
        """End what it has started and left behind."""
        ends = self._loop.time() + TERMINATE_S
        is_left = self._signal(is_last=False)
        while is_left and self._loop.time() < ends:
            await asyncio.sleep(POLL_S)
            is_left = self._signal(is_last=None)
        if is_left:
            self._signal(is_last=True)

    def _signal(self, *, is_last: bool | None) -> bool:
        """Ask the group to end (False), end it (True) or look for it (None); return whether it is there."""
        if sys.platform == "win32":
            if self._transport is not None:
                self._transport.kill()
            return False
        number = {True: signal.SIGKILL, False: signal.SIGTERM, None: 0}[is_last]
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS: what is left of it has ended and waits for its parent
            return False
        return True

    def _read_on(self) -> None:
        with suppress(AttributeError, RuntimeError):  # its pipe has been closed meanwhile
            self._pipe(2).resume_reading()

    def _pipe(self, fd: int) -> Any:
        return cast("Any", self._transport and self._transport.get_pipe_transport(fd))

    def _begin(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _is_over(self, limit_s: float) -> bool:
        await waited_for(self._over, limit_s)
        return self._over.is_set()


async def waited_for(event: asyncio.Event, limit_s: float) -> None:
    """Wait for an event, but not for ever."""
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), limit_s)


def result_in(answer: Message) -> str:
    """Return the result an answer holds; raises CallFailed."""
    if "text" not in answer:
        raise CallFailed(answer["outcome"], answer["told"])
    text: str = answer["text"]
    return RichResult(text, answer["media"]) if answer["media"] else text


def described(code: int | None) -> str:
    """Say how a process has ended."""
    if code == OUT_OF_MEMORY:
        return "it ran out of memory"
    if code is None or code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
