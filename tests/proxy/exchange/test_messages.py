"""Claude's API, relayed: its official SDK sees an upstream that speaks it, whole, streamed, refused and cut."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest

from fakes import streaming
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    CloseBeforeHeaders,
    Fin,
    Html,
    Json,
    ScriptedUpstream,
    Sse,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, proxy_before
from proxy.flow.flow import Flow, Usage
from proxy.flow.observers import Observer
from waiting import wait_for

MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "content": [{"type": "text", "text": "Grüße"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2, "output_tokens": 4},
}
START = {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}}
EVENTS: list[dict[str, Any]] = [
    START,
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grü"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ße"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
    {"type": "message_stop"},
]
ASK: dict[str, Any] = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}


def as_bytes(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events
    )


def stream(proxy: RunningProxy) -> bytes:
    return streaming.stream(proxy, "/v1/messages", json.dumps({**ASK, "stream": True}).encode()).body


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Json(MESSAGE))
    return fresh


@pytest.fixture
def start(provider: ScriptedUpstream, tmp_path: Path) -> Callable[..., Any]:
    return lambda **settings: proxy_before(provider.base_url, tmp_path, **settings)


@pytest.fixture
def claude(provider: ScriptedUpstream, tmp_path: Path) -> Iterator[RunningProxy]:
    row = {"name": "claude", "base_url": provider.base_url, "auth": "x-api-key", "models": ["claude-*"]}
    with proxy_before(provider.base_url, tmp_path, proxy_upstreams=[row], openai_max_retries=0) as proxy:
        proxy.services.upstream_keys.of(proxy.services.store.current.upstreams[1]).keep_for_session("key-for-claude")
        yield proxy


def sdk(proxy: RunningProxy, **options: Any) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        **{"base_url": proxy.root_url, "api_key": "any", "max_retries": 0, "timeout": 20, **options}
    )


def test_a_message_comes_as_the_upstream_wrote_it(claude: RunningProxy, upstream: Fresh) -> None:
    with sdk(claude, default_headers={"anthropic-beta": "b-1"}) as client:
        message = client.messages.create(**ASK)
    assert message.content[0].text == "Grüße"  # type: ignore[union-attr]
    request = upstream.request
    assert request.path == "/v1/messages"
    assert request.header("x-api-key") == "key-for-claude"
    assert request.header("authorization") is None
    assert request.json() == ASK


def test_its_headers_travel(claude: RunningProxy, upstream: Fresh) -> None:
    with sdk(claude, default_headers={"anthropic-beta": "b-1"}) as client:
        client.messages.create(**ASK)
    assert str(upstream.request.header("anthropic-version")).startswith("20")  # a date
    assert upstream.request.header("anthropic-beta") == "b-1"


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "/v1/messages/", "/v1/messages/count_tokens"])
def test_it_is_served_with_and_without_v1(claude: RunningProxy, upstream: Fresh, path: str) -> None:
    assert claude.http.post(path, json=ASK).json() == MESSAGE
    assert upstream.request.path == ("/v1/messages/count_tokens" if "count" in path else "/v1/messages")


def test_a_stream_comes_byte_for_byte_and_is_counted(claude: RunningProxy, upstream: Fresh) -> None:
    content = as_bytes(*EVENTS)
    upstream.answer(Sse([content], done=False, cut=7))
    assert stream(claude) == content


def test_the_sdk_reads_a_stream_and_the_tokens_are_counted(claude: RunningProxy, upstream: Fresh) -> None:
    ended: list[Flow] = []

    class Hearing(Observer):
        def ended(self, flow: Flow) -> None:
            ended.append(flow)

    unsubscribe = claude.services.observers.subscribe(Hearing())
    upstream.answer(Sse([as_bytes(*EVENTS)], done=False))
    with sdk(claude) as client, client.messages.stream(**ASK) as events:
        assert "".join(events.text_stream) == "Grüße"
    wait_for(lambda: len(ended) == 1, "the flow has ended")
    unsubscribe()
    assert ended[0].usage == Usage(10, 9, 5, cache_written_tokens=2)


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
def test_a_stream_that_is_cut_is_told(claude: RunningProxy, upstream: Fresh, count: int) -> None:
    upstream.answer(Sse([as_bytes(*EVENTS[:count])], done=False, end=Fin()))
    with (
        sdk(claude) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
        client.messages.stream(**ASK) as events,
    ):
        events.until_done()
    assert "upstream_truncated" in str(caught.value.body)


def test_an_error_within_a_stream_is_passed_on(claude: RunningProxy, upstream: Fresh) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    content = as_bytes(*EVENTS[:3], error)
    upstream.answer(Sse([content], done=False))
    assert stream(claude) == content


@pytest.mark.parametrize(
    ("status", "kind", "raised"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (529, "overloaded_error", anthropic.InternalServerError),
    ],
)
def test_a_refusal_is_passed_on(
    claude: RunningProxy, upstream: Fresh, status: int, kind: str, raised: type[anthropic.APIStatusError]
) -> None:
    body = {"type": "error", "error": {"type": kind, "message": "no"}, "request_id": "req_1"}
    upstream.answer(Json(body, status))
    with sdk(claude) as client, pytest.raises(raised) as caught:
        client.messages.create(**ASK)
    assert caught.value.body == body


@pytest.mark.parametrize(
    ("answer", "status", "kind", "code"),
    [
        (CloseBeforeHeaders(), 502, "api_error", "upstream_protocol_error"),
        (Html(), 502, "api_error", "upstream_invalid_response"),
        (
            Json({"type": "error", "error": {"type": "authentication_error", "message": "invalid x-api-key"}}, 401),
            401,
            "authentication_error",
            "upstream_invalid_api_key",
        ),
    ],
)
def test_an_error_of_ours_has_this_apis_form(
    claude: RunningProxy, upstream: Fresh, answer: Answer, status: int, kind: str, code: str
) -> None:
    upstream.answer(answer)
    reply = claude.http.post("/v1/messages", json=ASK)
    value = reply.json()
    assert reply.status_code == status
    assert (value["type"], value["error"]["type"], value["error"]["code"]) == ("error", kind, code)
    assert value["error"]["message"]


def test_what_the_guard_refuses_has_this_apis_form(start: Callable[..., Any], upstream: Fresh) -> None:
    with start(proxy_require_api_key=True, proxy_api_keys="a-key-of-ours") as proxy, sdk(proxy) as client:
        with pytest.raises(anthropic.AuthenticationError) as caught:
            client.messages.create(**ASK)
        assert caught.value.body["type"] == "error"  # type: ignore[index]
        with sdk(proxy, api_key="a-key-of-ours") as known:
            assert known.messages.create(**ASK).id == "msg_1"
    assert upstream.request.header("x-api-key") is None
    assert upstream.request.header("authorization") == f"Bearer {UPSTREAM_KEY}"


@pytest.mark.parametrize("status", [404, 405])
def test_an_upstream_that_does_not_speak_it_is_told(start: Callable[..., Any], upstream: Fresh, status: int) -> None:
    upstream.answer(Json({"detail": "Not Found"}, status))
    with start() as proxy, sdk(proxy) as client, pytest.raises(anthropic.APIStatusError) as caught:
        client.messages.create(**ASK)
    assert caught.value.status_code == status
    assert "does not speak Claude" in str(caught.value)


def test_rules_and_repairs_hold_here_too(provider: ScriptedUpstream, tmp_path: Path, upstream: Fresh) -> None:
    refusal = {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "temperature: Extra inputs are not permitted"},
    }

    class Strict(Answer):
        def script(self, request: Any) -> Any:
            return (
                Json(refusal, 400).script(request) if "temperature" in request.json() else Json(MESSAGE).script(request)
            )

    upstream.answer(Strict())
    with proxy_before(provider.base_url, tmp_path, openai_param_overrides={"top_k": 3}) as proxy:
        assert proxy.http.post("/v1/messages", json={**ASK, "temperature": 1}).status_code == 200
    assert upstream.requests[-1].json()["top_k"] == 3


def test_a_silent_upstream_gets_comments_that_the_sdk_passes_over(
    provider: ScriptedUpstream, tmp_path: Path, upstream: Fresh
) -> None:
    upstream.answer(Sse([as_bytes(*EVENTS[:4]), as_bytes(*EVENTS[4:])], done=False, gap_s=0.5))
    with proxy_before(provider.base_url, tmp_path, keep_alive_s=0.1) as proxy:
        content = stream(proxy)
        assert b": keep-alive" in content
        with sdk(proxy) as client, client.messages.stream(**ASK) as events:
            assert "".join(events.text_stream) == "Grüße"
