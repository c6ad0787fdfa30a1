"""Work on large bodies: in a worker thread, one after the other, so that neither time nor memory adds up."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from proxy.policy.body import read_object

LARGE_BYTES = 1_048_576

P = ParamSpec("P")
T = TypeVar("T")

# One for each server's loop.
GATES: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def gate() -> asyncio.Semaphore:
    """Return what lets one large body through at a time."""
    return GATES.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(1))


async def sent_fields(body: bytes, fields: dict[str, Any], *, is_current: bool) -> dict[str, Any]:
    """Return the object in a body that goes upstream: what was read of it, where that `is_current`; else read anew."""
    return fields if is_current else await off_loop(len(body), read_object, body)


async def off_loop(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what the work returns; what is small is done at once."""
    if size <= LARGE_BYTES:
        return work(*args, **kwargs)
    async with gate():
        return await asyncio.to_thread(partial(work, *args, **kwargs))
