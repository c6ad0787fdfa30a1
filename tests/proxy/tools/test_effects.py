"""What a tool does happens once: after it has begun, no client is left to ask again by itself, whatever goes wrong."""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from fakes.asking import SOON, refusal
from fakes.flows import Flows
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Body,
    Chunk,
    CloseBeforeHeaders,
    Content,
    Delayed,
    EndHead,
    Fin,
    Header,
    Html,
    Json,
    RawBytes,
    Recorded,
    Reset,
    ResetBeforeHeaders,
    Script,
    ScriptedUpstream,
    ShortBody,
    SilentBeforeHeaders,
    Sse,
    Status,
    Step,
    completion,
)
from fakes.shared_upstream import Fresh, proxy_before
from fakes.tool_turns import TOOLS_FILE
from fakes.tool_ways import WAYS, Way
from proxy.http.answer import whole
from proxy.http.headers import Headers
from proxy.policy.body import rewrite
from proxy.settings.model import Settings
from proxy.tools.consent import Consent
from proxy.tools.loop.apis import open_loop
from proxy.tools.loop.mixed_turns import MixedTurns
from proxy.tools.loop.models_without_tools import ModelsWithoutTools
from proxy.tools.loop.request import ToolRequest
from proxy.tools.loop.response_ids import ResponseIds
from proxy.tools.loop.session import LoopParts
from proxy.tools.runner import Runner
from proxy.tools.tool import Tool
from proxy.tools.workers import Workers

HELD = '''

def wait_for_file(path: str) -> str:
    """Return once there is such a file."""
    import os

    ends = time.monotonic() + 15
    while not os.path.exists(path) and time.monotonic() < ends:
        time.sleep(0.01)
    return "it is there"
'''
BOOK = {"name": "book", "arguments": '{"city": "Paris", "nights": 3}'}
ALWAYS = ("X-Should-Retry", "true")
WHOLE_WAYS = [way for way in WAYS if not way.is_streamed]
STREAMED_WAYS = [way for way in WAYS if way.is_streamed]
every_way = pytest.mark.parametrize("way", WAYS, ids=str)


@pytest.fixture(scope="module")
def quick_proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy with tools that does not wait long for its upstream, and does not ask it again."""
    with tools_before(provider.base_url, tmp_path_factory.mktemp("tools"), openai_max_retries=0) as running:
        yield running


@contextmanager
def tools_before(upstream: str, folder: Path, **settings: Any) -> Iterator[RunningProxy]:
    """Run a proxy with tools before an upstream."""
    file = folder / "function_tools.py"
    file.write_text(TOOLS_FILE + HELD, encoding="utf-8")
    with proxy_before(
        upstream,
        folder,
        enable_tool_execution=True,
        function_tools_file=str(file),
        **{"openai_timeout": 0.5, "tool_timeout": 0.5, "tool_max_rounds": 3, **settings},
    ) as running:
        yield running


@dataclass(frozen=True)
class CallsThenFails(Answer):
    """Call a tool in every first turn, and fail in every turn after one."""

    turn: Answer
    failing: Answer

    def script(self, request: Recorded) -> Iterable[Step]:
        has_results = b'"role":"tool"' in request.body or b'"function_call_output"' in request.body
        return (self.failing if has_results else self.turn).script(request)


def tools_run(flows: Flows) -> list[str]:
    """Return the tools that ran, once every request has ended."""
    return [call.name for flow in flows.finished() for done in flow.tool_rounds for call in done.calls]


def ask_with_sdk(proxy: RunningProxy, way: Way) -> Any:
    """Ask as the SDK does by default, which tries again by itself, and read the answer to its end."""
    with proxy.sdk(max_retries=openai.DEFAULT_MAX_RETRIES) as sdk:
        create: Any = sdk.chat.completions.create if way.is_chat else sdk.responses.create
        answer = create(**way.body())
        return list(answer) if way.is_streamed else answer


async def ask_with_async_sdk(proxy: RunningProxy, way: Way) -> None:
    """Ask likewise with the asynchronous one."""
    async with proxy.async_sdk(max_retries=openai.DEFAULT_MAX_RETRIES) as sdk:
        create: Any = sdk.chat.completions.create if way.is_chat else sdk.responses.create
        answer = await create(**way.body())
        if way.is_streamed:
            async for _ in answer:
                pass


def events_cut(way: Way) -> Answer:
    """Return a stream that breaks off within an event."""
    turn = way.last()
    whole = b"".join(turn._pieces()) if isinstance(turn, Sse) else b""
    return Script(
        [Status(200), Header("Content-Type", "text/event-stream"), EndHead(chunked=False), Body(whole[:-60]), Fin()]
    )


def large_event_cut(_: Way) -> Answer:
    """Return a stream that breaks off within an event too large to be held back."""
    return Sse([b'data: {"choices": [{"index": 0, "delta": {"content": "' + b"x" * 200_000], done=False, end=Fin())


def without_end(way: Way) -> Answer:
    """Return a stream that ends properly, but without the event that says so."""
    turn = way.last()
    return Sse(turn._pieces()[:2] if isinstance(turn, Sse) else [], done=False)


HALF = json.dumps(completion("Half")).encode()[:-20]
FAILURES: dict[str, Callable[[Way], Answer]] = {
    "400": lambda _: refusal(400),
    "408": lambda _: refusal(408),
    "409": lambda _: refusal(409),
    "429 with a time to wait": lambda _: refusal(429, ("Retry-After", "0")),
    "429 that asks for a retry": lambda _: refusal(429, ALWAYS, SOON),
    "500": lambda _: refusal(500),
    "503 that asks for a retry": lambda _: refusal(503, ALWAYS),
    "500 in words": lambda _: Json({"error": "overloaded"}, status=500),
    "500 as a list": lambda _: Json([{"error": {"message": "overloaded"}}], status=500),
    "502 as a page": lambda _: Html("<html>bad gateway</html>", status=502),
    "307": lambda _: Json({}, status=307, headers=[("Location", "/elsewhere")]),
    "an error as a success": lambda _: Json({"error": {"message": "overloaded", "code": 503}}),
    "closed before its head": lambda _: CloseBeforeHeaders(),
    "reset before its head": lambda _: ResetBeforeHeaders(),
    "no HTTP": lambda _: RawBytes(),
    "silent before its head": lambda _: SilentBeforeHeaders(),
    "a page as a success": lambda _: Html("<html>log in</html>"),
    "no JSON": lambda _: Content(b"not JSON", "application/json"),
    "a short body": lambda _: ShortBody(completion("Half")),
    "a short body, reset": lambda _: ShortBody(completion("Half"), end=Reset()),
    "half of a body": lambda _: Script(
        [Status(200), Header("Content-Type", "application/json"), EndHead(chunked=True), Chunk(HALF), Fin()]
    ),
    "half of a large body": lambda _: ShortBody(completion("x" * 2_000_000)),
}
STREAM_FAILURES: dict[str, Callable[[Way], Answer]] = {
    "events that break off": events_cut,
    "a large event that breaks off": large_event_cut,
    "events without their end": without_end,
    "an event that is no JSON": lambda _: Sse(["no JSON"], done=False),
    "an error event": lambda _: Sse([{"error": {"message": "overloaded", "code": "own"}}], done=False),
    "JSON too large to be made a stream of": lambda _: Json(completion("x" * 17_000_000)),
    "no event": lambda _: Sse([], done=False),
}
CASES = [
    pytest.param(way, failing(way), id=f"{way}-{name}")
    for way in WAYS
    for name, failing in {**FAILURES, **(STREAM_FAILURES if way.is_streamed else {})}.items()
]


@pytest.mark.parametrize(("way", "failing"), CASES)
def test_an_sdk_that_tries_again_by_itself_has_a_tool_run_once(
    quick_proxy: RunningProxy, upstream: Fresh, way: Way, failing: Answer
) -> None:
    upstream.answer(CallsThenFails(way.turn(BOOK), failing))
    flows = Flows(quick_proxy)

    with pytest.raises(openai.APIError):
        ask_with_sdk(quick_proxy, way)

    assert tools_run(flows) == ["book"]
    assert len(upstream.requests) in (2, 3)  # a connection that turns out to be dead is replaced, silently


@every_way
@pytest.mark.parametrize("failing", [refusal(503, ALWAYS), ShortBody(completion("Half"))], ids=["503", "a short body"])
def test_neither_does_the_asynchronous_one(
    quick_proxy: RunningProxy, upstream: Fresh, way: Way, failing: Answer
) -> None:
    upstream.answer(CallsThenFails(way.turn(BOOK), failing))
    flows = Flows(quick_proxy)

    with pytest.raises(openai.APIError):
        asyncio.run(ask_with_async_sdk(quick_proxy, way))

    assert tools_run(flows) == ["book"]


@every_way
def test_nor_where_the_upstream_has_gone_meanwhile(way: Way, tmp_path: Path) -> None:
    awaited = tmp_path / "upstream-gone"
    turn: Any = way.turn({"name": "wait_for_file", "arguments": json.dumps({"path": str(awaited)})})
    with (
        ScriptedUpstream() as gone,
        tools_before(gone.base_url, tmp_path, openai_max_retries=0, tool_timeout=20.0) as proxy,
        ThreadPoolExecutor(1) as pool,
    ):
        gone.answer(replace(turn, headers=[("Connection", "close")]))
        flows = Flows(proxy)
        asking = pool.submit(failure_of, proxy, way)
        gone.wait_for_requests(1)
        gone.stop_listening()
        awaited.touch()  # until now the tool has waited for this
        failure = asking.result(20)

    assert tools_run(flows) == ["wait_for_file"]
    assert "cannot be reached" in str(failure)


def failure_of(proxy: RunningProxy, way: Way) -> openai.APIError:
    """Return what the SDK raises."""
    with pytest.raises(openai.APIError) as failure:
        ask_with_sdk(proxy, way)
    return failure.value


# --- what the client is told ------------------------------------------------------------------------------------------


def retry_words(answer: httpx2.Response) -> list[str]:
    """Return what an answer says of another try."""
    return answer.headers.get_list("x-should-retry")


@pytest.mark.parametrize("way", WHOLE_WAYS, ids=str)
@pytest.mark.parametrize("failing", FAILURES.values(), ids=FAILURES)
def test_every_error_after_a_tool_says_that_it_is_final(
    quick_proxy: RunningProxy, upstream: Fresh, way: Way, failing: Callable[[Way], Answer]
) -> None:
    upstream.answers([way.turn(BOOK), failing(way)])

    answer = quick_proxy.http.post(way.path, json=way.body())

    assert answer.status_code >= 400
    assert retry_words(answer) == ["false"]
    assert answer.json()


@pytest.mark.parametrize("way", WHOLE_WAYS, ids=str)
@pytest.mark.parametrize("rounds", [2, 3])
def test_so_it_does_in_later_rounds(quick_proxy: RunningProxy, upstream: Fresh, way: Way, rounds: int) -> None:
    upstream.answers([*[way.turn(BOOK)] * rounds, refusal(503, ALWAYS)])

    assert retry_words(quick_proxy.http.post(way.path, json=way.body())) == ["false"]


def test_what_else_the_upstream_says_stays(quick_proxy: RunningProxy, upstream: Fresh) -> None:
    way = WAYS[0]
    upstream.answers([way.turn(BOOK), refusal(429, ("Retry-After", "7"), ("X-RateLimit-Reset-Tokens", "6m"), ALWAYS)])

    answer = quick_proxy.http.post(way.path, json=way.body())

    assert (answer.status_code, answer.json()["error"]["code"]) == (429, "own")
    assert (answer.headers["retry-after"], answer.headers["x-ratelimit-reset-tokens"]) == ("7", "6m")


@pytest.mark.parametrize("way", WHOLE_WAYS, ids=str)
@pytest.mark.parametrize(
    "calls",
    [
        [{"name": "fail", "arguments": "{}"}],
        [{"name": "slow", "arguments": "{}"}],
        [{"name": "book", "arguments": "[]"}, BOOK],
    ],
    ids=["fails", "takes too long", "one of two runs"],
)
def test_a_tool_that_fails_has_begun_too(
    quick_proxy: RunningProxy, upstream: Fresh, way: Way, calls: list[dict[str, Any]]
) -> None:
    upstream.answers([way.turn(*calls), refusal(503, ALWAYS)])

    assert retry_words(quick_proxy.http.post(way.path, json=way.body())) == ["false"]


@pytest.mark.parametrize("way", WHOLE_WAYS, ids=str)
def test_a_question_to_the_user_is_not_put_again(quick_proxy: RunningProxy, upstream: Fresh, way: Way) -> None:
    quick_proxy.services.store.update(tool_consent={"book": "ask"})
    try:
        upstream.answers([way.turn(BOOK), refusal(503, ALWAYS)])
        answer = quick_proxy.http.post(way.path, json=way.body())
    finally:
        quick_proxy.services.store.update(tool_consent={})

    assert way.results(upstream.requests[1].json()) == ["Error: The user did not allow this call."]
    assert retry_words(answer) == ["false"]


@pytest.mark.parametrize("way", WHOLE_WAYS, ids=str)
@pytest.mark.parametrize("turns", [0, 1], ids=["no call", "a call nobody could read"])
def test_where_nothing_has_run_the_upstream_is_believed(
    quick_proxy: RunningProxy, upstream: Fresh, way: Way, turns: int
) -> None:
    upstream.answers([*[way.turn({"name": "book", "arguments": "[]"})] * turns, refusal(503, ALWAYS)])

    assert retry_words(quick_proxy.http.post(way.path, json=way.body())) == ["true"]


@every_way
def test_the_proxys_own_tries_ask_the_model_again_and_run_nothing(upstream: Fresh, way: Way, tmp_path: Path) -> None:
    upstream.answers([way.turn(BOOK), refusal(503, SOON), refusal(503, SOON), way.last()])
    with tools_before(upstream.base_url, tmp_path, openai_timeout=10.0, tool_timeout=10.0) as proxy:
        flows = Flows(proxy)

        ask_with_sdk(proxy, way)

        assert tools_run(flows) == ["book"]
    assert [len(way.results(request.json())) for request in upstream.requests] == [0, 1, 1, 1]


def test_after_a_turn_of_both_sides_a_client_may_ask_again_and_ours_does_not_run_again(
    quick_proxy: RunningProxy, upstream: Fresh
) -> None:
    way = WAYS[0]
    own = {"type": "function", "function": {"name": "open_file", "parameters": {"type": "object"}}}
    mixed = way.turn(BOOK, {"name": "open_file", "arguments": ""})
    upstream.answers([mixed, refusal(503, ALWAYS), way.last()])
    flows = Flows(quick_proxy)

    shown = quick_proxy.http.post(way.path, json=way.body(tools=[own])).json()["choices"][0]["message"]
    shown["tool_calls"][0]["function"]["arguments"] = "{}"  # as clients write nothing
    asked = way.body(tools=[own])
    asked["messages"] = [*asked["messages"], shown, {"role": "tool", "tool_call_id": "call_1", "content": "text"}]
    answers = [quick_proxy.http.post(way.path, json=asked) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [503, 200]
    assert retry_words(answers[0]) == ["true"]
    assert tools_run(flows) == ["book"]
    assert all(len(way.results(request.json())) == 2 for request in upstream.requests[1:])


@pytest.mark.parametrize("way", WHOLE_WAYS, ids=str)
def test_a_large_answer_after_a_tool_is_whole_before_its_head_leaves(
    quick_proxy: RunningProxy, upstream: Fresh, way: Way
) -> None:
    upstream.answers([way.turn(BOOK), way.last("x" * 3_000_000)])

    answer = quick_proxy.http.post(way.path, json=way.body())

    assert answer.headers["content-length"] == str(len(answer.content))
    assert len(answer.content) > 3_000_000


# --- streams whose head is out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", STREAMED_WAYS, ids=str)
@pytest.mark.parametrize("failing", [*FAILURES.values(), *STREAM_FAILURES.values()], ids=[*FAILURES, *STREAM_FAILURES])
def test_a_stream_that_fails_after_a_tool_says_so_and_ends_properly(
    quick_proxy: RunningProxy, upstream: Fresh, way: Way, failing: Callable[[Way], Answer]
) -> None:
    upstream.answer(CallsThenFails(way.turn(BOOK), failing(way)))

    assert error_in(quick_proxy.http.post(way.path, json=way.body()))["message"]


@pytest.mark.parametrize("way", STREAMED_WAYS, ids=str)
def test_so_does_one_whose_head_was_sent_before_the_upstreams(eager: RunningProxy, upstream: Fresh, way: Way) -> None:
    upstream.answer(CallsThenFails(Delayed(way.turn(BOOK), 0.2), refusal(503, ALWAYS)))
    flows = Flows(eager)

    answer = eager.http.post(way.path, json=way.body())

    assert answer.content.startswith(b": keep-alive")
    assert error_in(answer)["code"] == "own"
    assert tools_run(flows) == ["book"]


def error_in(answer: httpx2.Response) -> Any:
    """Return the error a stream ended with; there must be one, and nothing behind it."""
    assert answer.status_code == 200
    told = [json.loads(line[6:]) for line in answer.content.splitlines() if line.startswith(b"data: {")]
    [error] = [one["error"] for one in told if one.get("error")]
    assert told[-1]["error"] == error
    return error


@pytest.fixture(scope="module")
def eager(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy that sends the head of a stream very early."""
    folder = tmp_path_factory.mktemp("eager")
    with tools_before(provider.base_url, folder, openai_max_retries=0, keep_alive_s=0.03) as running:
        yield running


def test_a_bug_of_ours_is_told_in_the_stream_and_its_stack_stands_in_the_log_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    way = STREAMED_WAYS[0]
    turn: Any = way.turn({"name": "note", "arguments": "{}"})
    answers: list[Any] = [whole(200, Headers([("content-type", "text/event-stream")]), b"".join(turn._pieces()))]
    begun: list[str] = []

    async def send(content: bytes) -> Any:
        return answers.pop()  # the second time there is none

    async def read() -> bytes:
        workers = Workers()
        note = Tool("note", "", {}, lambda _: "noted")
        consent = Consent(dict, lambda _: None)
        parts = LoopParts(Runner(workers), consent, MixedTurns(), ResponseIds(), ModelsWithoutTools())
        body = json.dumps(way.body()).encode()
        request = ToolRequest(
            upstream="http://127.0.0.1:1/v1",
            path="/chat/completions",
            fields=way.body(),
            content=body,
            request_id="r-1",
            caller="",
            send=send,
            rewrite=rewrite,
            note_round=lambda _: None,
            note_repair=lambda _: None,
            begin=lambda: begun.append("begun"),
        )
        answer = await open_loop(request, {"note": note}, Settings(), parts)
        pieces = []
        while piece := await answer.next_chunk():
            pieces.append(piece)
        answer.close()
        workers.stop()
        return b"".join(pieces)

    told = asyncio.run(read())

    assert begun == ["begun"]
    assert json.loads(told.splitlines()[-2][6:])["error"]["code"] == "server_error"
    assert b"pop from empty list" not in told
    assert "pop from empty list" in caplog.text
