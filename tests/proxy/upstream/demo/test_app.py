"""What holds for every answer of the demo upstream: routes, keys, refusals, and clients who leave."""

import asyncio
import http.client
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from proxy.upstream.demo.app import create_demo_app
from proxy.upstream.demo.asgi import Message


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

    assert [model.id for model in models] == ["demo-chat", "demo-tools", "demo-embedding"]
    assert {model.owned_by for model in models} == {"openai-tray-proxy-demo"}
    one = client.models.retrieve("demo-tools")
    check_shape(one)
    assert one == models[1]


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("gpt-absent")

    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def test_one_key_is_refused(demo_url: str) -> None:
    with (
        openai.OpenAI(base_url=demo_url, api_key="sk-invalid", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.models.list()

    assert caught.value.code == "invalid_api_key"


def test_no_key_is_fine(demo_url: str) -> None:
    assert send(demo_url, "GET", "/v1/models")[0] == 200


@pytest.mark.parametrize("path", ["/v1/threads", "/v1/files/a/b", "/v1/models/", "/models", "/v1/chat/completions"])
def test_what_the_demo_does_not_have_is_said(demo_url: str, path: str) -> None:
    status, headers, body = send(demo_url, "GET", path)

    assert (status, headers["content-type"]) == (404, "application/json")
    error = json.loads(body)["error"]
    assert "demo" in error["message"]
    assert error.keys() == {"message", "type", "param", "code"}


def test_every_answer_carries_openais_headers(demo_url: str) -> None:
    _, headers, _ = send(demo_url, "GET", "/v1/models")

    assert headers["x-request-id"].startswith("req_")
    assert headers["openai-version"] == "2020-10-01"
    assert int(headers["openai-processing-ms"]) >= 0


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


@pytest.mark.parametrize("path", ["chat/completions", "responses", "completions", "embeddings", "moderations"])
@pytest.mark.parametrize("odd", [None, 1, "\ud800", [None], [[]], [{"role": 1, "content": {"a": 1}}], {"a": []}])
def test_odd_values_never_fail_the_demo(demo_url: str, path: str, odd: Any) -> None:
    names = ("messages", "input", "prompt", "tools", "tool_choice", "stop", "response_format", "text", "metadata")

    for stream in (False, True):
        body = {"model": "m", "stream": stream, **dict.fromkeys(names, odd)}
        assert send(demo_url, "POST", f"/v1/{path}", json.dumps(body).encode())[0] in {200, 400}


@pytest.mark.parametrize("odd", [None, "x", {"type": ["null"]}, {"type": "array"}, {"$ref": "#"}, {"enum": []}])
def test_odd_schemas_still_give_arguments(client: openai.OpenAI, odd: Any) -> None:
    parameters: Any = {"type": "object", "properties": {"a": odd}, "required": ["a", "b"]}
    tools: Any = [{"type": "function", "function": {"name": "odd", "parameters": parameters}}]

    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "odd"}], tools=tools)

    calls: Any = answer.choices[0].message.tool_calls
    assert json.loads(calls[0].function.arguments).keys() == {"a"}


def test_a_client_who_leaves_ends_the_stream_between_two_events() -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}).encode()
    start = time.monotonic()

    sent = asyncio.run(answer_and_leave([{"type": "http.request", "body": body}], pace_s=30))

    assert [message["type"] for message in sent] == ["http.response.start"]
    assert time.monotonic() - start < 10


def test_a_client_who_leaves_during_the_upload_gets_nothing() -> None:
    assert asyncio.run(answer_and_leave([{"type": "http.request", "body": b"{", "more_body": True}], pace_s=0)) == []


async def answer_and_leave(messages: list[Message], *, pace_s: float) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
    await create_demo_app(pace_s=pace_s)(scope, receive, send)
    return sent
