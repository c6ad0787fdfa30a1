"""The fault table, line by line: what the client gets for what the upstream answers."""

import json
import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import openai
import pytest

from fakes.asking import BODY, CHAT, MODELS, NEVER, SOON, WAYS, ask, refusal
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Body,
    Chunk,
    CloseBeforeHeaders,
    Content,
    EndHead,
    Fin,
    Gzip,
    Header,
    Html,
    Json,
    Pause,
    Raw,
    Redirect,
    Reset,
    Script,
    ShortBody,
    Status,
    Text,
    completion,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from fakes.streaming import MESSAGES
from fakes.wire_client import WireClient
from proxy.hosting import server_for
from waiting import wait_for

# --- upstream 400/404/422 ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_refusal_of_the_upstream_comes_back_unchanged_after_one_try(
    proxy: RunningProxy, upstream: Fresh, status: int, way: str
) -> None:
    answer = Content(b'{ "error":{"message":"no","code":"own","new":[1]} }', "application/json", status=status)
    upstream.answer(answer)
    reply = ask(proxy, way)

    assert (reply.status, reply.body) == (status, answer.body)
    assert len(upstream.requests) == 1


# --- upstream 401/403 -------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_stored_key_says_which_key_it_was(
    proxy: RunningProxy, upstream: Fresh, status: int, way: str
) -> None:
    upstream.answer(refusal(status, message="Incorrect API key", code="invalid_api_key"))
    reply = ask(proxy, way)

    assert (reply.status, reply.error["code"]) == (status, "upstream_invalid_api_key")
    assert "OPENAI_API_KEY" in reply.error["message"]
    assert "Incorrect API key" in reply.error["message"]


@pytest.mark.core
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
@pytest.mark.parametrize("way", WAYS)
def test_a_key_the_upstream_quotes_is_not_in_the_answer(
    proxy: RunningProxy, upstream: Fresh, way: str, status: int
) -> None:
    upstream.answer(refusal(status, NEVER, message=f"Incorrect API key provided: {UPSTREAM_KEY}. Find yours."))
    reply = ask(proxy, way)

    assert reply.status == status
    assert UPSTREAM_KEY not in reply.body.decode()
    assert "Incorrect API key provided" in reply.error["message"]


def test_a_key_without_its_usual_form_is_not_in_the_answer_either(
    upstream: Fresh, start: Callable[..., RunningProxy]
) -> None:
    upstream.answer(refusal(401, message="your key is 0123456789abcdef0123456789abcdef"))
    reply = ask(start(upstream.provider.base_url, openai_api_key="0123456789abcdef0123456789abcdef"))

    assert "0123456789abcdef" not in reply.body.decode()


def test_a_refusal_of_the_callers_own_key_comes_back_as_it_is(
    upstream: Fresh, start: Callable[..., RunningProxy]
) -> None:
    upstream.answer(refusal(401, message="Incorrect API key", code="invalid_api_key"))
    proxy = start(upstream.provider.base_url, proxy_forward_auth_header=True)
    reply = ask(proxy, CHAT, "Authorization: Bearer sk-callers-own-key")

    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")


# --- upstream 429 -----------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
def test_a_rate_limit_comes_back_with_all_it_says(proxy: RunningProxy, upstream: Fresh, way: str) -> None:
    limits = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m"}
    upstream.answer(refusal(429, ("Retry-After", "60"), *limits.items(), code="rate_limit_exceeded"))
    reply = ask(proxy, way)

    assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")
    assert reply.header("retry-after") == "60"
    assert {name: reply.header(name) for name in limits} == limits
    assert len(upstream.requests) == 1


def test_a_short_rate_limit_is_waited_for(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([refusal(429, SOON), Json(completion("Hello"))])

    assert ask(proxy).json() == completion("Hello")
    assert len(upstream.requests) == 2


def test_a_quota_that_is_used_up_is_not_tried_again(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(refusal(429, SOON, code="insufficient_quota"))
    reply = ask(proxy)

    assert (reply.status, reply.error["code"], len(upstream.requests)) == (429, "insufficient_quota", 1)


# --- upstream 5xx, JSON or HTML ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 529])
def test_an_error_of_the_upstream_keeps_its_status_and_object(
    proxy: RunningProxy, upstream: Fresh, status: int, way: str
) -> None:
    upstream.answer(refusal(status, NEVER))
    reply = ask(proxy, way)

    assert (reply.status, reply.error["code"]) == (status, "own")


NO_JSON = {
    "a page": Html("<html>502 Bad Gateway</html>", status=502, headers=[NEVER]),
    "text": Text("upstream connect error", status=503, headers=[NEVER]),
    "nothing": Script([Status(500), Header(*NEVER), Header("Content-Length", "0")]),
    "broken JSON": Content(b'{"error":', "application/json", status=500, headers=[NEVER]),
    "JSON nested too deeply": Content(b"[" * 100_000, "application/json", status=500, headers=[NEVER]),
    "no UTF-8": Content(b'{"error":"\xff"}', "application/json", status=500, headers=[NEVER]),
    "an error cut short": Script([Status(500), Header(*NEVER), Header("Content-Length", "99"), Body(b'{"e'), Fin()]),
}


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", NO_JSON.values(), ids=NO_JSON)
def test_an_error_that_is_no_json_becomes_json(proxy: RunningProxy, upstream: Fresh, answer: Answer, way: str) -> None:
    upstream.answer(answer)
    reply = ask(proxy, way)

    assert reply.status in (500, 502, 503)
    assert reply.error["code"]
    assert b"<html>" not in reply.body


def test_an_error_in_a_form_of_its_own_comes_back_as_it_is(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json({"detail": "from another server"}, status=422))

    assert ask(proxy).json() == {"detail": "from another server"}


# --- retries spent ----------------------------------------------------------------------------------------------------


def test_when_the_tries_are_spent_the_answer_says_so(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(refusal(503, SOON))
    reply = ask(proxy)

    assert (reply.status, reply.header("x-should-retry"), len(upstream.requests)) == (503, "false", 3)


def test_a_proxy_that_may_not_try_again_leaves_that_to_the_client(
    upstream: Fresh, start: Callable[..., RunningProxy]
) -> None:
    upstream.answer(refusal(503, SOON))
    reply = ask(start(upstream.provider.base_url, openai_max_retries=0))

    assert (reply.header("x-should-retry"), reply.header("retry-after-ms"), len(upstream.requests)) == (None, "20", 1)


# --- 200 but HTML or broken JSON --------------------------------------------------------------------------------------

NO_ANSWERS = {
    "a sign-in page": Html(),
    "a page in XHTML": Content(b"<html/>", "application/xhtml+xml; charset=utf-8"),
    "JSON that breaks off": Content(b'{"id":"1","choices":[', "application/json"),
    "a page that says it is JSON": Content(b"<html>Please sign in</html>", "application/json"),
    "JSON in bytes that are no UTF-8": Content(b'{"id":"\xff\xfe"}', "application/json"),
    "nothing that says it is JSON": Content(b"", "application/json"),
    "a lot of white space": Content(b" " * 100_000, "application/json"),
    "a large page that says it is JSON": Content(b"<html>" + b" " * 100_000 + b"</html>", "application/json"),
}


@pytest.mark.core
@pytest.mark.parametrize("way", [CHAT, MODELS])
@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_an_answer_that_is_no_json_is_a_502_that_asks_for_a_captive_portal(
    proxy: RunningProxy, upstream: Fresh, answer: Answer, way: str
) -> None:
    upstream.answer(answer)
    reply = ask(proxy, way)

    assert (reply.status, reply.error["code"]) == (502, "upstream_invalid_response")
    assert "captive portal" in reply.error["message"]


def test_a_page_among_the_files_is_passed_on(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Html("<html>my upload</html>"))

    assert ask(proxy, "/v1/files/f/content").body == b"<html>my upload</html>"


# --- short body -------------------------------------------------------------------------------------------------------

SHORT: dict[str, Answer] = {
    "closed": ShortBody(completion()),
    "reset": ShortBody(completion(), end=Reset()),
    "chunks without an end": Script(
        [Header("Content-Type", "application/json"), EndHead(chunked=True), Chunk(b'{"id":1}'), Fin()]
    ),
    "a broken chunk": Script(
        [Header("Content-Type", "application/json"), EndHead(chunked=True), Pause(0.05), Raw(b"zz\r\n{}"), Fin()]
    ),
    "a broken encoding": Script(
        [Header("Content-Type", "application/json"), Header("Content-Encoding", "gzip"), Body(b'{"id":"1"}')]
    ),
}


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("answer", SHORT.values(), ids=SHORT)
def test_an_answer_that_breaks_off_is_a_502(proxy: RunningProxy, upstream: Fresh, answer: Answer, way: str) -> None:
    upstream.answer(answer)
    reply = ask(proxy, way, limit_s=3)

    assert (reply.status, reply.error["code"]) == (502, "upstream_truncated")


def test_of_a_refusal_that_breaks_off_all_that_came_is_kept(proxy: RunningProxy, upstream: Fresh) -> None:
    error = {"message": "overloaded", "type": "t", "param": None, "code": "own"}
    promise = [Status(503), Header("Content-Type", "application/json"), Header("Content-Length", "500")]
    upstream.answer(Script([*promise, EndHead(), Raw(json.dumps({"error": error}).encode()), Fin()]))
    reply = ask(proxy)

    assert (reply.status, reply.error) == (503, error)


def test_a_large_answer_that_breaks_off_is_not_complete_to_the_client(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(ShortBody(completion("x" * 2_000_000)))

    with pytest.raises((EOFError, ConnectionError)):
        ask(proxy)


# --- 3xx --------------------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(proxy: RunningProxy, upstream: Fresh, status: int, way: str) -> None:
    upstream.answer(Redirect(f"{upstream.provider.base_url}/elsewhere", status))
    reply = ask(proxy, way)

    assert (reply.status, reply.error["code"]) == (502, "upstream_unexpected_status")
    assert str(status) in reply.error["message"]
    assert reply.header("location") is None
    assert len(upstream.requests) == 1


# --- gzip though not asked --------------------------------------------------------------------------------------------


def test_a_bomb_of_gzip_is_not_unpacked_into_memory(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Gzip(b'{"a":"' + bytes(64 * 2**20) + b'"}', headers=[NEVER], status=500))
    reply = ask(proxy)

    assert reply.status in (500, 502)
    assert len(reply.body) < 4 * 2**20


# --- stream: error status ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_a_refused_stream_has_the_real_status(proxy: RunningProxy, upstream: Fresh, status: int) -> None:
    upstream.answer(refusal(status, NEVER))
    with proxy.sdk() as sdk, pytest.raises(openai.APIStatusError) as caught:
        sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True)

    assert caught.value.status_code == status


# --- our own bug ------------------------------------------------------------------------------------------------------


class Broken:
    """A part with a bug: in its view, or later on the loop."""

    async def open(self, flow: object, request: object) -> Any:
        raise RuntimeError(f"a bug that quotes {UPSTREAM_KEY}")


@pytest.mark.core
@pytest.mark.parametrize("part", [{"json": Broken()}, object()], ids=["on the loop", "in the view"])
def test_our_own_bug_is_a_500_with_the_request_id_and_its_stack_in_the_log_only(
    caplog: pytest.LogCaptureFixture, part: Any
) -> None:
    services = RunningProxy(openai_base_url="http://127.0.0.1:1", openai_api_key=UPSTREAM_KEY).services
    server = server_for(replace(services, pipelines=part))
    with closing(Stopping(server)), caplog.at_level(logging.ERROR):
        address = server.start("127.0.0.1", 0)
        with WireClient(address.port) as client:
            reply = client.post(CHAT, BODY)

    assert (reply.status, reply.error["code"]) == (500, "server_error")
    assert reply.header("x-request-id")
    assert b"Traceback" not in reply.body
    assert UPSTREAM_KEY not in reply.body.decode()
    assert "Error" in caplog.text
    assert str(reply.header("x-request-id")) in caplog.text


class Stopping:
    """Something to close: it stops a server."""

    def __init__(self, server: Any) -> None:
        self.close = server.stop


# --- how loud the log is ----------------------------------------------------------------------------------------------

LEVELS: dict[str, tuple[Answer, int]] = {
    "an answer": (Json(completion()), logging.INFO),
    "400": (refusal(400), logging.INFO),
    "401": (refusal(401), logging.ERROR),
    "403": (refusal(403), logging.WARNING),
    "404": (refusal(404), logging.INFO),
    "429": (refusal(429, NEVER), logging.WARNING),
    "503": (refusal(503, NEVER), logging.WARNING),
    "a closed connection": (CloseBeforeHeaders(), logging.WARNING),
    "a page": (Html(), logging.WARNING),
    "a short body": (ShortBody(completion()), logging.WARNING),
    "a redirect": (Redirect("http://127.0.0.1:1/"), logging.ERROR),
}


@pytest.mark.parametrize(("answer", "level"), LEVELS.values(), ids=LEVELS)
def test_the_log_is_as_loud_as_the_fault_is_grave(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture, answer: Answer, level: int
) -> None:
    upstream.answer(answer)
    with caplog.at_level(logging.INFO):
        ask(proxy)
        wait_for(lambda: " POST /chat/completions " in caplog.text, "the request's line in the log")

    assert max(record.levelno for record in caplog.records) == level


# --- every error ------------------------------------------------------------------------------------------------------


def test_every_error_of_ours_has_a_request_id_that_stands_in_the_log(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.answer(Redirect("http://127.0.0.1:1/"))
    with caplog.at_level(logging.INFO):
        replies = [ask(proxy), ask(proxy, "/nothing"), ask(proxy, MODELS)]

        for reply in replies:
            number = str(reply.header("x-request-id"))
            wait_for(lambda number=number: number in caplog.text, "the request's line in the log")


def test_two_requests_have_two_ids(proxy: RunningProxy) -> None:
    ids = {ask(proxy, "/nothing").header("x-request-id") for _ in range(3)}

    assert len(ids) == 3
