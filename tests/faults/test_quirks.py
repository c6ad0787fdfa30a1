"""What clients really send, Q21 to Q33 of the field notes; Q26's encodings have a file of their own."""

import logging
import time
from typing import Any

import openai
import pytest

from fakes.asking import CHAT, MODELS, ask
from fakes.environment import ROOT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Html, Json, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh, connect
from fakes.streaming import DONE, MESSAGES, STREAM, bytes_of
from fakes.wire_client import JSON_TYPE, in_chunks

PLAIN = STREAM.replace(b"true", b"false")
CONNECT = ROOT / "docs" / "connect.md"


@pytest.fixture(autouse=True)
def healthy(upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))


# openai-python's and openai-node's own headers, and those of Roo, Zed and Cline.
SDK_HEADERS = {
    "X-Stainless-Lang": "js",
    "X-Stainless-Package-Version": "6.49.0",
    "X-Stainless-OS": "Linux",
    "X-Stainless-Retry-Count": "1",
    "X-Stainless-Read-Timeout": "600",
    "X-Stainless-Helper-Method": "stream",
    "OpenAI-Beta": "assistants=v2",
    "OpenAI-Organization": "org-1",
    "OpenAI-Project": "proj-1",
    "HTTP-Referer": "https://github.com/RooVetGit/Roo-Cline",
    "X-Title": "Roo Code",
}


def test_q21_the_headers_of_sdks_go_upstream(proxy: RunningProxy, upstream: Fresh) -> None:
    ask(proxy, CHAT, *(f"{name}: {value}" for name, value in SDK_HEADERS.items()))

    assert {name: upstream.request.header(name) for name in SDK_HEADERS} == SDK_HEADERS


@pytest.mark.parametrize("mode", ["cors", "no-cors", "navigate"])
def test_q21_a_node_program_that_says_sec_fetch_mode_is_no_browser(proxy: RunningProxy, mode: str) -> None:
    assert ask(proxy, CHAT, f"Sec-Fetch-Mode: {mode}").status == 200


CALLERS_OWN = {
    "Authorization": "Bearer sk-callers",
    "X-Api-Key": "callers-key",
    "Cookie": "a=b",
    "Origin": "http://localhost:1",
    "Referer": "http://localhost:1/page",
    "Te": "trailers",
    "Keep-Alive": "timeout=5",
    "Proxy-Authorization": "Basic YTpi",
    "X-Forwarded-For": "10.0.0.1",
}


def test_q22_what_is_the_callers_own_does_not_go_upstream(proxy: RunningProxy, upstream: Fresh) -> None:
    ask(proxy, CHAT, *(f"{name}: {value}" for name, value in CALLERS_OWN.items()))

    sent = " ".join(value for _, value in upstream.request.headers)
    assert not [value for value in CALLERS_OWN.values() if value in sent]
    assert upstream.request.header("host") == f"127.0.0.1:{upstream.provider.port}"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("vscode-webview://0c2uq0vjgqzk7", 200),
        ("vscode-file://vscode-app", 200),
        ("http://localhost:3000", 200),
        ("http://[::1]:5173", 200),
        ("http://localhost.attacker.com", 403),
        ("http://127.0.0.1.attacker.com", 403),
        ("app://obsidian.md", 403),
        ("tauri://localhost", 403),
        ("capacitor://localhost", 403),
        ("chrome-extension://abcdefgh", 403),
        ("null", 403),
    ],
)
def test_q23_an_origin_is_told_by_its_scheme_and_host(proxy: RunningProxy, origin: str, status: int) -> None:
    assert ask(proxy, CHAT, f"Origin: {origin}").status == status


def test_q24_a_preflight_is_answered_without_a_key(upstream: Fresh, start: Any) -> None:
    proxy = start(upstream.provider.base_url, proxy_require_api_key=True, proxy_api_keys="a-proxy-key-of-ours")
    with connect(proxy) as client:
        reply = client.ask(
            "OPTIONS",
            CHAT,
            None,
            "Origin: http://localhost:3000",
            "Access-Control-Request-Method: POST",
            "Access-Control-Request-Headers: authorization,x-stainless-timeout,x-anything",
        )

    assert (reply.status, reply.header("access-control-allow-origin")) == (204, "http://localhost:3000")
    assert "x-stainless-timeout" in str(reply.header("access-control-allow-headers"))
    assert reply.header("access-control-allow-private-network") is None
    assert upstream.requests == []


def test_q25_a_page_may_read_the_headers_that_matter(proxy: RunningProxy) -> None:
    exposed = str(ask(proxy, CHAT, "Origin: http://localhost:3000").header("access-control-expose-headers")).lower()

    for name in ("x-request-id", "retry-after", "x-ratelimit-remaining-tokens", "openai-processing-ms"):
        assert name in exposed


@pytest.mark.parametrize("path", [CHAT, "/v1/files"])
def test_q27_a_client_that_waits_for_100_continue_is_told_to_go_on(
    proxy: RunningProxy, upstream: Fresh, path: str
) -> None:
    body = PLAIN.replace(b"Hi", b"x" * 2_000_000)
    with connect(proxy) as client:
        lines = (JSON_TYPE, f"Content-Length: {len(body)}", "Expect: 100-continue")
        client.send(client.request("POST", path, None, *lines))
        assert client.read_head().status == 100
        assert client.send(body).read_reply().status == 200

    assert upstream.request.body == body


def test_q27_a_client_that_is_refused_is_not_asked_for_its_body(proxy: RunningProxy, upstream: Fresh) -> None:
    with connect(proxy) as client:
        lines = (JSON_TYPE, f"Content-Length: {10**12}", "Expect: 100-continue")
        client.send(client.request("POST", CHAT, None, *lines))

        assert client.read_head().status == 413
    assert upstream.requests == []


@pytest.mark.parametrize("pieces", [[PLAIN], [PLAIN[:1], PLAIN[1:2], PLAIN[2:]]])
def test_q27_a_chunked_body_is_taken(proxy: RunningProxy, upstream: Fresh, pieces: list[bytes]) -> None:
    with connect(proxy) as client:
        head = client.request("POST", CHAT, None, JSON_TYPE, "Transfer-Encoding: chunked")
        assert client.send(head + in_chunks(*pieces)).read_reply().status == 200

    assert upstream.request.body == PLAIN


def news(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what the proxy told, but for the end of a chat: the test before may have made it."""
    told = [record.getMessage() for record in caplog.records if record.name.startswith("proxy.")]
    return [line for line in told if "POST /chat/completions" not in line]


PROBES = ["/", "/favicon.ico", "/api/health", "/api/tags", "/api/version"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [*PROBES, "/health"])
def test_q28_a_probe_is_answered_at_once_and_is_no_news(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture, method: str, path: str
) -> None:
    began = time.monotonic()
    with caplog.at_level(logging.INFO, "proxy"), connect(proxy) as client:
        reply = client.ask(method, path)

    assert reply.status in (200, 404)
    assert time.monotonic() - began < 2
    assert news(caplog) == []
    assert upstream.requests == []


def test_q28_options_without_an_origin_is_answered_and_is_no_news(
    proxy: RunningProxy, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "proxy"), connect(proxy) as client:
        reply = client.ask("OPTIONS", CHAT)

    assert (reply.status, "POST" in str(reply.header("allow"))) == (204, True)
    assert news(caplog) == []


def test_q29_models_are_listed_without_a_key_and_with_every_field(proxy: RunningProxy, upstream: Fresh) -> None:
    listed = {"object": "list", "data": [{"id": "m", "created": 1, "owned_by": "x", "context_length": 8192, "new": {}}]}
    upstream.answer(Json(listed))
    with connect(proxy) as client:
        assert client.ask("GET", MODELS).json() == listed


@pytest.mark.parametrize("key", ["not-provided", "sk-anything", "x", "dummy key"])
def test_q30_an_open_proxy_takes_whatever_stands_where_the_key_belongs(
    proxy: RunningProxy, upstream: Fresh, key: str
) -> None:
    assert ask(proxy, CHAT, f"Authorization: Bearer {key}").status == 200
    assert key not in str(upstream.request.header("authorization"))


def test_q30_a_refused_key_is_said_to_be_the_proxys(upstream: Fresh, start: Any) -> None:
    proxy = start(upstream.provider.base_url, proxy_require_api_key=True, proxy_api_keys="a-proxy-key-of-ours")
    reply = ask(proxy, CHAT, "Authorization: Bearer sk-proj-users-openai-key")

    assert (reply.status, reply.error["code"]) == (401, "invalid_proxy_key")
    assert "not about your OpenAI key" in reply.error["message"]


def test_q31_the_readme_does_not_promise_cursor() -> None:
    assert "Cursor cannot use it" in CONNECT.read_text(encoding="utf-8")


UNKNOWN = (
    b'{"model":"o9","max_completion_tokens":9,"max_tokens":null,"prompt_cache_key":"k","parallel_tool_calls":true,'
    b'"messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]},'
    b'{"role":"assistant","content":"a","refusal":null}],"temperature":1e0,"x_new":[{}]}'
)


def test_q32_parameters_nobody_knows_go_up_as_they_came(proxy: RunningProxy, upstream: Fresh) -> None:
    with connect(proxy) as client:
        assert client.post(CHAT, UNKNOWN).status == 200

    assert upstream.request.body == UNKNOWN


def test_q33_a_page_of_a_gateway_reaches_nobody(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Html("<html><h1>502 Bad Gateway</h1></html>", status=502, headers=[("X-Should-Retry", "false")]))
    with proxy.sdk() as sdk, pytest.raises(openai.InternalServerError) as caught:
        sdk.chat.completions.create(model="m", messages=MESSAGES)

    assert "<h1>" not in str(caught.value)
    assert caught.value.response.headers["content-type"] == "application/json"


KINDS = ["application/json; charset=utf-8", "application/json;charset=UTF-8", "Application/JSON", "text/plain"]


@pytest.mark.parametrize("kind", KINDS)
def test_json_under_any_spelling_of_its_type_is_taken(proxy: RunningProxy, upstream: Fresh, kind: str) -> None:
    with connect(proxy) as client:
        assert client.post(CHAT, PLAIN, f"Content-Type: {kind}").status == 200

    assert upstream.request.body == PLAIN


@pytest.mark.parametrize("path", ["//v1//chat/completions", "/v1/chat//completions/", "//chat/completions"])
def test_doubled_slashes_are_understood(proxy: RunningProxy, upstream: Fresh, path: str) -> None:
    with connect(proxy) as client:
        assert client.post(path, PLAIN).status == 200

    assert upstream.request.target == CHAT


def test_an_http_1_0_client_is_given_its_stream_without_chunks(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo")))
    with connect(proxy) as client:
        client.send(client.request("POST", CHAT, STREAM, JSON_TYPE, version="HTTP/1.0"))
        head = client.read_head()

        assert head.header("transfer-encoding") is None
        assert client.read_rest() == bytes_of(*completion_chunks("Hel", "lo")) + DONE
