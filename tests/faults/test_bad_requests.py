"""The fault table: requests that are malformed, too large or lost, and what they are told."""

from collections.abc import Iterator
from typing import Any

import pytest

from fakes.asking import CHAT, FILES, MODELS, body_of
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Json,
    ScriptedUpstream,
    completion,
)
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE, in_chunks

# --- too large, malformed, non-UTF-8, deeply nested, non-object JSON --------------------------------------------------

BAD_BODIES = {
    "nothing": b"",
    "white space": b" \n ",
    "text": b"hello",
    "half an object": b'{"model":"m"',
    "two objects": b"{}{}",
    "a comma too many": b'{"model":"m",}',
    "single quotes": b"{'model':'m'}",
    "an array": b'[{"model":"m"}]',
    "a string": b'"model"',
    "a number": b"1",
    "null": b"null",
    "true": b"true",
    "bytes that are no UTF-8": b'{"model":"\xff\xfe"}',
    "UTF-16": '{"model":"m"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"model":"m"}',
    "10,000 arrays in each other": b'{"model":"m","messages":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "10,000 objects in each other": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "100,000 arrays without an end": b"[" * 100_000,
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "a zero byte": b'{"model":"m\x00"}',
    "a number of 5,000 digits": b'{"model":"m","seed":' + b"9" * 5000 + b"}",
}


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
def test_a_body_that_is_no_json_object_is_a_400_and_the_upstream_is_not_asked(
    proxy: RunningProxy, upstream: Fresh, body: bytes, path: str
) -> None:
    with connect(proxy) as client:
        reply = client.post(path, body)

    assert (reply.status, reply.error["code"]) == (400, "invalid_json")
    assert b"Traceback" not in reply.body
    assert upstream.requests == []


# --- NaN, Infinity, lone surrogates, unknown parameters ---------------------------------------------------------------

ODD_BODIES = {
    "NaN": b'{"model":"m","x":NaN}',
    "Infinity": b'{"model":"m","x":[-Infinity,Infinity]}',
    "a lone surrogate": rb'{"model":"\ud800","x":"\udfff"}',
    "a lone surrogate as a name": rb'{"model":"m","\ud800":1}',
    "no model": b"{}",
    "a model that is no text": b'{"model":7}',
    "a name without letters": b'{"":1}',
    "unknown parameters": b'{"model":"m","from_the_future":{"a":[{}]}}',
}


@pytest.mark.parametrize("rules", [{}, {"openai_param_overrides": {"user": "me"}, "openai_param_drop": "o1*:x"}])
@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES)
def test_an_odd_body_is_passed_on_or_refused_and_never_a_500(
    two_proxies: dict[bool, RunningProxy], upstream: Fresh, body: bytes, rules: dict[str, Any]
) -> None:
    upstream.answer(Json(completion()))
    with connect(two_proxies[bool(rules)]) as client:
        assert client.post(CHAT, body).status in (200, 400)


@pytest.fixture(scope="module")
def two_proxies(
    proxy: RunningProxy, provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[bool, RunningProxy]]:
    rules = {"openai_param_overrides": {"user": "me"}, "openai_param_drop": "o1*:x"}
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings"), **rules) as with_rules:
        yield {False: proxy, True: with_rules}


# --- too large, malformed, non-UTF-8, deeply nested, non-object JSON --------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, FILES])
def test_a_body_that_says_it_is_too_large_is_refused_at_once(
    impatient: RunningProxy, upstream: Fresh, path: str
) -> None:
    with connect(impatient) as client:
        client.send(client.request("POST", path, None, JSON_TYPE, "Content-Length: 200000"))
        reply = client.read_reply()  # not a byte of the body was sent

    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert ("PROXY_MAX_UPLOAD_MB" if path == FILES else "PROXY_MAX_BODY_MB") in reply.error["message"]
    assert upstream.requests == []


@pytest.mark.core
@pytest.mark.parametrize("path", [CHAT, FILES])
def test_a_chunked_body_that_grows_too_large_is_refused(impatient: RunningProxy, upstream: Fresh, path: str) -> None:
    upstream.answer(Json(completion()))
    with connect(impatient) as client:
        client.send(client.request("POST", path, None, JSON_TYPE, "Transfer-Encoding: chunked"))
        client.send(in_chunks(*[b"x" * 50_000] * 4).removesuffix(b"0\r\n\r\n"))
        reply = client.read_reply()

    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert not any(request.complete for request in upstream.requests)


def test_a_body_of_just_the_limit_is_taken(impatient: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion()))
    with connect(impatient) as client:
        assert client.post(CHAT, body_of(int(0.1 * 2**20))).status == 200


# --- unknown path or method -------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/chat/completions", "/favicon.ico", "/api/tags", "/v1x", "/metric", "/%2e%2e/etc/passwd"]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_a_404_that_names_the_base_url(
    proxy: RunningProxy, upstream: Fresh, method: str, path: str
) -> None:
    with connect(proxy) as client:
        reply = client.ask(method, path, b"{}" if method == "POST" else None)

    assert (reply.status, reply.error["code"]) == (404, "unknown_path")
    assert proxy.base_url in reply.error["message"]
    # An upload that a test before broke off may reach the upstream as late as now.
    assert [request.target for request in upstream.requests if request.target != FILES] == []


WRONG_METHODS = [
    ("PUT", CHAT, "GET, HEAD, POST"),
    ("DELETE", CHAT, "GET, HEAD, POST"),
    ("GET", "/v1/embeddings", "POST"),
    ("GET", "/v1/completions", "POST"),
    ("GET", "/v1/responses", "POST"),
    ("POST", MODELS, "GET, HEAD"),
    ("DELETE", MODELS, "GET, HEAD"),
    ("POST", "/v1/health", "GET, HEAD"),
    ("DELETE", "/v1/health", "GET, HEAD"),
]


@pytest.mark.core
@pytest.mark.parametrize(("method", "path", "allowed"), WRONG_METHODS)
def test_a_wrong_method_is_a_405_that_says_what_is_allowed(
    proxy: RunningProxy, upstream: Fresh, method: str, path: str, allowed: str
) -> None:
    with connect(proxy) as client:
        reply = client.ask(method, path, b"{}" if method != "GET" else None)

    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert reply.header("allow") == allowed
    assert upstream.requests == []


def test_a_method_nobody_takes_is_a_405(proxy: RunningProxy, upstream: Fresh) -> None:
    with connect(proxy) as client:
        reply = client.ask("TRACE", "/v1/files")

    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert "GET" in str(reply.header("allow"))
    assert upstream.requests == []
