"""Streams that are whole, or of formats nobody knows, come through byte for byte and as soon as they are there."""

from collections.abc import Callable

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Fin,
    Sse,
    Stall,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, connect
from fakes.streaming import (
    CHAT,
    DONE,
    FINISHED,
    RESPONSES,
    SDKS,
    STREAM,
    UNFINISHED,
    bytes_of,
    read_with_sdk,
    response_events,
    stream,
)
from fakes.wire_client import JSON_TYPE

# --- what is whole comes through as it came ---------------------------------------------------------------------------

PLAIN = bytes_of(*FINISHED) + DONE
HEALTHY: dict[str, bytes] = {
    "plain": PLAIN,
    "CRLF": PLAIN.replace(b"\n", b"\r\n"),
    "CR": PLAIN.replace(b"\n", b"\r"),
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "comments": b": OPENROUTER PROCESSING\n\n" + PLAIN.replace(b"data:", b": still here\n\ndata:"),
    "ids": PLAIN.replace(b"data:", b"id: 1\nretry: 5\ndata:"),
    "no space": PLAIN.replace(b"data: ", b"data:"),
    "usage with the finish": bytes_of(FINISHED[0], {**FINISHED[-1], "usage": {"total_tokens": 1}}) + DONE,
    "two choices": bytes_of(
        {"choices": [{"index": 1, "delta": {}, "finish_reason": None}]},
        *FINISHED,
        {"choices": [{"index": 1, "delta": {}, "finish_reason": "stop"}]},
    )
    + DONE,
    "a filter's word first": bytes_of({"choices": [], "prompt_filter_results": []}, *FINISHED) + DONE,
    "words after the finish": bytes_of(*FINISHED, {"choices": [{"index": 0, "content_filter_offsets": {}}]}) + DONE,
    "letters and escapes": bytes_of(*completion_chunks("Grüße 😀", '"}]\n\\', "\u2028", "data: [DONE]")) + DONE,
    "many": bytes_of(*completion_chunks(*(f"word{number} " for number in range(2000)))) + DONE,
    "an event of 2 MB": bytes_of(*completion_chunks("a", "x" * 2_000_000, "b")) + DONE,
}


@pytest.mark.core
@pytest.mark.parametrize("cut", [1, 7, 100, 65_536])
@pytest.mark.parametrize("healthy", HEALTHY.values(), ids=HEALTHY)
def test_a_whole_stream_comes_through_byte_for_byte(
    proxy: RunningProxy, upstream: Fresh, healthy: bytes, cut: int
) -> None:
    upstream.answer(Sse([healthy], done=False, cut=max(cut, len(healthy) // 2000)))

    assert stream(proxy).body == healthy


def test_usage_nobody_asked_for_comes_through_where_the_proxy_does_not_ask_either(
    upstream: Fresh, start: Callable[..., RunningProxy]
) -> None:
    chunks = [{"usage": None, **chunk} for chunk in completion_chunks("Hi", usage=True)]
    upstream.answer(Sse(chunks))

    reply = stream(start(upstream.provider.base_url, openai_stream_usage=False))
    assert reply.body == bytes_of(*chunks) + DONE


@pytest.mark.parametrize("cut", [7, 65_536])
def test_a_whole_response_comes_through_byte_for_byte(proxy: RunningProxy, upstream: Fresh, cut: int) -> None:
    healthy = b"".join(response_events("Hel", "lo"))
    upstream.answer(Sse([healthy], done=False, cut=cut))

    assert stream(proxy, RESPONSES).body == healthy


@pytest.mark.parametrize(
    "name", [name for name in HEALTHY if name not in ("CR", "two choices", "a filter's word first")]
)
@pytest.mark.parametrize("kind", SDKS)
def test_an_sdk_reads_a_whole_stream_as_it_does_directly(
    proxy: RunningProxy, upstream: Fresh, kind: str, name: str
) -> None:
    upstream.answer(Sse([HEALTHY[name]], done=False, cut=4096))
    direct = read_with_sdk(upstream.provider.base_url, kind)

    assert read_with_sdk(proxy.base_url, kind) == direct


def test_each_event_comes_through_before_the_next_is_there(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(UNFINISHED[:1], done=False, end=Stall()))
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, STREAM, JSON_TYPE)).read_head()

        assert client.read_chunk() == bytes_of(UNFINISHED[0])


def test_a_long_event_comes_through_before_it_ends(proxy: RunningProxy, upstream: Fresh) -> None:
    begun = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 100_000
    upstream.answer(Sse([begun], done=False, end=Stall()))
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, STREAM, JSON_TYPE)).read_head()

        assert client.read_exactly(6)


TRAPS = {
    "a ping right before an event": (b": ping\n", b": keep-alive\n"),
    "a ping": (b": ping\n\n", b": keep-alive\n\n"),
    "pings": (b": ping - 1\n: ping\r\n: sleeping\n\n", b": keep-alive - 1\n: keep-alive\r\n: sleeping\n\n"),
    "an empty data:": (b"data:\n\n", b": keep-alive\n\n"),
    "data: of a space": (b"data: \n\n", b": keep-alive\n\n"),
}


@pytest.mark.parametrize(("sent", "given"), TRAPS.values(), ids=TRAPS)
def test_q7_q8_a_heartbeat_that_some_client_stumbles_over_becomes_one_that_none_does(
    proxy: RunningProxy, upstream: Fresh, sent: bytes, given: bytes
) -> None:
    upstream.answer(Sse([UNFINISHED[0], sent, *FINISHED], gap_s=0.01))

    assert stream(proxy).body == bytes_of(UNFINISHED[0], given, *FINISHED) + DONE


# --- streams of formats nobody knows ----------------------------------------------------------------------------------


def test_a_stream_of_an_unknown_format_is_passed_on_untouched(proxy: RunningProxy, upstream: Fresh) -> None:
    strange = b"data: no JSON\n\n: ping\n\ndata:\n\nhalf an event"
    upstream.answer(Sse([strange], done=False))

    assert stream(proxy, "/v1/threads/t/runs").body == strange


def test_a_stream_of_an_unknown_format_that_breaks_off_does_not_look_complete(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answer(Sse(UNFINISHED, done=False, end=Fin()))

    with pytest.raises((EOFError, ConnectionError)):
        stream(proxy, "/v1/threads/t/runs")
