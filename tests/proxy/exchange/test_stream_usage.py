"""The tokens of every request are counted, and the client sees nothing of how."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Fin,
    Json,
    Recorded,
    ScriptedUpstream,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, proxy_before
from fakes.streaming import CHAT, DONE, RESPONSES, STREAM, bytes_of, response_events, stream
from proxy.flow.flow import Usage, find_usage
from waiting import wait_for


@pytest.fixture
def start(provider: ScriptedUpstream, tmp_path: Path) -> Callable[..., Any]:
    return lambda **settings: proxy_before(provider.base_url, tmp_path, **settings)


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Provider())
    return fresh


class Provider(Answer):
    """Answer as OpenAI does: with usage null in every chunk and a chunk of usage at the end, where it is asked for."""

    def __init__(self, *words: str, compact: bool = True, refuses: bool = False) -> None:
        self.words = words or ("Hel", '"usage":null}', "lo")
        self.separators = (",", ":") if compact else (", ", ": ")
        self.refuses = refuses

    def script(self, request: Recorded) -> Any:
        options = request.json().get("stream_options")
        if options and self.refuses:
            error = {"error": {"message": "Unknown parameter: 'stream_options'", "type": "x", "code": None}}
            return Json(error, 400).script(request)
        asked = bool(options and options.get("include_usage"))
        return Sse([self.bytes(asked)], done=False).script(request)

    def bytes(self, asked: bool) -> bytes:
        chunks = [
            {**chunk, **({"usage": chunk.get("usage")} if asked else {}), "obfuscation": "x"}
            for chunk in completion_chunks(*self.words, usage=asked)
        ]
        return (
            b"".join(b"data: " + json.dumps(chunk, separators=self.separators).encode() + b"\n\n" for chunk in chunks)
            + DONE
        )


BODIES: dict[str, bytes] = {
    "no options": STREAM,
    "other options": STREAM.replace(
        b'"stream":true', b'"stream" : true, "stream_options":{"include_obfuscation":true}'
    ),
    "null": STREAM.replace(b'"stream":true', b'"stream_options":null ,"stream":true'),
    "declined": STREAM.replace(b'"stream":true', b'"stream":true,"stream_options":{"include_usage":false}'),
}


@pytest.mark.core
@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_q14_a_stream_is_asked_for_its_usage_and_comes_as_if_it_had_not_been(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture, body: bytes, compact: bool
) -> None:
    answer = Provider(compact=compact)
    upstream.answer(answer)
    with caplog.at_level(logging.INFO):
        assert stream(proxy, CHAT, body).body == answer.bytes(asked=False)
        wait_for(lambda: " 200 5+3 tokens" in caplog.text, "the tokens in the log")

    sent = upstream.request.json()
    assert sent["stream_options"].pop("include_usage") is True
    assert " 200 5+3 tokens" in caplog.text


def test_only_the_one_member_of_the_request_is_changed(proxy: RunningProxy, upstream: Fresh) -> None:
    odd = b' {"zebra" : 1E400,"stream":true,\n"stream_options": {"a":1} ,"messages":[ ]}'
    stream(proxy, CHAT, odd)

    assert upstream.request.body == odd.replace(b'{"a":1}', b'{"a":1,"include_usage":true}')


def test_a_long_stream_comes_as_if_it_had_not_been_asked(proxy: RunningProxy, upstream: Fresh) -> None:
    answer = Provider(*(f'word{number} ",\\' for number in range(500)))
    upstream.answer(answer)

    assert stream(proxy).body == answer.bytes(asked=False)


def test_a_client_that_asks_itself_is_given_the_usage(proxy: RunningProxy, upstream: Fresh) -> None:
    body = STREAM.replace(b'"stream":true', b'"stream":true,"stream_options":{"include_usage":true}')

    assert stream(proxy, CHAT, body).body == Provider().bytes(asked=True)
    assert upstream.request.body == body


def test_usage_an_upstream_sends_with_its_last_words_stays(proxy: RunningProxy, upstream: Fresh) -> None:
    chunks = completion_chunks("Hi")
    chunks[-1]["usage"] = {"prompt_tokens": 1, "completion_tokens": 1}
    upstream.answer(Sse(chunks))

    assert stream(proxy).body == bytes_of(*chunks) + DONE


def test_a_stream_cut_before_the_usage_the_proxy_asked_for_is_whole_to_its_client(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answer(Sse(completion_chunks("Hi"), done=False, end=Fin()))

    assert stream(proxy).body == bytes_of(*completion_chunks("Hi")) + DONE


@pytest.mark.core
def test_an_upstream_that_refuses_is_asked_again_once_and_never_with_it_again(
    upstream: Fresh, start: Callable[..., Any]
) -> None:
    answer = Provider(refuses=True)
    upstream.answer(answer)
    with start() as proxy:
        bodies = [stream(proxy).body for _ in range(3)]

    assert bodies == [answer.bytes(asked=False)] * 3
    assert ["stream_options" in request.json() for request in upstream.requests] == [True, False, False, False]


def test_another_refusal_is_not_asked_again(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json({"error": {"message": "Unknown parameter: 'seed'"}}, 400))

    assert stream(proxy).status == 400
    assert len(upstream.requests) == 1


OTHERS: dict[str, tuple[dict[str, Any], str, bytes]] = {
    "turned off": ({"openai_stream_usage": False}, CHAT, STREAM),
    "a plain chat": ({}, CHAT, STREAM.replace(b"true", b"false")),
    "an older completion": ({}, "/v1/completions", STREAM),
    "options that are no object": ({}, CHAT, STREAM.replace(b'"stream":true', b'"stream":true,"stream_options":7')),
    "dropped by a rule": ({"openai_param_drop": "stream_options"}, CHAT, STREAM),
}


@pytest.mark.parametrize(("settings", "path", "body"), OTHERS.values(), ids=OTHERS)
def test_elsewhere_nothing_is_asked(
    upstream: Fresh, start: Callable[..., Any], settings: dict[str, Any], path: str, body: bytes
) -> None:
    upstream.answer(Json(completion("Hello")))
    with start(**settings) as proxy:
        stream(proxy, path, body)

    assert upstream.request.body == body


def test_a_users_own_rule_for_the_options_stands(upstream: Fresh, start: Callable[..., Any]) -> None:
    with start(openai_param_overrides={"stream_options": {"include_usage": True}}) as proxy:
        assert stream(proxy).body == Provider().bytes(asked=True)


COUNTED: dict[str, tuple[str, Answer, str]] = {
    "a plain chat": (CHAT, Json(completion("Hello")), "5+7 tokens"),
    "a response": (RESPONSES, Sse(response_events("Hel", "lo"), done=False), "5+2 tokens"),
    "embeddings": (
        "/v1/embeddings",
        Json({"data": [], "usage": {"prompt_tokens": 9, "total_tokens": 9}}),
        "9+0 tokens",
    ),
}


@pytest.mark.parametrize(("path", "answer", "told"), COUNTED.values(), ids=COUNTED)
def test_the_log_tells_the_tokens_of_a_request(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture, path: str, answer: Answer, told: str
) -> None:
    upstream.answer(answer)
    body = STREAM if path == RESPONSES else STREAM.replace(b"true", b"false")
    with caplog.at_level(logging.INFO):
        stream(proxy, path, body)
        wait_for(lambda: told in caplog.text, "the tokens in the log")

    assert f" 200 {told}" in caplog.text


def test_usage_of_every_endpoint_reads_alike() -> None:
    chat = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    response = {
        "input_tokens": 10,
        "output_tokens": 5,
        "input_tokens_details": {"cached_tokens": 4},
        "output_tokens_details": {"reasoning_tokens": 3},
    }

    assert Usage.of(chat) == Usage.of(response) == Usage(10, 5, 4, 3)


@pytest.mark.parametrize("counted", [None, {}, {"prompt_tokens": "many"}, {"prompt_tokens": None}, {"seconds": 3}])
def test_usage_that_counts_no_tokens_is_none(counted: Any) -> None:
    assert Usage.of(counted) is None


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"a":1,"usage":{"b":{"c":2}},"d":3}', {"b": {"c": 2}}),
        (b'{"content":"\\"usage\\":{\\"no\\":1}","usage" : {"x":1}}', {"x": 1}),
        (b'{"usage":null}', None),
        (b'{"usage":{"x":', None),
        (b'{"a":1}', None),
        (b"", None),
    ],
)
def test_usage_is_found_in_a_plain_answer(body: bytes, found: Any) -> None:
    assert find_usage(body) == found
