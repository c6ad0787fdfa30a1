"""The body decides what an answer is; refusals keep their words; no shape of JSON is a mistake of ours."""

import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Answer as Scripted
from fakes.scripted_upstream import (
    CloseBeforeHeaders,
    Content,
    Json,
    Recorded,
    Sse,
    Text,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh
from fakes.streaming import CHAT, DONE, RESPONSES, STREAM, bytes_of, response_events, stream
from proxy.exchange.refusal_words import about, read_words
from proxy.flow.health import Health
from waiting import wait_for

EVENTS = bytes_of(*completion_chunks("Hel", "lo")) + DONE
WHOLE = json.dumps(completion("Hello")).encode()
PAGE = b"<!DOCTYPE html><html><body>Log in</body></html>"
MARK = b"\xef\xbb\xbf"
KINDS = ["application/json", "text/html", "text/plain", "text/event-stream", "application/octet-stream"]
ASK = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


# --- what an answer is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [b"", b"\n\n", b": hello\n\n", MARK], ids=repr)
def test_a_stream_is_one_under_any_type(proxy: RunningProxy, upstream: Fresh, kind: str, before: bytes) -> None:
    upstream.answer(Content(before + EVENTS, kind))
    reply = stream(proxy)

    assert reply.status == 200
    assert reply.body.endswith(EVENTS)
    assert str(reply.header("content-type")).startswith("text/event-stream")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [b"", b" \n" * 3000, MARK], ids=["", "padded", "a mark"])
def test_json_is_json_under_any_type(proxy: RunningProxy, upstream: Fresh, kind: str, before: bytes) -> None:
    upstream.answer(Content(before + WHOLE, kind))
    reply = proxy.http.post(CHAT, json=ASK)

    assert (reply.status_code, reply.content) == (200, before + WHOLE)
    assert reply.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("before", [b"", b"\n ", MARK], ids=repr)
def test_a_page_is_refused_under_any_type(
    proxy: RunningProxy, upstream: Fresh, kind: str, is_stream: bool, before: bytes
) -> None:
    upstream.answer(Content(before + PAGE, kind))
    reply = proxy.http.post(CHAT, json={**ASK, "stream": is_stream})

    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_invalid_response")


# --- how streams end --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", ["done", "completed", "canceled", "expired", "incomplete"])
@pytest.mark.parametrize("after", [b"", DONE, b": cost 1\n\n" + DONE], ids=repr)
def test_every_end_of_a_response_is_one_and_what_follows_comes(
    proxy: RunningProxy, upstream: Fresh, last: str, after: bytes
) -> None:
    events = b"".join(response_events("Hello", last=f"response.{last}")) + after
    upstream.answer(Sse([events], done=False))

    assert stream(proxy, RESPONSES, b'{"model":"m","input":"Hi","stream":true}').body == events


@pytest.mark.parametrize("value", ["null", "[]", '""', "0", "1.5", "true"])
def test_an_event_that_sdks_pass_over_is_passed_on(proxy: RunningProxy, upstream: Fresh, value: str) -> None:
    events = f"data: {value}\n\n".encode() + EVENTS
    upstream.answer(Sse([events], done=False))

    assert stream(proxy).body == events


def test_an_upstream_that_never_sends_a_finish_reason_is_learnt(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    unfinished = bytes_of(*completion_chunks("Hel", "lo", finish=None)) + DONE
    finished = bytes_of(*completion_chunks("Hel", finish="stop")) + DONE
    body, other = STREAM.replace(b'"m"', b'"never"'), STREAM.replace(b'"m"', b'"always"')
    upstream.answer(Sse([unfinished], done=False))
    assert b"upstream_truncated" in stream(proxy, CHAT, body).body
    assert stream(proxy, CHAT, body).body == unfinished
    assert "sends no finish_reason" in caplog.text
    assert any("never: sends no finish_reason" in said for said in proxy.services.learned.described_habits())

    upstream.answer(Sse([finished], done=False))
    assert stream(proxy, CHAT, other).body == finished
    upstream.answer(Sse([unfinished], done=False))
    for _ in range(2):
        assert b"upstream_truncated" in stream(proxy, CHAT, other).body


# --- refusals ---------------------------------------------------------------------------------------------------------

WRONG_KEYS: list[Any] = [
    {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}},
    {"detail": "Invalid API key"},
    {"detail": [{"msg": "API key is invalid", "type": "auth"}]},
    {"message": "invalid api token", "code": "invalid_api_key"},
    [
        {
            "error": {
                "code": 400,
                "message": "API key not valid. Please pass a valid API key.",
                "status": "INVALID_ARGUMENT",
            }
        }
    ],
    {"error": {"message": "x", "details": [{"reason": "API_KEY_INVALID"}]}},
]
OTHERS: list[Any] = [
    {"error": {"code": 403, "message": "Your input was flagged", "metadata": {"reasons": ["violence"]}}},
    {"detail": "Your API key does not have access to this model"},
    {"message": "Country, region, or territory not supported"},
    [{"error": {"message": "Permission denied on project", "status": "PERMISSION_DENIED"}}],
]


@pytest.mark.parametrize("value", WRONG_KEYS, ids=str)
@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_key_is_told_with_the_upstreams_words(
    proxy: RunningProxy, upstream: Fresh, value: Any, status: int
) -> None:
    upstream.answer(Json(value, status))
    reply = proxy.http.post(CHAT, json=ASK)

    assert (reply.status_code, reply.json()["error"]["code"]) == (status, "upstream_invalid_api_key")
    assert read_words(json.dumps(value).encode()).message in reply.json()["error"]["message"]


@pytest.mark.parametrize("value", OTHERS, ids=str)
def test_another_refusal_comes_as_it_is(proxy: RunningProxy, upstream: Fresh, value: Any) -> None:
    upstream.answer(Json(value, 403))
    reply = proxy.http.post(CHAT, json=ASK)

    assert (reply.status_code, reply.json()) == (403, value)


def test_plain_words_of_a_refusal_are_kept(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Text("Access denied by policy 7", status=403))
    error = proxy.http.post(CHAT, json=ASK).json()["error"]

    assert (error["message"], error["code"]) == ("Access denied by policy 7", "upstream_status_403")


EMPTY_ACCOUNTS = [
    (429, {"error": {"message": "x", "code": "insufficient_quota"}}),
    (429, {"error": {"message": "x", "type": "billing_hard_limit_reached"}}),
    (400, {"error": {"message": "Your credit balance is too low to access the API", "type": "invalid_request_error"}}),
    (402, {"error": {"message": "Insufficient Balance"}}),
    (402, {"detail": "Payment required"}),
]


@pytest.mark.parametrize(("status", "value"), EMPTY_ACCOUNTS, ids=str)
def test_an_empty_account_is_no_rate_limit(proxy: RunningProxy, upstream: Fresh, status: int, value: Any) -> None:
    upstream.answer(Json(value, status, headers=[("retry-after-ms", "1")]))
    reply = proxy.http.post(CHAT, json=ASK)

    assert (reply.status_code, reply.json(), len(upstream.requests)) == (status, value, 1)
    assert reply.headers["x-should-retry"] == "false"
    assert proxy.services.health.current.kind == "out of credit"
    upstream.answer(Json(completion()))
    proxy.http.post(CHAT, json=ASK)
    wait_for(lambda: proxy.services.health.current == Health(), "the health")


def test_a_rate_limit_that_speaks_of_a_quota_is_one() -> None:
    said = {"error": {"code": 429, "message": "You exceeded your current quota", "status": "RESOURCE_EXHAUSTED"}}
    assert about(429, read_words(json.dumps(said).encode())) == ""


# --- asking for usage never hurts -------------------------------------------------------------------------------------


class Breaks(Scripted):
    """Answer well without the option, and like this with it."""

    def __init__(self, how: Scripted) -> None:
        self.how = how

    def script(self, request: Recorded) -> Any:
        return (self.how if "stream_options" in request.json() else Sse(completion_chunks("Hi"))).script(request)


BROKEN: dict[str, Scripted] = {
    "400": Json({"error": {"message": "Extra inputs are not permitted"}}, 400),
    "405": Text("no", status=405),
    "422": Json({"detail": [{"msg": "extra"}]}, 422),
    "500": Json({"error": {"message": "x"}}, 500, headers=[("x-should-retry", "false")]),
    "501": Json({"error": {"message": "x"}}, 501, headers=[("x-should-retry", "false")]),
    "empty": Sse([b""], done=False),
    "only its end": Sse([DONE], done=False),
    "an error in the stream": Sse([{"error": {"message": "unknown field"}}], done=False),
    "closed": CloseBeforeHeaders(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_upstream_that_breaks_on_the_option_is_asked_again_once_and_remembered(
    proxy: RunningProxy, upstream: Fresh, name: str
) -> None:
    upstream.answer(Breaks(BROKEN[name]))
    body = STREAM.replace(b'"m"', json.dumps(f"breaks {name}").encode())

    assert b'"Hi"' in stream(proxy, CHAT, body).body
    before = len(upstream.requests)
    assert b'"Hi"' in stream(proxy, CHAT, body).body
    assert len(upstream.requests) == before + 1
    assert "stream_options" not in upstream.requests[-1].json()


@pytest.mark.parametrize("choices", [{}, {"choices": None}, {"choices": []}, {"choices": [{"index": 0, "delta": {}}]}])
def test_a_usage_chunk_is_hidden_in_every_shape(proxy: RunningProxy, upstream: Fresh, choices: Any) -> None:
    chunks = completion_chunks("Hi")
    usage = {**chunks[0], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    del usage["choices"]
    upstream.answer(Sse([*chunks, {**usage, **choices}]))

    assert stream(proxy).body == bytes_of(*chunks) + DONE


# --- shapes -----------------------------------------------------------------------------------------------------------

MEMBERS = (
    "choices",
    "message",
    "delta",
    "tool_calls",
    "function",
    "arguments",
    "usage",
    "output",
    "content",
    "type",
    "text",
    "error",
    "id",
    "index",
    "finish_reason",
    "response",
    "status",
    "item",
)
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "stop", "response.completed"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(MEMBERS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
NAMES = ("choices", "output", "usage", "error", "type", "response", "status", "item", "object")
ANSWERS = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, VALUES)) | VALUES


@pytest.mark.parametrize("path", [CHAT, RESPONSES, "/v1/completions"])
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("as_events", [False, True])
@settings(max_examples=25, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANSWERS)
def test_no_shape_of_json_is_a_mistake_of_ours(
    proxy: RunningProxy,
    provider: Any,
    caplog: pytest.LogCaptureFixture,
    path: str,
    is_stream: bool,
    as_events: bool,
    value: Any,
) -> None:
    provider.answer(Sse([json.dumps(value)]) if as_events else Json(value))
    with caplog.at_level(logging.ERROR):
        caplog.clear()
        reply = proxy.http.post(path, json={**ASK, "stream": is_stream})

    assert reply.status_code != 500 or b"server_error" not in reply.content
    assert "Traceback" not in caplog.text
