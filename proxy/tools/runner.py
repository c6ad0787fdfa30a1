"""Run one call: check it, ask whether it may run, and make a record of whatever happens."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from proxy.settings.model import Settings
from proxy.tools.arguments import NONE_GIVEN, Unreadable, read_arguments
from proxy.tools.invocation import result_of, size_of
from proxy.tools.tool import CallFailed, CallRecord, Outcome, Tool
from proxy.tools.workers import Workers

NAME_LIMIT = 64

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
            result = await result_of(self._workers, checked, arguments, limits.seconds, limits.result_bytes)
        except CallFailed as failure:
            outcome, result = failure.outcome, f"Error: {failure}"
        return log_call(CallRecord(name, arguments, result, outcome, time.monotonic() - began), mark)


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


def log_call(record: CallRecord, mark: str) -> CallRecord:
    """Write the audit line of a call: its name, outcome and duration, nothing of what was said."""
    log.info("%s tool %r %s %.3f s", mark or "-", record.name[:NAME_LIMIT], record.outcome, record.seconds)
    return record
