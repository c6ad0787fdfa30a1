"""An answer that breaks off: what came before is given out first, also to who reads late."""

import asyncio
import gzip

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest

from fakes.scripted_upstream import Chunk, Content, EndHead, Fin, Header, Reset, Script
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy.errors.upstream import UpstreamFailure
from proxy.http.headers import Headers
from proxy.settings.model import Settings
from proxy.upstream.client import UpstreamClient
from proxy.upstream.messages import UpstreamRequest
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.wire import TURN_BYTES, WireAnswer

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


@pytest.mark.parametrize("encoding", [None, "gzip", "br"])
@pytest.mark.parametrize("size", [200_000, 3_000_000])
def test_others_have_their_turn_while_a_large_answer_is_read(upstream: Fresh, encoding: str | None, size: int) -> None:
    body = b"data: {}\n\n" * (size // 10)
    encode = {None: bytes, "gzip": gzip.compress, "br": brotli.compress}[encoding]
    upstream.answer(Content(encode(body), headers=[("content-encoding", encoding)] if encoding else ()))

    async def run() -> int:
        settings = Settings(openai_base_url=upstream.base_url)
        client = UpstreamClient(UpstreamOptions.of(settings, settings.upstreams[0]))
        answer = await client.send(UpstreamRequest("GET", "/files/1", "", Headers(), None, 0), UPSTREAM_KEY)
        turns, most, left = 0, 0, len(body)

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        others = asyncio.ensure_future(take_turns())
        while chunk := await answer.next_chunk():
            left -= len(chunk)
            most = most + len(chunk) if turns == 0 else len(chunk)
            turns = 0
            assert most <= 2 * TURN_BYTES
        others.cancel()
        await client.close()
        return left

    assert asyncio.run(asyncio.wait_for(run(), LIMIT_S)) == 0
