"""What holds for every answer of the demo upstream: routes, refusals, pace, clients who leave, start and end."""

import http.client
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from fakes.environment import ROOT
from proxy.demo.faults import FAULTS
from proxy.demo.server import run_demo
from proxy.flow.flow import Usage
from waiting import wait_for

SLOW_S = 0.2
CHAT = {"model": "m", "messages": [{"role": "user", "content": "word " * 100}], "stream": True}


def send(demo_url: str, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection(urlsplit(demo_url).netloc, timeout=10)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_models_say_that_they_are_the_demos(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    models = list(client.models.list())

    assert [model.id for model in models] == ["demo-chat", "demo-tools", "demo-embedding", *FAULTS]
    assert {model.owned_by for model in models} == {"openai-tray-proxy-demo"}
    one = client.models.retrieve("demo-tools")
    check_shape(one)
    assert one == models[1]


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-absent")

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_no_key_is_fine(demo_url: str) -> None:
    assert send(demo_url, "GET", "/v1/models")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/v1/threads", "/v1/files/a/b", "/v1/models/", "/v1//models", "/models", "/v1/chat/completions"]
)
def test_what_the_demo_does_not_have_is_said(demo_url: str, path: str) -> None:
    status, headers, body = send(demo_url, "GET", path)

    assert (status, headers["content-type"]) == (404, "application/json")
    error = json.loads(body)["error"]
    assert "demo" in error["message"]
    assert error.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/completions", "/v1/files"])
def test_a_body_for_what_the_demo_does_not_have_is_answered_too(demo_url: str, path: str) -> None:
    status, _, body = send(demo_url, "POST", path, bytes(3 * 2**20))

    assert (status, json.loads(body)["error"]["code"]) == (404, "demo_does_not_have_this")


def test_head_answers_the_head_of_get(demo_url: str) -> None:
    _, got, body = send(demo_url, "GET", "/v1/models")

    status, headers, nothing = send(demo_url, "HEAD", "/v1/models")

    assert (status, nothing) == (200, b"")
    assert headers["content-length"] == got["content-length"] == str(len(body))


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a": ' + b"9" * 5000 + b"}", b'"text"'],
    ids=["empty", "open", "list", "not-utf8", "nan", "deep", "huge-number", "text"],
)
def test_a_body_that_is_no_json_object_is_refused(demo_url: str, body: bytes) -> None:
    status, _, answer = send(demo_url, "POST", "/v1/chat/completions", body)

    assert status == 400
    assert "could not parse" in json.loads(answer)["error"]["message"]


@pytest.mark.parametrize("path", ["chat/completions", "responses", "embeddings"])
@pytest.mark.parametrize("odd", [None, 1, "\ud800", [None], [[]], [{"role": 1, "content": {"a": 1}}], {"a": []}])
def test_odd_values_never_fail_the_demo(demo_url: str, path: str, odd: Any) -> None:
    names = ("messages", "input", "prompt", "tools", "tool_choice", "stop", "response_format", "text", "metadata")

    for stream in (False, True):
        body = {"model": "m", "stream": stream, **dict.fromkeys(names, odd)}
        assert send(demo_url, "POST", f"/v1/{path}", json.dumps(body).encode())[0] in {200, 400}


@pytest.mark.parametrize("required", [None, "a", 1, [[]], [{}], ["b"]])
def test_odd_demands_still_give_arguments(client: openai.OpenAI, required: Any) -> None:
    parameters: Any = {"type": "object", "properties": {"a": {"type": "string"}}, "required": required}
    tools: Any = [{"type": "function", "function": {"name": "odd", "parameters": parameters}}]

    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "odd"}], tools=tools)

    calls: Any = answer.choices[0].message.tool_calls
    assert json.loads(calls[0].function.arguments) == {"a": "demo"}


@pytest.mark.parametrize("odd", [None, "x", {"type": ["null"]}, {"type": "array"}, {"$ref": "#"}, {"enum": []}])
def test_odd_schemas_still_give_arguments(client: openai.OpenAI, odd: Any) -> None:
    parameters: Any = {"type": "object", "properties": {"a": odd}, "required": ["a", "b"]}
    tools: Any = [{"type": "function", "function": {"name": "odd", "parameters": parameters}}]

    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "odd"}], tools=tools)

    calls: Any = answer.choices[0].message.tool_calls
    assert json.loads(calls[0].function.arguments).keys() == {"a"}


# Streams, and the server


def test_a_stream_comes_event_by_event_at_the_pace_of_a_model() -> None:
    with run_demo(pace_s=0.02) as base_url, opened_stream(base_url) as stream:
        started = time.monotonic()
        first = read_event(stream)
        first_s = time.monotonic() - started
        events = [first, *iter(lambda: read_event(stream), b"")]
        last_s = time.monotonic() - started

    assert (stream.version, stream.headers["content-type"]) == (11, "text/event-stream")
    assert events[-1] == b"data: [DONE]\n\n"
    assert last_s >= 0.02 * (len(events) - 1) - first_s
    assert first_s < last_s / 2


def test_a_client_who_leaves_ends_the_stream() -> None:
    with run_demo(SLOW_S) as base_url:
        with opened_stream(base_url) as stream:
            read_event(stream)
            assert len(answering_threads()) == 1
        wait_for(lambda: not answering_threads(), "the end of the stream nobody reads", limit_s=10 * SLOW_S)


def test_a_client_who_leaves_during_the_upload_fails_nothing(
    demo_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = http.client.HTTPConnection(urlsplit(demo_url).netloc, timeout=10)
    connection.request("POST", "/v1/chat/completions", b"{", {"Content-Length": "10"})
    connection.close()

    wait_for(lambda: not answering_threads(), "the end of the request")
    assert send(demo_url, "GET", "/v1/models")[0] == 200
    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")


def test_the_end_waits_for_no_stream() -> None:
    before = servers()
    with ExitStack() as stack:
        with run_demo(SLOW_S) as base_url:
            read_event(stack.enter_context(opened_stream(base_url)))
            started = time.monotonic()
        assert time.monotonic() - started < 2
        assert servers() == before
        with pytest.raises(ConnectionRefusedError):
            send(base_url, "GET", "/v1/models")
    wait_for(lambda: not answering_threads(), "the end of the stream nobody reads", limit_s=10 * SLOW_S)


def test_requests_are_answered_while_streams_run() -> None:
    with run_demo(SLOW_S) as base_url, ExitStack() as stack:
        for _ in range(5):
            read_event(stack.enter_context(opened_stream(base_url)))
        started = time.monotonic()

        assert send(base_url, "GET", "/v1/models")[0] == 200

        assert time.monotonic() - started < 2


def test_nothing_is_logged_or_printed_for_a_request(
    demo_url: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)

    send(demo_url, "GET", "/v1/models")
    send(demo_url, "POST", "/v1/absent")

    assert caplog.messages == []
    assert capfd.readouterr() == ("", "")


def test_it_starts_without_the_sdk_and_ends_with_an_open_stream() -> None:
    script = (
        "import sys, http.client\n"
        "from proxy.demo.server import run_demo\n"
        "with run_demo(pace_s=1) as base_url:\n"
        "    connection = http.client.HTTPConnection(base_url.split('/')[2])\n"
        f"    connection.request('POST', '/v1/chat/completions', {json.dumps(CHAT)!r})\n"
        "    assert connection.getresponse().readline().startswith(b'data: ')\n"
        "assert not {'openai', 'httpx2', 'uvicorn'} & set(sys.modules)\n"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=20, cwd=ROOT, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


@contextmanager
def opened_stream(base_url: str) -> Iterator[http.client.HTTPResponse]:
    """Ask for a stream and yield it as soon as it begins."""
    connection = http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=10)
    connection.request("POST", "/v1/chat/completions", json.dumps(CHAT))
    with closing(connection), connection.getresponse() as stream:
        yield stream


def read_event(stream: http.client.HTTPResponse) -> bytes:
    """Return the next event, b"" after the last."""
    line = stream.readline()
    return line + stream.readline() if line else b""


def servers() -> list[threading.Thread]:
    """Return the threads that wait for connections to a demo."""
    return [thread for thread in threading.enumerate() if thread.name == "demo-upstream"]


def answering_threads() -> list[threading.Thread]:
    """Return the threads in which the demo answers."""
    return [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", {"messages": [{"role": "user", "content": "A question"}]}),
        ("/responses", {"input": "A question"}),
        ("/messages", {"max_tokens": 99, "messages": [{"role": "user", "content": "A question"}]}),
    ],
)
def test_a_second_request_like_the_first_is_read_from_the_cache(
    demo_url: str, path: str, body: dict[str, Any], stream: bool
) -> None:
    asked = {"model": f"model of {path} {stream}", "stream": stream, "stream_options": {"include_usage": True}, **body}

    def usage_of(sent: dict[str, Any]) -> Usage:
        answer = httpx2.post(f"{demo_url}{path}", json=sent, timeout=10).text
        events = [json.loads(line[6:]) for line in answer.splitlines() if line.startswith("data: {")]
        counted: dict[str, Any] = {}
        for each in events or [json.loads(answer)]:
            for inner in (each, each.get("message") or {}, each.get("response") or {}):
                counted |= inner.get("usage") or {}
        usage = Usage.of(counted)
        assert usage is not None
        return usage

    first, second, other = usage_of(asked), usage_of(asked), usage_of({**asked, "model": f"another {path} {stream}"})

    assert first.input_tokens == second.input_tokens > 1
    assert (first.cached_tokens, second.cached_tokens, other.cached_tokens) == (0, first.input_tokens - 1, 0)
