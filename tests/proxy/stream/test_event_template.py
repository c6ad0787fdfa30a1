"""Events that are alike are recognised without reading them, and none is that says something else."""

import json
import random

import pytest

from proxy.stream.event_template import EventTemplate


def event(text: str, *, finish: str | None = None, spaced: bool = False, **more: object) -> bytes:
    chunk = {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(chunk, separators=None if spaced else (",", ":")).encode() + b"\n\n"


def learned(*raws: bytes) -> EventTemplate:
    likeness = EventTemplate()
    for raw in raws:
        likeness.learn(raw, raw)
    return likeness


TEXTS = [
    "",
    "word",
    'a "quoted" \\ back\\slash',
    "ü 😀 \u2028",
    "\x00\n\r\t",
    '"}],"finish_reason":"stop"',
    "data: [DONE]\n\n",
]


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_an_event_that_differs_in_its_text_alone_is_passed_on(text: str, spaced: bool) -> None:
    likeness, raw = learned(event("first", spaced=spaced)), event(text, spaced=spaced)

    assert likeness.pass_on(raw) == (len(raw), raw)


def test_padding_of_another_length_is_no_difference() -> None:
    likeness, raw = learned(event("first", obfuscation="abc")), event("second", obfuscation="x" * 30)

    assert likeness.pass_on(raw) == (len(raw), raw)


def numbered(number: int, delta: str, kind: str = "response.output_text.delta") -> bytes:
    value = {"type": kind, "sequence_number": number, "item_id": "i", "delta": delta, "obfuscation": "x" * (number % 9)}
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()


def test_another_number_is_no_difference() -> None:
    raws = numbered(10, "one") + numbered(11, 'two "') + numbered(12, "")

    assert learned(numbered(9, "first")).pass_on(raws) == (len(raws), raws)


def test_a_missing_number_is_one() -> None:
    raw = numbered(10, "x").replace(b"10", b"")

    assert learned(numbered(9, "first")).pass_on(raw) == (0, b"")


def test_another_type_of_event_is_one() -> None:
    assert learned(numbered(9, "first")).pass_on(numbered(10, "x", "response.output_text.done")) == (0, b"")


def test_several_events_are_passed_on_together() -> None:
    raws = event("one") + event("two") + event("three")

    assert learned(event("first")).pass_on(raws) == (len(raws), raws)


UNLIKE: dict[str, bytes] = {
    "a finish": event("x", finish="stop"),
    "another choice": event("x").replace(b'"index":0', b'"index":1'),
    "usage": event("x", usage={"prompt_tokens": 1}),
    "an error": b'data: {"error":{"message":"no"}}\n\n',
    "half an event": event("x")[:-10],
    "a text that breaks off": event("x").replace(b'x"}', b"x"),
    "a broken escape": event("x").replace(b"x", rb"\x"),
    "half an escape": event("x").replace(b"x", rb"\u12"),
    "a line break in a text": event("x").replace(b"x", b"a\n\nb"),
    "the end": b"data: [DONE]\n\n",
    "nothing": b"",
}


@pytest.mark.parametrize("raw", UNLIKE.values(), ids=UNLIKE)
def test_an_event_that_says_something_else_is_not(raw: bytes) -> None:
    assert learned(event("first")).pass_on(raw) == (0, b"")
    assert learned(event("first")).pass_on(event("one") + raw) == (len(event("one")), event("one"))


def test_nothing_is_passed_on_before_anything_was_learned() -> None:
    assert EventTemplate().pass_on(event("x")) == (0, b"")


def test_what_was_given_for_the_first_is_given_for_the_others() -> None:
    likeness = EventTemplate()
    likeness.learn(event("first", usage=None, obfuscation="a"), event("first", obfuscation="a"))
    raws = [event(text, usage=None, obfuscation="b" * number) for number, text in enumerate(TEXTS)]
    given = [event(text, obfuscation="b" * number) for number, text in enumerate(TEXTS)]

    assert likeness.pass_on(b"".join(raws)) == (sum(map(len, raws)), b"".join(given))


def test_whatever_is_passed_on_is_json_that_says_the_same() -> None:
    chance = random.Random(5)
    likeness, pieces = (
        learned(event("first")),
        ['"', "\\", "x", "\\n", "\\u00fc", "\n", '","finish_reason":"stop"', "{", "}"],
    )
    for _ in range(3000):
        text = "".join(chance.choice(pieces) for _ in range(chance.randrange(6)))
        raw = event("x").replace(b"x", text.encode())
        if likeness.pass_on(raw)[0] == len(raw):
            choice = json.loads(raw.removeprefix(b"data: "))["choices"][0]
            assert (list(choice["delta"]), choice["finish_reason"]) == (["content"], None)
