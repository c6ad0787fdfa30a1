"""The fault table's row on slow readers: each holds a bounded amount in the proxy and slows nobody else's upstream."""

import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.asking import CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Answer, EndHead, Flood, Header, Json, Raw, Script, ScriptedUpstream, Sse, completion
from fakes.scripted_upstream import completion_chunks as chunks
from fakes.shared_upstream import connect, proxy_before
from fakes.streaming import DONE, KEEP_ALIVE, STREAM, bytes_of, stream
from fakes.wire_client import JSON_TYPE, WireClient
from waiting import settled

READERS = 4
MOST_BYTES = 2**20
HEAD = [Header("Content-Type", "text/event-stream"), EndHead(chunked=True)]
BEGUN = b'data: {"choices":[{"index":0,"delta":{"content":"'

FLOODS: dict[str, tuple[str, Answer]] = {
    "many events": (CHAT, Script([*HEAD, Flood(2**30, bytes_of(*chunks("word " * 200, finish=None)) * 50)])),
    "an event without an end": (CHAT, Script([*HEAD, Raw(b"%x\r\n%b\r\n" % (len(BEGUN), BEGUN)), Flood(2**30)])),
    "a format nobody knows": ("/v1/passed/on", Script([*HEAD, Flood(2**30)])),
}


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream(send_buffer_bytes=65_536) as server:
        yield server


@pytest.fixture
def proxy(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[RunningProxy]:
    # What is held for the page that shows requests has a budget of its own.
    with proxy_before(upstream.base_url, tmp_path, keep_alive_s=0.1, proxy_capture=False) as running:
        yield running


def read_nothing(proxy: RunningProxy, path: str, stack: ExitStack) -> WireClient:
    """Ask for a stream, see it begin, and read no more of it."""
    client = stack.enter_context(connect(proxy, receive_buffer_bytes=65_536))
    client.send(client.request("POST", path, STREAM, JSON_TYPE)).read_head()
    return client


@pytest.mark.core
@pytest.mark.parametrize(("path", "flood"), FLOODS.values(), ids=FLOODS)
def test_a_reader_who_takes_nothing_holds_at_most_1_mb_in_the_proxy(
    proxy: RunningProxy, upstream: ScriptedUpstream, path: str, flood: Answer
) -> None:
    upstream.answer(Json(completion("Hello")))
    assert stream(proxy, path, STREAM.replace(b"true", b"false")).status == 200  # what is made once exists now
    upstream.answer(flood)
    with ExitStack() as stack:
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(READERS):
            read_nothing(proxy, path, stack)
        upstream.wait_for_bytes_sent(READERS)
        settled(lambda: upstream.bytes_sent)
        held_bytes = tracemalloc.get_traced_memory()[0] - before  # the scripted upstream's own share is in it

    assert held_bytes / READERS < MOST_BYTES


def test_readers_who_take_nothing_slow_nobody_else(proxy: RunningProxy, upstream: ScriptedUpstream) -> None:
    upstream.answer(FLOODS["many events"][1])
    with ExitStack() as stack:
        for _ in range(READERS):
            read_nothing(proxy, CHAT, stack)
        settled(lambda: upstream.bytes_sent)
        upstream.answer(Sse(chunks("Hel", "lo")))

        assert stream(proxy, limit_s=3).body.replace(KEEP_ALIVE, b"") == bytes_of(*chunks("Hel", "lo")) + DONE


def test_a_reader_who_pauses_for_longer_than_the_upstream_may_misses_nothing(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    events = bytes_of(*chunks(*(f"word{number}" for number in range(20_000))))
    upstream.answer(Sse([events], cut=65_536))
    with proxy_before(upstream.base_url, tmp_path, openai_timeout=0.5) as proxy, ExitStack() as stack:
        client = read_nothing(proxy, CHAT, stack)
        settled(lambda: upstream.bytes_sent, still_s=1)

        assert client.read_chunks().replace(KEEP_ALIVE, b"") == events + DONE


@pytest.mark.core
def test_an_upstream_that_a_slow_reader_holds_back_is_not_taken_for_silent(tmp_path: Path) -> None:
    pieces, chunk = 3_000, b"fa0\r\n" + b"x" * 4_000 + b"\r\n"
    answer = Script([*HEAD, Raw(chunk * pieces + b"0\r\n\r\n")])
    with (
        ScriptedUpstream() as upstream,
        proxy_before(upstream.base_url, tmp_path, openai_timeout=0.4) as proxy,
        connect(proxy, receive_buffer_bytes=4_096) as client,
    ):
        upstream.answer(answer)
        client.send(client.request("POST", "/v1/passed/on", STREAM, JSON_TYPE)).read_head()
        time.sleep(1.5)  # the reader's slowness itself

        assert len(client.read_chunks()) == pieces * 4_000
