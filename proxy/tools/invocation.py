"""Run one tool within its time, and turn what it returns or raises into a short text for the model.

The proxy and the functions' process both do so; neither the settings nor the loop is known here.
"""

import asyncio
import logging
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from proxy.logs.redaction import redact
from proxy.tools.rich_result import RichResult
from proxy.tools.tool import CallFailed, Tool, told_of
from proxy.tools.workers import SHARED, Workers

MESSAGE_LIMIT = 300
SEARCHED_LIMIT = 4_096  # so much of it is searched for keys and folders
# The folders of an absolute path, on any system; a URL's slashes are none.
FOLDERS = re.compile(r"(?<![\w:/.\\])(?:~|[A-Za-z]:)?[\\/](?:[^\s'\"<>|:*?\\/]+[\\/])+")

log = logging.getLogger(__name__)


async def result_of(workers: Workers, tool: Tool, arguments: str, limit_s: float, limit_bytes: int) -> str:
    """Return what a call gives within its time; raises CallFailed. What runs longer is left behind."""
    lane = tool.name if tool.may_block else SHARED
    work = (
        await workers.begin(lane, partial(awaited, tool, arguments, limit_bytes))
        if tool.is_async
        else workers.call(partial(called, tool, arguments, limit_bytes))
    )
    future = asyncio.wrap_future(work)
    try:
        done, _ = await asyncio.wait({future}, timeout=None if tool.keeps_time else limit_s)
    finally:
        future.cancel()  # does nothing to one that is done
    if not done:
        if tool.is_async:
            await workers.leave_if_blocked(lane)
        else:
            workers.leave(work)
        raise out_of_time(limit_s)
    if future.cancelled():
        raise CallFailed("failed", "The tool was stopped.")
    result = future.result()
    if isinstance(result, CallFailed):
        raise result
    return result


def out_of_time(limit_s: float) -> CallFailed:
    """Return what the model is told of a call that took too long."""
    return CallFailed("timed out", f"The tool did not finish within {limit_s:g} seconds.")


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
