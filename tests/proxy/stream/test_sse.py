"""Events are found at their borders, however the stream was cut, and no byte is lost or added."""

import random
import time

import pytest

from proxy.stream.sse import KEPT_BYTES, Event, EventSplitter

PLAIN = b'data: {"a":1}\n\ndata: {"b":2}\n\ndata: [DONE]\n\n'
WANTED = [(b'{"a":1}', ""), (b'{"b":2}', ""), (b"[DONE]", "")]

STREAMS: dict[str, tuple[bytes, list[tuple[bytes, str]]]] = {
    "LF": (PLAIN, WANTED),
    "CRLF": (PLAIN.replace(b"\n", b"\r\n"), WANTED),
    "CR": (PLAIN.replace(b"\n", b"\r"), WANTED),
    "a byte order mark": (b"\xef\xbb\xbf" + PLAIN, WANTED),
    "a byte order mark and a comment": (b"\xef\xbb\xbf: hello\n\n" + PLAIN, WANTED),
    "comments between": (b": OPENROUTER PROCESSING\n\n" + PLAIN.replace(b"\n\n", b"\n\n: hb\n\n:\n"), WANTED),
    "a comment within an event": (b"data: 1\n: inside\ndata: 2\n\n", [(b"1\n2", "")]),
    "blank lines between": (b"\n\n" + PLAIN.replace(b"\n\n", b"\n\n\n\n\n"), WANTED),
    "blank lines of CRLF": (PLAIN.replace(b"\n\n", b"\r\n\r\n\r\n"), WANTED),
    "no space after the colon": (PLAIN.replace(b"data: ", b"data:"), WANTED),
    "names and ids": (b"event: a.b\nid: 7\nretry: 10\ndata: x\n\ndata: y\nevent:c\n\n", [(b"x", "a.b"), (b"y", "c")]),
    "several lines of data": (b"data: {\ndata:  1\ndata\ndata: }\n\n", [(b"{\n 1\n\n}", "")]),
    "mixed line ends": (b"data: 1\r\n\ndata: 2\n\r\ndata: 3\r\r\n", [(b"1", ""), (b"2", ""), (b"3", "")]),
    "CRLF between LF": (b"data: 1\n\ndata: 2\r\n\r\ndata: 3\n\n", [(b"1", ""), (b"2", ""), (b"3", "")]),
    "no blank line at the end": (b"data: 1\n\ndata: 2", [(b"1", ""), (b"2", "")]),
    "letters beyond ASCII": ("data: \u2028 \x85 ü😀\n\n".encode(), [("\u2028 \x85 ü😀".encode(), "")]),
    "an event without data": (b"event: ping\n\ndata: 1\n\n", [(b"1", "")]),
    "nothing": (b"", []),
}


def split(*chunks: bytes) -> list[Event]:
    splitter = EventSplitter()
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    rest = splitter.end()
    return [*events, rest] if rest else events


def said(events: list[Event]) -> list[tuple[bytes, str]]:
    return [(event.data, event.name) for event in events if event.data is not None]


def joined(events: list[Event]) -> bytes:
    return b"".join(event.raw for event in events)


@pytest.mark.parametrize(("stream", "wanted"), STREAMS.values(), ids=STREAMS)
def test_events_are_found_in_one_chunk(stream: bytes, wanted: list[tuple[bytes, str]]) -> None:
    events = split(stream)

    assert said(events) == wanted
    assert joined(events) == stream


@pytest.mark.parametrize(("stream", "wanted"), STREAMS.values(), ids=STREAMS)
def test_events_are_found_across_every_cut(stream: bytes, wanted: list[tuple[bytes, str]]) -> None:
    for first in range(len(stream) + 1):
        for second in range(first, len(stream) + 1):
            events = split(stream[:first], stream[first:second], stream[second:])
            assert (said(events), joined(events)) == (wanted, stream), (first, second)


@pytest.mark.parametrize(("stream", "wanted"), STREAMS.values(), ids=STREAMS)
def test_events_are_found_byte_by_byte(stream: bytes, wanted: list[tuple[bytes, str]]) -> None:
    events = split(*(bytes([byte]) for byte in stream))

    assert (said(events), joined(events)) == (wanted, stream)


def test_bytes_of_any_kind_come_out_as_they_went_in() -> None:
    chance = random.Random(7)
    for _ in range(2000):
        pieces = [chance.choice([b"\r", b"\n", b":", b"data: ", b"x", b"\xef\xbb\xbf", b"\n\n"]) for _ in range(12)]
        assert joined(split(*pieces)) == b"".join(pieces)


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"])
def test_an_event_comes_out_with_its_last_byte(end: bytes) -> None:
    splitter = EventSplitter()

    assert splitter.feed(b"data: 1" + end[:-1]) == []
    assert splitter.feed(end[-1:]) == [Event(b"data: 1" + end, b"1")]
    assert splitter.at_border


def test_a_carriage_return_that_came_last_waits_for_its_line_feed() -> None:
    splitter = EventSplitter()

    assert splitter.feed(b"data: 1\r\n\r") == []
    assert splitter.feed(b"\ndata: 2") == [Event(b"data: 1\r\n\r\n", b"1")]


def test_a_comment_comes_out_with_its_line_and_leaves_a_border() -> None:
    splitter = EventSplitter()

    assert splitter.feed(b": thinking\n") == [Event(b": thinking\n", None)]
    assert splitter.at_border
    assert splitter.feed(b"data: 1\n") == []
    assert not splitter.at_border
    assert splitter.open_bytes == 8


def test_a_long_event_can_be_taken_before_it_ends() -> None:
    splitter = EventSplitter()
    splitter.feed(b'data: {"a":')

    assert splitter.take_open() == b'data: {"a":'
    assert (splitter.open_bytes, splitter.at_border) == (0, False)
    assert splitter.feed(b"1}\n\n: next\n") == [Event(b"1}\n\n", b'{"a":1}'), Event(b": next\n", None)]


def test_what_was_taken_of_an_event_that_never_ends_is_not_handed_out_twice() -> None:
    splitter = EventSplitter()
    splitter.feed(b"data: 1")
    splitter.take_open()
    splitter.feed(b"23")

    assert splitter.end() == Event(b"23", b"123")
    assert splitter.end() is None


def test_of_an_endless_event_only_the_ends_are_kept() -> None:
    splitter, taken = EventSplitter(), 0
    splitter.feed(b'data: {"first":"')
    for _ in range(160):
        assert splitter.feed(b"x" * 65_536) == []
        taken += len(splitter.take_open())
    [event] = splitter.feed(b'","last":1}\n\n')

    assert (taken, event.whole) == (16 + 160 * 65_536, False)
    assert event.data is not None
    assert event.data.startswith(b'{"first":"xx')
    assert event.data.endswith(b'xx","last":1}')
    assert len(event.data) < 2 * KEPT_BYTES
    assert splitter.feed(b"data: 1\n\n") == [Event(b"data: 1\n\n", b"1")]


@pytest.mark.parametrize("size", [1_000, 65_536])
def test_an_event_of_ten_megabytes_takes_no_time_that_grows_with_its_square(size: int) -> None:
    stream = b"data: " + b"x" * 10_000_000 + b"\n\n"
    began = time.process_time()
    events = split(*(stream[start : start + size] for start in range(0, len(stream), size)))

    assert joined(events) == stream
    assert time.process_time() - began < 5
