"""Stage: read a small body, and pass a large one along as it arrives."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from proxy.errors.request import BodyTooLarge, UploadTooLarge
from proxy.errors.upstream import UpstreamTimeout
from proxy.exchange.arriving import ArrivingBody
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow
from proxy.http.answer import Answer
from proxy.policy.endpoints import takes_files as takes_files

READ_FIRST_BYTES = 1_048_576  # a body up to here is read first and can be sent again
LOOKS = 4  # at an upload under way, within the time the upstream may take nothing of it

T = TypeVar("T")


class Upload(Stage):
    """Fill in the body of a request that is passed on as it came."""

    kinds = frozenset({"relay"})

    def __init__(self, parts: Parts) -> None:
        """Take nothing: it needs none of the parts."""

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Pass it on; raises BodyTooLarge, MalformedRequest, and UpstreamTimeout where an upload gets stuck."""
        incoming, settings = request.incoming, request.settings
        is_upload = takes_files(request.head.path)
        limit_bytes = settings.max_upload_bytes if is_upload else settings.max_body_bytes
        if incoming.length == 0:
            return await next(flow, request)
        if incoming.length is not None and incoming.length > limit_bytes:
            raise (UploadTooLarge if is_upload else BodyTooLarge)(f"{incoming.length} bytes")
        request.length = incoming.length
        if incoming.length is not None and incoming.length <= READ_FIRST_BYTES:
            request.body = await incoming.read(limit_bytes)
            flow.bytes_up = len(request.body)
            if flow.recorder is not None:
                flow.recorder.body_came(request.body)
            return await next(flow, request)
        body = request.body = ArrivingBody(incoming.pieces(limit_bytes), flow)
        try:
            return await watched(next(flow, request), body, request.settings.openai_timeout)
        finally:
            body.close()


async def watched(sending: Awaitable[T], body: ArrivingBody, limit_s: float) -> T:
    """Return what sending a body gives; raises UpstreamTimeout where the upstream takes nothing of it.

    No read of ours would end such a wait: there is nothing to read, neither from the upstream nor, with every buffer
    full, from a client that has long left.
    """
    task = asyncio.ensure_future(sending)
    try:
        while not (await asyncio.wait([task], timeout=limit_s / LOOKS))[0]:
            if body.is_stuck(limit_s):
                raise UpstreamTimeout("it takes nothing of the upload")
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # looked at, or asyncio would log that nobody did
