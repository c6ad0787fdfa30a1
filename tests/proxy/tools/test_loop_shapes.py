"""Whatever an upstream puts in the place of a call or of a delta: no bug of ours, and nothing half run."""

import asyncio
import json
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.http.answer import Answer, WholeAnswer, whole
from proxy.http.headers import Headers
from proxy.policy.body import rewrite
from proxy.settings.model import Settings
from proxy.tools.consent import Consent
from proxy.tools.loop.apis import open_loop
from proxy.tools.loop.mixed_turns import MixedTurns
from proxy.tools.loop.models_without_tools import ModelsWithoutTools
from proxy.tools.loop.request import Round, ToolRequest
from proxy.tools.loop.response_ids import ResponseIds
from proxy.tools.loop.session import LoopParts
from proxy.tools.runner import Runner
from proxy.tools.schema import tool_of
from proxy.tools.workers import Workers

JSON = st.recursive(
    st.sampled_from([None, True, 0, -1, 1.5, "", "book", "stop", "tool_calls", "function", "null", '{"city":"Ulm"}']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "index", "type", "name", "arguments", "function", "content", "item", "call_id", "text"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
CALL = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "", None, 5]),
        "index": st.sampled_from([0, 1, None, "0"]),
        "type": st.sampled_from(["function", None, "custom", 3]),
        "function": st.fixed_dictionaries({}, optional={"name": st.just("book") | JSON, "arguments": JSON}) | JSON,
    },
)
CALLS = st.lists(CALL | JSON, max_size=4) | JSON
DELTA = st.fixed_dictionaries({}, optional={"role": JSON, "content": JSON, "tool_calls": CALLS}) | JSON
FINISH = st.sampled_from([None, "stop", "tool_calls", "function_call", "length", "", 5, {}])
CHOICE = st.fixed_dictionaries({}, optional={"index": JSON, "delta": DELTA, "message": DELTA, "finish_reason": FINISH})
CHAT = st.fixed_dictionaries(
    {"choices": st.lists(CHOICE | JSON, max_size=2) | JSON}, optional={"id": JSON, "created": JSON, "usage": JSON}
)
ITEM = st.fixed_dictionaries(
    {"type": st.sampled_from(["function_call", "message", "reasoning", "custom_tool_call", 5])},
    optional={"id": JSON, "call_id": JSON, "name": st.just("book") | JSON, "arguments": JSON, "content": JSON},
)
RESPONSE = st.fixed_dictionaries(
    {"output": st.lists(ITEM | JSON, max_size=3) | JSON},
    optional={"id": JSON, "status": st.just("completed") | JSON, "tools": JSON, "usage": JSON, "tool_choice": JSON},
)
KINDS = (
    "response.created",
    "response.output_item.added",
    "response.output_item.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.output_text.delta",
    "response.completed",
)
EVENT = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "response": RESPONSE | JSON,
        "item": ITEM | JSON,
        "output_index": JSON,
        "item_id": JSON,
        "delta": JSON,
        "arguments": JSON,
        "sequence_number": JSON,
    },
)
STREAM = Headers([("content-type", "text/event-stream")])
WHOLE = Headers([("content-type", "application/json")])


def stream(*values: Any) -> WholeAnswer:
    events = [f"data: {json.dumps(value)}\n\n".encode() for value in values]
    return whole(200, STREAM, b"".join(events) + b"data: [DONE]\n\n")


async def drain(answer: Answer) -> bytes:
    """Return the whole of an answer."""
    if type(answer) is WholeAnswer:
        return answer.body or b""
    pieces = []
    while piece := await answer.next_chunk():
        pieces.append(piece)
    answer.close()
    return b"".join(pieces)


def looped(path: str, answers: list[WholeAnswer], *, is_stream: bool) -> tuple[bytes, list[dict[str, Any]]]:
    """Return what a client gets from a loop before these answers, the last again and again, and what book was given."""
    given_to_book: list[dict[str, Any]] = []

    def book(city: str = "NOWHERE", nights: int = 1) -> str:
        given_to_book.append({"city": city, "nights": nights})
        return "booked"

    left = list(answers)

    async def send(_: bytes) -> Answer:
        return replace(left.pop(0) if len(left) > 1 else left[0])

    fields: dict[str, Any] = {"messages": []} if path == "/chat/completions" else {"input": []}
    fields |= {"model": "m", "stream": is_stream}
    workers = Workers()
    consent = Consent(dict, lambda _: None)
    parts = LoopParts(Runner(workers), consent, MixedTurns(), ResponseIds(), ModelsWithoutTools())

    def ignore(_: Round | str) -> None:
        """Take note of nothing."""

    request = ToolRequest(
        path,
        "http://127.0.0.1:1/v1",
        fields,
        json.dumps(fields).encode(),
        "id",
        "",
        send,
        rewrite,
        ignore,
        ignore,
        lambda: None,
    )

    async def run() -> bytes:
        tools = {"book": tool_of(book, "test")}
        return await drain(await open_loop(request, tools, Settings(tool_max_rounds=2), parts))

    try:
        return asyncio.run(run()), given_to_book
    finally:
        workers.stop()


@settings(max_examples=50, deadline=None)
@given(st.lists(CHAT, min_size=1, max_size=4))
def test_a_chat_stream_of_any_shape_is_no_bug_of_ours(values: list[Any]) -> None:
    told, _ = looped("/chat/completions", [stream(*values), stream({"choices": []})], is_stream=True)

    assert b"server_error" not in told


@settings(max_examples=50, deadline=None)
@given(CHAT)
def test_a_completion_of_any_shape_is_no_bug_of_ours(value: Any) -> None:
    looped("/chat/completions", [whole(200, WHOLE, json.dumps(value).encode())], is_stream=False)


@settings(max_examples=50, deadline=None)
@given(st.lists(EVENT, min_size=1, max_size=5))
def test_a_response_stream_of_any_shape_is_no_bug_of_ours(values: list[Any]) -> None:
    told, _ = looped("/responses", [stream(*values)], is_stream=True)

    assert b"server_error" not in told


@settings(max_examples=50, deadline=None)
@given(RESPONSE)
def test_a_response_of_any_shape_is_no_bug_of_ours(value: Any) -> None:
    looped("/responses", [whole(200, WHOLE, json.dumps(value).encode())], is_stream=False)


def canonical(arguments: dict[str, Any]) -> str:
    return json.dumps(arguments, sort_keys=True)


def pieces_of(arguments: Any, form: str, cuts: int) -> list[Any]:
    """Return arguments as an upstream streams them: the object itself, or its text in pieces."""
    if form == "object":
        return [arguments]
    text = json.dumps(arguments)
    step = max(1, len(text) // cuts)
    return [text[start : start + step] for start in range(0, len(text), step)]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries({"city": st.text(max_size=6), "nights": st.integers(0, 9)}),
        min_size=1,
        max_size=4,
        unique_by=canonical,
    ),
    st.sampled_from(["object", "text"]),
    st.integers(1, 5),
    st.sampled_from(["index and id", "index", "id", "same index, id"]),
)
def test_calls_run_with_what_the_model_gave_however_it_is_told(
    wanted: list[dict[str, Any]], form: str, cuts: int, marked: str
) -> None:
    chunks: list[Any] = []
    for number, arguments in enumerate(wanted):
        for place, piece in enumerate(pieces_of(arguments, form, cuts)):
            part: dict[str, Any] = {"function": {"arguments": piece}}
            if place == 0:
                part["function"]["name"] = "book"
                part |= {"id": f"c{number}"} if "id" in marked.split() else {}
            if "index" in marked:
                part["index"] = 0 if marked.startswith("same") else number
            chunks.append({"choices": [{"delta": {"tool_calls": [part]}}]})
    chunks.append({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]})
    last = stream({"choices": [{"delta": {"content": "Done."}, "finish_reason": "stop"}]})

    _, given_to_book = looped("/chat/completions", [stream(*chunks), last], is_stream=True)

    assert sorted(map(canonical, given_to_book)) == sorted(map(canonical, wanted))
