"""An answer that breaks off: what came before is given out first, also to who reads late."""

import asyncio

import pytest

from fakes.scripted_upstream import Chunk, EndHead, Fin, Header, Reset, Script
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy.errors.upstream import UpstreamFailure
from proxy.settings.model import Settings
from proxy.upstream.answers import WireAnswer
from proxy.upstream.link import Link
from proxy.upstream.messages import UpstreamRequest
from proxy.upstream.options import UpstreamOptions

LIMIT_S = 5.0
PIECES = [b"one", b"x" * 20_000, b"three"]
SMALL, LARGE = b"{}", b"x" * 300_000  # a large body takes another way


async def read_late(link: Link, body: bytes) -> bytes:
    """Ask, read once the answer is known to have broken off, and return what there was until that was told."""
    answer = await link.ask(UpstreamRequest("POST", "/files", "", [], body, len(body)), UPSTREAM_KEY)
    assert isinstance(answer, WireAnswer)
    while answer._content.exception() is None:  # noqa: ASYNC110  the client has no event for it
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
        link = Link(UpstreamOptions.of(Settings(openai_base_url=upstream.base_url)))
        try:
            return await asyncio.wait_for(read_late(link, body), LIMIT_S)
        finally:
            await link.close()

    assert asyncio.run(run()) == b"".join(PIECES)
