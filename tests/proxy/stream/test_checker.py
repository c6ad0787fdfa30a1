"""The watcher under every cut: what is whole passes byte for byte, what is cut short never looks complete."""

import json
import random
import re
from collections.abc import Callable
from functools import partial
from itertools import takewhile

import pytest

from fakes.scripted_upstream import completion_chunks
from fakes.streaming import DONE, bytes_of, response_events
from proxy.errors.upstream import UpstreamFailure, UpstreamTimeout, UpstreamTruncated
from proxy.stream.checker import HELD_BYTES, Dialect, StreamChecker
from proxy.stream.completions import CompletionsDialect
from proxy.stream.responses import ResponsesDialect

ENDING = re.compile(rb'"finish_reason": "|response.completed')
WORDS = ["Hel", "lo", 'a "quoted" word', "ü😀\u2028", "\n\n", "data: [DONE]", ""]


def chat_stream(chance: random.Random) -> list[bytes]:
    """Return the events of a whole stream of a random kind."""
    words = [chance.choice(WORDS) for _ in range(chance.randrange(8))]
    chunks = completion_chunks(*words, usage=chance.random() < 0.5)
    if chance.random() < 0.5:
        chunks = [{**chunk, "obfuscation": "x" * chance.randrange(9)} for chunk in chunks]
    events = [bytes_of(chunk) for chunk in chunks]
    events.insert(chance.randrange(len(events)), b": still here\n\n")
    return [*events, DONE]


def response_stream(chance: random.Random) -> list[bytes]:
    return list(response_events(*(chance.choice(WORDS) for _ in range(chance.randrange(8)))))


def cut(stream: bytes, chance: random.Random) -> list[bytes]:
    """Return the stream in pieces of random sizes, small ones above all."""
    pieces = []
    while stream:
        size = chance.choice([1, 2, 5, 50, 300, 5000])
        pieces.append(stream[:size])
        stream = stream[size:]
    return pieces


def given_for(watch: StreamChecker, pieces: list[bytes]) -> bytes:
    return b"".join(watch.feed(piece) for piece in pieces) + watch.end()


KINDS: list[tuple[Callable[[random.Random], list[bytes]], Callable[[], Dialect]]] = [
    (chat_stream, CompletionsDialect),
    (chat_stream, partial(CompletionsDialect, hide=lambda raw: raw)),
    (response_stream, ResponsesDialect),
]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize(("make", "dialect"), KINDS)
def test_a_whole_stream_passes_byte_for_byte_under_every_cut(
    make: Callable[[random.Random], list[bytes]], dialect: Callable[[], Dialect], line_end: bytes
) -> None:
    chance = random.Random(3)
    for _ in range(150):
        stream = b"".join(make(chance)).replace(b"\n", line_end)
        watch = StreamChecker(dialect())

        assert given_for(watch, cut(stream, chance)) == stream
        assert (watch.failure, watch.is_over) == (None, True)


@pytest.mark.parametrize(("make", "dialect"), KINDS)
def test_a_stream_cut_short_anywhere_passes_whole_events_and_then_an_error(
    make: Callable[[random.Random], list[bytes]], dialect: Callable[[], Dialect]
) -> None:
    chance = random.Random(4)
    for _ in range(300):
        unfinished = b"".join(takewhile(lambda event: not ENDING.search(event), make(chance)))
        left = unfinished[: chance.randrange(len(unfinished) + 1)]
        watch = StreamChecker(dialect())
        given = given_for(watch, cut(left, chance))

        whole, _, error = given.rpartition(b"data: ")
        whole = whole.removesuffix(b"event: error\n")
        assert isinstance(watch.failure, UpstreamTruncated)
        assert json.loads(error)["error"]["code"] == "upstream_truncated"
        assert left.startswith(whole) or (left + b"\n\n").startswith(whole)
        assert whole == b"" or whole.endswith(b"\n\n")
        assert b"data: [DONE]\n\n" not in given


def test_half_an_event_is_not_shown_and_a_comment_may_come_before_it() -> None:
    watch, event = StreamChecker(CompletionsDialect()), bytes_of(completion_chunks("word")[1])

    assert watch.feed(event[:50]) == b""
    assert watch.at_border
    assert watch.feed(event[50:]) == event


def test_of_an_event_too_long_to_hold_back_no_comment_comes_inside() -> None:
    watch = StreamChecker(CompletionsDialect())
    begun = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * HELD_BYTES

    assert watch.feed(begun) == begun
    assert not watch.at_border
    assert watch.feed(b'"}}]}\n\n') == b'"}}]}\n\n'
    assert watch.at_border


def test_the_finish_of_an_endless_event_is_seen_at_its_end() -> None:
    watch = StreamChecker(CompletionsDialect())
    watch.feed(b'data: {"choices":[{"index":0,"delta":{"content":"')
    for _ in range(20):
        watch.feed(b"x" * 65_536)
    watch.feed(b'"},"finish_reason":"stop"}]}\n\n')

    assert watch.end() == DONE
    assert watch.failure is None


def test_after_the_end_nothing_more_is_given() -> None:
    watch = StreamChecker(CompletionsDialect())
    watch.feed(bytes_of(*completion_chunks("Hi")) + DONE + b"data: more\n\n")

    assert watch.end() == b""


def test_a_long_event_that_proves_broken_is_ended_before_the_error_is_told() -> None:
    watch = StreamChecker(CompletionsDialect())
    begun = b'data: {"text":"' + b"a" * 2 * HELD_BYTES

    assert watch.feed(begun) == begun
    told = watch.feed(b'" broken\n\n' + DONE)
    assert told.startswith(b'" broken\n\ndata: {"error":')
    assert told.count(b"\n\n") == 2
    assert watch.is_over


def test_what_follows_a_long_event_is_read_as_an_event_of_its_own() -> None:
    watch = StreamChecker(CompletionsDialect())
    first, second = (bytes_of(chunk) for chunk in completion_chunks("a" * 2 * HELD_BYTES, "b")[1:3])
    given = watch.feed(first[:-10]) + watch.feed(first[-10:] + b"data: broken\n\n" + second)

    assert given.startswith(first + b'data: {"error":')


@pytest.mark.parametrize("failure", [None, UpstreamTimeout("for 2 s")])
def test_an_end_within_an_event_half_shown_cannot_be_told_in_words(failure: UpstreamFailure | None) -> None:
    watch = StreamChecker(CompletionsDialect())
    watch.feed(b'data: {"text":"' + b"a" * 2 * HELD_BYTES)
    with pytest.raises(UpstreamFailure) as raised:
        watch.end(failure)

    assert raised.value is watch.failure
    assert raised.value is failure or isinstance(raised.value, UpstreamTruncated)
    assert watch.is_over
    assert watch.end() == b""
