"""Run one call: check, limit, and turn whatever happens into a short text for the model."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from proxy.logs.redaction import redact
from proxy.settings.model import Settings
from proxy.tools.arguments import NONE_GIVEN, Unreadable, read_arguments
from proxy.tools.rich_result import RichResult
from proxy.tools.tool import CallFailed, CallRecord, Outcome, Tool, told_of
from proxy.tools.workers import SHARED, Workers

MESSAGE_LIMIT = 300
SEARCHED_LIMIT = 4_096  # so much of it is searched for keys and folders
NAME_LIMIT = 64
# The folders of an absolute path, on any system; a URL's slashes are none.
FOLDERS = re.compile(r"(?<![\w:/.\\])(?:~|[A-Za-z]:)?[\\/](?:[^\s'\"<>|:*?\\/]+[\\/])+")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CallLimits:
    """What one call may take."""

    seconds: float
    arguments_bytes: int
    result_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> "CallLimits":
        """Return the limits the settings set."""
        return cls(settings.tool_timeout, settings.tool_max_arguments_kb * 1024, settings.tool_max_result_kb * 1024)


Permits = Callable[[Tool, str], Awaitable[bool]]


async def anything(tool: Tool, arguments: str) -> bool:  # noqa: ARG001  as Permits has it
    """Permit every call."""
    return True


class Runner:
    """Run calls, each within its limits. Any number at the same time."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    async def run(
        self,
        tool: Tool | None,
        name: str,
        arguments: str,
        limits: CallLimits,
        permits: Permits = anything,
        mark: str = "",
    ) -> CallRecord:
        """Return the record of a call, whatever became of it; its cancellation alone is passed on.

        `tool` is None where no tool has that name; `permits` may ask the user, which does not count as the call's time;
        `mark` stands before the line in the log.
        """
        began = time.monotonic()
        outcome: Outcome = "ok"
        arguments = arguments if arguments.strip() else NONE_GIVEN
        try:
            checked = check_call(tool, name, arguments, limits)
            if not await permits(checked, arguments):
                raise CallFailed("refused", "The user did not allow this call.")  # noqa: TRY301  one way out for all
            began = time.monotonic()
            result = await self._result(checked, arguments, limits)
        except CallFailed as failure:
            outcome, result = failure.outcome, f"Error: {failure}"
        return log_call(CallRecord(name, arguments, result, outcome, time.monotonic() - began), mark)

    async def _result(self, tool: Tool, arguments: str, limits: CallLimits) -> str:
        lane = tool.name if tool.may_block else SHARED
        work = (
            await self._workers.begin(lane, partial(awaited, tool, arguments, limits.result_bytes))
            if tool.is_async
            else self._workers.call(partial(called, tool, arguments, limits.result_bytes))
        )
        future = asyncio.wrap_future(work)
        try:
            done, _ = await asyncio.wait({future}, timeout=None if tool.keeps_time else limits.seconds)
        finally:
            future.cancel()  # does nothing to one that is done
        if not done:
            await (self._workers.leave_if_blocked(lane) if tool.is_async else self._leave(work))
            raise CallFailed("timed out", f"The tool did not finish within {limits.seconds:g} seconds.")
        if future.cancelled():
            raise CallFailed("failed", "The tool was stopped.")
        result = future.result()
        if isinstance(result, CallFailed):
            raise result
        return result

    async def _leave(self, work: "Future[Any]") -> None:
        self._workers.leave(work)


def check_call(tool: Tool | None, name: str, arguments: str, limits: CallLimits) -> Tool:
    """Return the tool of a call; raises CallFailed where there is none, or for arguments too large or no object."""
    if tool is None:
        raise CallFailed("unknown name", f"There is no tool named {name[:NAME_LIMIT]!r}.")
    if size_of(arguments) > limits.arguments_bytes:
        raise CallFailed("too large", f"The arguments are larger than {limits.arguments_bytes} bytes.")
    try:
        read_arguments(arguments)
    except Unreadable as why:
        raise CallFailed("bad arguments", f"The arguments of {name} cannot be read, so it was not run: {why}.") from why
    return tool


def called(tool: Tool, arguments: str, limit_bytes: int) -> str | CallFailed:
    """Run a tool in the current thread. A failure is returned: some exceptions cannot travel through a future."""
    try:
        return as_text(tool.invoke(arguments), limit_bytes)
    except CallFailed as failure:
        return failure
    except BaseException as error:  # noqa: BLE001  the user's code may raise anything, SystemExit too
        return failed(tool, error)


async def awaited(tool: Tool, arguments: str, limit_bytes: int) -> str | CallFailed:
    """Run a tool on the current loop, as `called` does."""
    try:
        return as_text(await tool.invoke(arguments), limit_bytes)
    except CallFailed as failure:
        return failure
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  as above
        return failed(tool, error)


def failed(tool: Tool, error: BaseException) -> CallFailed:
    """Return what the model is told of an exception; the traceback is for the log at its finest."""
    log.debug("the tool %s raised", tool.name, exc_info=error)
    kind, colon, said = told_of(error)[:SEARCHED_LIMIT].partition(": ")
    return CallFailed("failed", f"The tool failed: {kind}{colon}{FOLDERS.sub('', redact(said))[:MESSAGE_LIMIT]}")


def as_text(result: Any, limit_bytes: int) -> str:
    """Return a result as the model gets it: a string as it is, anything else as JSON; raises CallFailed.

    Where the result is of the user's own making, so may be what is raised.
    """
    if isinstance(result, Iterator):  # which may never end
        result = list(islice(result, limit_bytes + 1))
        if len(result) > limit_bytes:
            raise CallFailed("too large", f"The result is longer than the {limit_bytes} bytes that can be passed on.")
    if type(result) is RichResult:  # ours, with images and files beside its text
        text: str = result
        return within(text, limit_bytes)
    try:
        text = str.__str__(result) if isinstance(result, str) else to_json(result, inf_nan_mode="constants").decode()
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        kind = type(result).__name__
        raise CallFailed("failed", f"The tool returned a {kind} that cannot be written as JSON.") from error
    return within(text, limit_bytes)


def within(text: str, limit_bytes: int) -> str:
    """Return a text that is not too long; raises CallFailed."""
    if (size := size_of(text)) > limit_bytes:
        raise CallFailed("too large", f"The result has {size} bytes; at most {limit_bytes} can be passed on.")
    return text


def size_of(text: str) -> int:
    """Return how many bytes a text takes."""
    return len(text.encode("utf-8", "surrogatepass"))


def log_call(record: CallRecord, mark: str) -> CallRecord:
    """Write the audit line of a call: its name, outcome and duration, nothing of what was said."""
    log.info("%s tool %r %s %.3f s", mark or "-", record.name[:NAME_LIMIT], record.outcome, record.seconds)
    return record
