"""JSON of an unexpected inner type is the upstream's fault: passed on or told as its error, never as one of ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.asking import CHAT
from fakes.flows import Flows
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Content, Json, ScriptedUpstream, Sse
from fakes.shared_upstream import Fresh, proxy_before
from fakes.streaming import STREAM, stream
from fakes.tool_turns import TOOLS_FILE, called_chunks
from proxy.flow.flow import MAX_TOKENS, Outcome, Usage
from proxy.tools.mcp.lines import message_in

CLAUDE = "/v1/messages"
CLAUDES_STREAM = b'{"model":"m","max_tokens":9,"stream":true,"messages":[]}'
LONG = "4" * 5_000  # digits, which Python makes no number of


@pytest.fixture(scope="module")
def tool_proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    folder: Path = tmp_path_factory.mktemp("tools")
    (folder / "function_tools.py").write_text(TOOLS_FILE, encoding="utf-8")
    file = str(folder / "function_tools.py")
    with proxy_before(provider.base_url, folder, enable_tool_execution=True, function_tools_file=file) as running:
        yield running


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert [record for record in caplog.records if record.exc_info] == []


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("depth", [300, 980, 5_000, 200_000])
def test_a_nested_429_stays_one(proxy: RunningProxy, upstream: Fresh, depth: int) -> None:
    body = f'{{"error": {nested(depth)}}}'.encode()
    upstream.answer(Content(body, "application/json", status=429, headers=[("x-should-retry", "false")]))
    assert proxy.http.post(CHAT, json={"model": "m", "messages": []}).status_code == 429


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": ["no"], "code": LONG}, 502),
        ({"message": {"text": "no"}, "status": "404"}, 404),
        ({"status": [LONG], "code": 429}, 429),
        ({"message": 7, "type": [], "code": {"a": [1]}}, 502),
        (["no"], None),  # no error that anything looks for
        ("no", 502),
    ],
)
def test_an_error_told_as_a_success_is_told_as_one(
    proxy: RunningProxy, upstream: Fresh, error: Any, status: int | None
) -> None:
    upstream.answer(Json({"error": error}))
    answer = proxy.http.post(CHAT, json={"model": "m", "messages": []})
    assert answer.status_code == (status or 200)
    if status is not None:
        told = answer.json()["error"]
        assert all(isinstance(told[name], str) for name in ("message", "type", "code"))


@pytest.mark.parametrize("count", [10**30, 10**4_000, 2**63])
def test_a_count_that_no_ledger_holds_is_counted_as_the_largest(count: int) -> None:
    assert Usage.of({"prompt_tokens": count, "completion_tokens": 1}) == Usage(MAX_TOKENS, 1)


# --- streams ----------------------------------------------------------------------------------------------------------


def claudes(*events: object) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)


START = {"type": "message_start", "message": {"usage": {"input_tokens": 1}}}
STOP = {"type": "message_stop"}


@pytest.mark.parametrize("value", [None, 0, 3.5, "", [], False])
def test_what_sdks_pass_over_in_a_claude_stream_is_passed_on(
    proxy: RunningProxy, upstream: Fresh, value: object
) -> None:
    told = claudes(START, value, {"type": value}, STOP)
    upstream.answer(Sse([told], done=False))
    assert stream(proxy, CLAUDE, CLAUDES_STREAM).body == told


@pytest.mark.parametrize("after", [b"data: [DONE]\n\n", b"event: usage\ndata: {}\n\n", b": bye\n\n"])
def test_what_follows_the_last_event_of_a_claude_stream_is_passed_on(
    proxy: RunningProxy, upstream: Fresh, after: bytes
) -> None:
    upstream.answer(Sse([claudes(START, STOP), after], done=False))
    assert stream(proxy, CLAUDE, CLAUDES_STREAM).body == claudes(START, STOP) + after


def test_a_claude_stream_whose_end_came_before_its_stop_is_told_as_cut(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse([claudes(START)], done=True))
    told = stream(proxy, CLAUDE, CLAUDES_STREAM).body
    assert told.startswith(claudes(START) + b"event: error\n")
    assert b"upstream_truncated" in told


@pytest.mark.parametrize("event", [b"data: {\n\n", b'data: "text"\n\n', b"data: [1]\n\n"])
def test_an_event_that_is_none_is_no_unreachable_upstream(proxy: RunningProxy, upstream: Fresh, event: bytes) -> None:
    upstream.answer(Sse([event], done=False))
    flows = Flows(proxy)
    assert b"upstream_invalid_event" in stream(proxy, CHAT, STREAM).body
    [flow] = flows.finished()
    assert flow.outcome is Outcome.INVALID


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [f"tools[{LONG}]", f"tools.{LONG}", f"function_declarations[{LONG}]", "tools[99]"])
def test_a_refusal_may_count_beyond_all_tools(tool_proxy: RunningProxy, upstream: Fresh, place: str) -> None:
    upstream.answer(Json({"error": {"message": f"Invalid schema for {place}", "type": "x"}}, 400))
    assert tool_proxy.http.post(CHAT, json={"model": place[-20:], "messages": []}).status_code == 400


@pytest.mark.parametrize("depth", [300, 980, 5_000])
def test_a_later_round_may_be_refused_in_any_shape(tool_proxy: RunningProxy, upstream: Fresh, depth: int) -> None:
    body = f'{{"error": {nested(depth)}}}'.encode()
    refusal = Content(body, "application/json", status=400)
    upstream.answers([Sse(called_chunks(("call-1", "weather", '{"city": "Rome"}'))), refusal])
    told = stream(tool_proxy, CHAT, STREAM).body
    assert told.count(b'"error":') == 1
    assert b"server_error" not in told


@pytest.mark.parametrize("asked", [b'"\x01"', b'"\xff"', b'"a\tb"'])
def test_an_unreadable_answer_to_no_known_call_is_passed_over(asked: bytes) -> None:
    assert message_in(b'{"jsonrpc": "2.0", "id": ' + asked + b', "result": }', is_cut=False) is None
