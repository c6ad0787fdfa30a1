"""An answer that breaks off: what came before is given out first, also to who reads late."""

import asyncio

import pytest

from fakes.scripted_upstream import Chunk, EndHead, Fin, Header, Reset, Script
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy.errors.upstream import UpstreamFailure
from proxy.http.headers import Headers
from proxy.settings.model import Settings
from proxy.upstream.client import UpstreamClient
from proxy.upstream.messages import UpstreamRequest
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.wire import WireAnswer

LIMIT_S = 5.0
PIECES = [b"one", b"x" * 20_000, b"three"]
SMALL, LARGE = b"{}", b"x" * 300_000  # a large body takes another way


async def read_late(client: UpstreamClient, body: bytes) -> bytes:
    """Ask, read once the answer is known to have broken off, and return what there was until that was told."""
    answer = await client.send(UpstreamRequest("POST", "/files", "", Headers(), body, len(body)), UPSTREAM_KEY)
    assert isinstance(answer, WireAnswer)
    while answer._failure is None:  # noqa: ASYNC110  there is no event for it
        await asyncio.sleep(0.01)
    read = b""
    try:
        while chunk := await answer.next_chunk():
            read += chunk
    except UpstreamFailure:
        return read
    finally:
        answer.close()
    raise AssertionError("it ended as if it were whole")


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("end", [Fin(), Reset()], ids=["closed", "reset"])
def test_who_reads_late_is_given_all_that_came_before_the_break(upstream: Fresh, end: Fin | Reset, body: bytes) -> None:
    octets = Header("Content-Type", "application/octet-stream")
    upstream.answer(Script([octets, EndHead(chunked=True), *map(Chunk, PIECES), end]))

    async def run() -> bytes:
        settings = Settings(openai_base_url=upstream.base_url)
        client = UpstreamClient(UpstreamOptions.of(settings, settings.upstreams[0]))
        try:
            return await asyncio.wait_for(read_late(client, body), LIMIT_S)
        finally:
            await client.close()

    assert asyncio.run(run()) == b"".join(PIECES)
