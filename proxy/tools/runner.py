"""Run one call: check, limit, and turn whatever happens into a short text for the model."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from proxy.logs.redaction import redact
from proxy.settings.model import Settings
from proxy.tools.arguments import NONE_GIVEN, Unreadable, read_arguments
from proxy.tools.tool import CallFailed, CallRecord, Outcome, Tool
from proxy.tools.workers import Workers

MESSAGE_LIMIT = 300
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
        work = (
            self._workers.await_(awaited(tool, arguments))
            if tool.is_async
            else self._workers.call(lambda: called(tool, arguments))
        )
        future = asyncio.wrap_future(work)
        try:
            done, _ = await asyncio.wait({future}, timeout=None if tool.keeps_time else limits.seconds)
        finally:
            future.cancel()  # does nothing to one that is done
        if not done:
            raise CallFailed("timed out", f"The tool did not finish within {limits.seconds:g} seconds.")
        if future.cancelled():
            raise CallFailed("failed", "The tool was stopped.")
        result = future.result()
        if isinstance(result, CallFailed):
            raise result
        if (size := size_of(result)) > limits.result_bytes:
            raise CallFailed(
                "too large", f"The result has {size} bytes; at most {limits.result_bytes} can be passed on."
            )
        return result


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


def called(tool: Tool, arguments: str) -> str | CallFailed:
    """Run a tool in the current thread. A failure is returned: some exceptions cannot travel through a future."""
    try:
        return as_text(tool.invoke(arguments))
    except CallFailed as failure:
        return failure
    except BaseException as error:  # noqa: BLE001  the user's code may raise anything, SystemExit too
        return failed(tool, error)


async def awaited(tool: Tool, arguments: str) -> str | CallFailed:
    """Run a tool on the current loop, as `called` does."""
    try:
        return as_text(await tool.invoke(arguments))
    except CallFailed as failure:
        return failure
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  as above
        return failed(tool, error)


def failed(tool: Tool, error: BaseException) -> CallFailed:
    """Return what the model is told of an exception; the traceback is for the log at its finest."""
    log.debug("the tool %s raised", tool.name, exc_info=error)
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
    text = FOLDERS.sub("", redact(said))[:MESSAGE_LIMIT]
    return CallFailed("failed", f"The tool failed: {type(error).__name__}{f': {text}' if text else ''}")


def as_text(result: Any) -> str:
    """Return a result as the model gets it: a string as it is, anything else as JSON; raises CallFailed."""
    if isinstance(result, str):
        return result
    try:
        return to_json(result, inf_nan_mode="constants").decode()
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        kind = type(result).__name__
        raise CallFailed("failed", f"The tool returned a {kind} that cannot be written as JSON.") from error


def size_of(text: str) -> int:
    """Return how many bytes a text takes."""
    return len(text.encode("utf-8", "surrogatepass"))


def log_call(record: CallRecord, mark: str) -> CallRecord:
    """Write the audit line of a call: its name, outcome and duration, nothing of what was said."""
    log.info("%s tool %r %s %.3f s", mark or "-", record.name[:NAME_LIMIT], record.outcome, record.seconds)
    return record
