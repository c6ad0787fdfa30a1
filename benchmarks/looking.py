"""How long the watcher looks at one chunk, by what it holds: µs as JSON, `.venv/bin/python -m benchmarks.looking`."""

import json
import sys
import timeit
from collections.abc import Callable

from proxy.exchange.dialects import remove_usage
from proxy.stream.checker import StreamChecker
from proxy.stream.completions import CompletionsDialect
from proxy.stream.responses import ResponsesDialect

LEARNING = 4  # chunks before the measured one
AT_ONCE, ROUNDS = 20_000, 7

Chunk = Callable[[int], bytes]


def chat(number: int, **more: object) -> bytes:
    """Return a chunk as OpenAI sends it."""
    choice = {"index": 0, "delta": {"content": f" word{number}"}, "logprobs": None, "finish_reason": None}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1760000000, "model": "gpt-4o-2024-08-06"}
    return event({**head, "service_tier": "default", "system_fingerprint": "fp_1", "choices": [choice], **more})


def event(value: object, name: str = "") -> bytes:
    """Write an event."""
    text = json.dumps(value, separators=(",", ":"))
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


def response(number: int) -> bytes:
    """Return a word of a response."""
    kind = "response.output_text.delta"
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": number}
    return event({"type": kind, **where, "delta": f" word{number}", "obfuscation": "x" * (number % 9)}, kind)


FORMS: dict[str, tuple[Callable[[], StreamChecker], Chunk]] = {
    "a word": (lambda: StreamChecker(CompletionsDialect()), chat),
    "a word, padded": (
        lambda: StreamChecker(CompletionsDialect()),
        lambda number: chat(number, obfuscation="x" * number),
    ),
    "a word whose usage is taken out": (
        lambda: StreamChecker(CompletionsDialect(without_usage=remove_usage)),
        lambda number: chat(number, usage=None, obfuscation="x" * number),
    ),
    "a word of a response": (lambda: StreamChecker(ResponsesDialect()), response),
    "what must be read as JSON": (lambda: StreamChecker(CompletionsDialect()), lambda number: chat(number, new=number)),
}


def look(make: Callable[[], StreamChecker], chunk: Chunk) -> float:
    """Return the µs of one chunk, the best of the rounds."""
    watch = make()
    for number in range(LEARNING):
        watch.feed(chunk(number))
    measured = [chunk(LEARNING + number) for number in range(8)]

    def feed() -> None:
        for each in measured:
            watch.feed(each)

    times = timeit.repeat(feed, number=AT_ONCE // len(measured), repeat=ROUNDS)
    return min(times) * 1e6 / AT_ONCE


if __name__ == "__main__":
    json.dump({name: round(look(*form), 2) for name, form in FORMS.items()}, sys.stdout)
