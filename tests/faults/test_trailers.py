"""What an upstream puts around and behind its answer's body: it reaches nobody, and has an end in size and time."""

from typing import Any

import pytest

from fakes.asking import BODY, CHAT, FILES
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Chunk, Drip, EndHead, Fin, Header, Json, LastChunk, Raw, Script, Step, completion
from fakes.shared_upstream import Fresh, connect
from fakes.streaming import DONE, FINISHED, UNFINISHED, bytes_of, stream, told_error
from fakes.wire_client import JSON_TYPE

SETTLED = 8_000_000  # more bytes of a flood than the two sides of this computer hold between them
BEGINNINGS: dict[str, list[Step]] = {
    "read whole": [Header("Content-Type", "application/json"), EndHead(chunked=True), Chunk(b'{"object":"list"}')],
    "passed along": [Header("Content-Type", "text/plain"), EndHead(chunked=True), Chunk(b"text")],
}
PATHS = {"read whole": CHAT, "passed along": FILES}
ENDLESS = {
    "one trailer": (b"0\r\nX-A: ", b"x" * 10_000),
    "one trailer's name": (b"0\r\n", b"x" * 10_000),
    "many trailers": (b"0\r\n", b"X-A: a\r\n" * 1_000),
}


def is_complete(proxy: RunningProxy, path: str) -> bool:
    """Ask; tell whether the client could take the answer for a whole one."""
    with connect(proxy) as client:
        try:
            return client.send(client.request("POST", path, BODY, JSON_TYPE)).read_reply().status == 200
        except (EOFError, ConnectionError):
            return False


@pytest.mark.core
@pytest.mark.parametrize("kind", BEGINNINGS)
@pytest.mark.parametrize(("begin", "more"), ENDLESS.values(), ids=ENDLESS)
def test_a_trailer_without_an_end_breaks_the_answer_off(
    proxy: RunningProxy, upstream: Fresh, kind: str, begin: bytes, more: bytes
) -> None:
    before = upstream.provider.bytes_sent
    upstream.answer(Script([*BEGINNINGS[kind], Raw(begin), *[Raw(more)] * (2 * SETTLED // len(more))]))

    assert not is_complete(proxy, PATHS[kind])
    upstream.wait_for_hangup()
    assert upstream.provider.bytes_sent - before < SETTLED


@pytest.mark.core
@pytest.mark.parametrize("kind", BEGINNINGS)
@pytest.mark.parametrize("begin", [b"0\r\nX-Drip: ", b"1;drip="], ids=["a trailer", "an extension"])
def test_a_trailer_that_drips_breaks_the_answer_off(
    impatient: RunningProxy, upstream: Fresh, kind: str, begin: bytes
) -> None:
    upstream.answer(Script([*BEGINNINGS[kind], Raw(begin), Drip(b"x" * 1_000, gap_s=0.05)]))

    assert not is_complete(impatient, PATHS[kind])
    upstream.wait_for_hangup()


@pytest.mark.parametrize("begun", [FINISHED, UNFINISHED], ids=["finished", "unfinished"])
def test_a_trailer_that_drips_behind_a_stream_holds_no_client(
    impatient: RunningProxy, upstream: Fresh, begun: list[Any]
) -> None:
    events = bytes_of(*begun)
    head: list[Step] = [Header("Content-Type", "text/event-stream"), EndHead(chunked=True), Chunk(events)]
    upstream.answer(Script([*head, Raw(b"0\r\nX-Drip: "), Drip(b"x" * 1_000, gap_s=0.05)]))
    reply = stream(impatient)

    if begun is FINISHED:  # nothing of it is missing
        assert reply.body == events + DONE
    else:
        assert told_error(reply, events)["code"] == "upstream_timeout"
    upstream.wait_for_hangup()


def test_a_body_that_drips_for_longer_than_an_upstream_may_be_silent_is_waited_for(
    impatient: RunningProxy, upstream: Fresh
) -> None:
    head: list[Step] = [Header("Content-Type", "text/plain"), EndHead()]
    upstream.answer(Script([*head, Drip(b"x" * 40, gap_s=0.05), Fin()]))

    assert is_complete(impatient, FILES)


@pytest.mark.core
def test_a_trailer_reaches_nobody_and_the_connection_is_used_again(proxy: RunningProxy, upstream: Fresh) -> None:
    trailer = b"Set-Cookie: a=b\r\nx-request-id: of-the-trailer\r\n"
    upstream.answers([Script([*BEGINNINGS["passed along"], LastChunk(trailer)]), Json(completion("Hello"))])
    with connect(proxy) as client:
        first = client.ask("GET", FILES)
        second = client.post(CHAT, BODY)

    assert (first.status, first.body, first.header("x-request-id")) == (200, b"text", None)
    assert second.json() == completion("Hello")
