"""Answers in which nothing is wrong, in every shape that upstreams give them; and odd ones that can be put right."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from clients.replies import (
    WORDS,
    call_item,
    message_item,
    response,
    response_events,
    stream_of,
    text_chunks,
    tool_chunks,
    tool_completion,
    with_delta,
    with_finish,
)
from clients.scenario import Honest, Same, Scenario, Whole, scenarios
from fakes.scripted_upstream import (
    Answer,
    Content,
    Delayed,
    Gzip,
    Json,
    LingerAfterDone,
    LongBody,
    Recorded,
    Reset,
    Sse,
    Step,
    completion,
    completion_chunks,
)

SAID = "".join(WORDS)
TEXT = completion_chunks(*WORDS, usage=True)
TOOLS = tool_chunks(calls=2, usage=True)
RESPONSE = response_events()
CLOSE = [("Connection", "close")]


@dataclass(frozen=True)
class UsageWhereAsked(Answer):
    """Send the usage chunk only to those who ask for it, as the API does."""

    def script(self, request: Recorded) -> Iterable[Step]:
        asked = (request.json().get("stream_options") or {}).get("include_usage") is True
        return Sse(completion_chunks(*WORDS, usage=asked)).script(request)


def unescaped(chunks: Sequence[dict[str, Any]]) -> list[str]:
    """Return chunks whose letters are no ASCII, so that a cut can fall within one."""
    return [json.dumps(chunk, ensure_ascii=False) for chunk in chunks]


def dressed(chunk: dict[str, Any]) -> bytes:
    """Return a chunk with every field an event may have."""
    return b"id: 7\nretry: 10\nevent: message\ndata: " + json.dumps(chunk).encode() + b"\n\n"


def over_lines(chunk: dict[str, Any]) -> bytes:
    """Return a chunk whose JSON stands on several lines."""
    lines = json.dumps(chunk, indent=1).splitlines()
    return "".join(f"data: {line}\n" for line in lines).encode() + b"\n"


CHAT: dict[str, Answer] = {
    "a text": Json(completion(SAID)),
    "tool calls": Json(tool_completion()),
    "a text cut by the token limit": Json(with_finish(completion("Hello"), "length")),
    "fields nobody knows": Json({**completion("Hello"), "provider": {"name": "x"}, "citations": []}),
    "a megabyte of text": Json(completion("wörd " * 200_000)),
    "gzip nobody asked for": Gzip(json.dumps(completion("Hello")).encode()),
    "JSON with its charset": Content(json.dumps(completion("Hello")).encode(), "application/json; charset=utf-8"),
    "JSON over many lines": Content(json.dumps(completion("Hello"), indent=2).encode(), "application/json"),
    "a slow answer": Delayed(Json(completion("Hello")), 0.2),
}
CHAT_STREAM: dict[str, Answer] = {
    "a text": Sse(TEXT),
    "lines that end in CRLF": Sse(TEXT, framing="\r\n\r\n"),
    "comments before the first chunk": Sse([b": keep-alive\n\n", b": OPENROUTER PROCESSING\n\n" * 5, *TEXT]),
    "comments between the chunks": Sse([piece for chunk in TEXT for piece in (b": keep-alive\n\n", chunk)]),
    "cut after every byte": Sse(TEXT[-4:], cut=1),
    "cut in the middle of characters": Sse(unescaped(TEXT), cut=7),
    "cut in odd places": Sse(unescaped(TEXT), cut=113, framing="\r\n\r\n"),
    "in one piece": Sse(TEXT, cut=1_000_000),
    "no space after data": Sse([b"data:" + json.dumps(chunk).encode() + b"\n\n" for chunk in TEXT]),
    "event names, ids and retry": Sse([dressed(chunk) for chunk in TEXT]),
    "JSON over many lines": Sse([over_lines(chunk) for chunk in TEXT]),
    "one chunk of 300 kB": Sse(completion_chunks("wörd " * 60_000)),
    "three hundred chunks": Sse(completion_chunks(*["word "] * 300)),
    "tool calls": Sse(TOOLS),
    "tool calls cut in odd places": Sse(unescaped(TOOLS), cut=11),
    "cut by the token limit": Sse(completion_chunks(*WORDS, finish="length")),
    "stopped by a filter": Sse(completion_chunks(*WORDS, finish="content_filter")),
    "reasoning before the text": Sse([TEXT[0], with_delta(TEXT[0], {"reasoning_content": "Hm."}), *TEXT[1:]]),
    "a chunk without choices first": Sse([{**TEXT[0], "choices": [], "prompt_filter_results": []}, *TEXT]),
    "usage in each chunk": Sse([{**chunk, "usage": TEXT[-1]["usage"]} for chunk in TEXT]),
    "usage beside the finish": Sse([*TEXT[:-2], {**TEXT[-2], "usage": TEXT[-1]["usage"]}]),
    "no text at all": Sse(completion_chunks()),
    "the end of the connection as end": Sse(TEXT, chunked=False, headers=CLOSE),
    "gzip nobody asked for": Gzip(stream_of(TEXT), "text/event-stream"),
    "a stream named plain text": Content(stream_of(TEXT), "text/plain"),
    "a stream named bytes": Content(stream_of(TEXT), "application/octet-stream"),
    "a slow stream": Sse(TEXT, gap_s=0.03),
}
ODD_CHAT_STREAM: dict[str, Answer] = {
    "no DONE at the end": Sse(TEXT, done=False),
    "a connection that lingers after DONE": LingerAfterDone(TEXT),
    "more after DONE": Sse([*TEXT, "[DONE]", *completion_chunks("ate")]),
    "plain JSON instead of a stream": Json(completion(SAID)),
}
RESPONSES: dict[str, Answer] = {
    "a text": Json(response([message_item()])),
    "a function call": Json(response([call_item()])),
    "cut by the token limit": Json(response([message_item()], "incomplete")),
}
RESPONSES_STREAM: dict[str, Answer] = {
    "a text": Sse(RESPONSE, done=False),
    "cut after every byte": Sse(RESPONSE[-2:], done=False, cut=1),
    "cut in the middle of characters": Sse(RESPONSE, done=False, cut=7),
    "lines that end in CRLF": Sse([event.replace(b"\n", b"\r\n") for event in RESPONSE], done=False),
    "comments before the first event": Sse([b": keep-alive\n\n" * 3, *RESPONSE], done=False),
    "a function call": Sse(response_events(item=call_item()), done=False),
    "cut by the token limit": Sse(response_events(ending="response.incomplete"), done=False),
    "DONE at the end": Sse(RESPONSE),
}
COMPLETIONS_STREAM: dict[str, Answer] = {
    "a text": Sse(text_chunks(*WORDS)),
    "cut in the middle of characters": Sse(unescaped(text_chunks(*WORDS)), cut=7),
    "lines that end in CRLF": Sse(text_chunks(*WORDS), framing="\r\n\r\n"),
}

WHOLE = [
    *scenarios("chat", Same(), CHAT),
    Scenario("more bytes than announced", "chat", LongBody(completion("Hello")), Honest("Hello")),
    *scenarios("chat stream", Same(), CHAT_STREAM),
    Scenario("usage nobody asked for", "chat stream", UsageWhereAsked(), Same(), asks_usage=False),
    Scenario("usage asked for", "chat stream", UsageWhereAsked(), Same()),
    *scenarios("chat stream", Whole(SAID), ODD_CHAT_STREAM),
    Scenario("a reset right after DONE", "chat stream", Sse(TEXT, end=Reset()), Honest(SAID)),
    Scenario("a reset in place of DONE", "chat stream", Sse(TEXT, done=False, end=Reset()), Honest(SAID)),
    Scenario("plain JSON with tool calls", "chat stream", Json(tool_completion()), Whole(tool_calls=2)),
    *scenarios("completions stream", Same(), COMPLETIONS_STREAM),
    Scenario("no DONE at the end", "completions stream", Sse(text_chunks(*WORDS), done=False), Whole(SAID)),
    *scenarios("responses", Same(), RESPONSES),
    *scenarios("responses stream", Same(), RESPONSES_STREAM),
    Scenario("a reset after the last event", "responses stream", Sse(RESPONSE, done=False, end=Reset()), Honest(SAID)),
    Scenario("plain JSON instead of a stream", "responses stream", Json(response([message_item()])), Whole(SAID)),
]
