"""Which headers travel, in both directions."""

from typing import Any

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh
from proxy.http.headers import encoded
from proxy.http.request_head import IncomingHead
from proxy.identity import APP_ID, __version__
from proxy.policy.headers import EXPOSED_TO_PAGES, for_client, for_upstream
from proxy.server.decisions import Endpoints, environ_for

GO_UPSTREAM = [
    "Accept",
    "Accept-Language",
    "Content-Type",
    "Content-Encoding",
    "HTTP-Referer",  # how OpenRouter's clients name themselves; not the browser's Referer
    "Idempotency-Key",
    "OpenAI-Beta",
    "OpenAI-Organization",
    "OpenAI-Project",
    "X-Client-Request-Id",
    "X-Title",
    "x-stainless-lang",
    "x-stainless-package-version",
    "x-stainless-os",
    "x-stainless-arch",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-async",
    "x-stainless-retry-count",
    "x-stainless-read-timeout",
    "X-Stainless-Helper-Method",
    "X-Stainless-Poll-Helper",
    # of other APIs, gateways and tracers, and of tomorrow
    "anthropic-version",
    "anthropic-beta",
    "x-goog-user-project",
    "traceparent",
    "x-codex-turn-state",
    "Helicone-Auth",
    "session-id",
    "X-Anything-Else",
    "x-stainless",
]
STAY_HERE = [
    "Authorization",
    "x-api-key",
    "X-Proxy-Api-Key",
    "api-key",
    "x-goog-api-key",
    "Cookie",
    "Cookie2",
    "Origin",
    "Referer",
    "Host",
    # hop by hop
    "Connection",
    "Keep-Alive",
    "Proxy-Connection",
    "Proxy-Authorization",
    "Proxy-Authenticate",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Content-Length",
    "Expect",
    # about the caller
    "Forwarded",
    "Via",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Real-IP",
    "Sec-Fetch-Site",
    "Sec-Fetch-Mode",
    "Access-Control-Request-Headers",
    "X-HTTP-Method-Override",
    "X-Original-URL",
    "HTTP2-Settings",
    "X-Forwarded-Anything",
    "Accept-Encoding",
]
GO_BACK = [
    "content-type",
    "content-disposition",
    "x-request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "openai-processing-ms",
    "openai-version",
    "openai-organization",
    "openai-model",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "location",  # of a realtime session
    "link",
    "server",
    "cf-ray",
    "anthropic-organization-id",
    "x-anything-else",
    "openai",
    "content-encoding",  # where it still holds: what was undone is not named any more
]
STAY_UPSTREAM = [
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "alt-svc",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-private-network",
    "access-control-expose-headers",
    "content-security-policy",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
    "upgrade",
    "proxy-authenticate",
    "date",
    "refresh",
    "clear-site-data",
    "service-worker-allowed",
]


def environ(*headers: tuple[str, str]) -> dict[str, Any]:
    """Return the WSGI environment of a request with these headers, as the server writes it."""
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers]
    return environ_for(
        IncomingHead("POST", b"/v1/chat/completions", b"", "1.1", encoded),
        Endpoints("http", ("127.0.0.1", 8000), ("127.0.0.1", 50000)),
    )


@pytest.mark.parametrize("name", GO_UPSTREAM)
def test_a_header_of_the_api_goes_upstream_unchanged(name: str) -> None:
    assert for_upstream(environ((name, "A value, as it is"))) == [(name.lower(), "A value, as it is")]


@pytest.mark.parametrize("name", STAY_HERE)
def test_a_header_that_is_not_the_upstreams_stays_here(name: str) -> None:
    assert for_upstream(environ((name, "secret"))) == []


def test_a_name_with_underscores_does_not_pass_for_the_one_with_hyphens() -> None:
    given = environ(("Content-Type", "application/json"), ("Content_Type", "text/html"))

    assert for_upstream(given) == [("content-type", "application/json")]


def test_what_connection_names_goes_no_further() -> None:
    given = environ(("Connection", "close, X-Hop"), ("X-Hop", "1"), ("X-Title", "t"))

    assert for_upstream(given) == [("x-title", "t")]
    assert for_client([("connection", "X-Hop"), ("x-hop", "1"), ("x-request-id", "r")]) == [("x-request-id", "r")]


@pytest.mark.parametrize("value", ["Grüße".encode(), b"gr\xfc\xdfe", b"\xff\x80"])
def test_a_value_goes_on_byte_for_byte(value: bytes) -> None:
    text = value.decode("latin-1")
    given = environ()
    given["HTTP_X_TITLE"] = text

    assert encoded(for_upstream(given)) == [(b"x-title", value)]
    assert encoded(for_client([("x-title", text)])) == [(b"x-title", value)]


@pytest.mark.parametrize("value", ["Basic realm=x", "NTLM", "Bearer, Digest a=b", "Negotiate"])
def test_no_upstream_makes_a_browser_ask_for_a_login(value: str) -> None:
    assert for_client([("www-authenticate", value)]) == []
    assert for_client([("www-authenticate", "Bearer realm=x")]) != []


def test_a_request_without_headers_sends_none_upstream() -> None:
    assert for_upstream(environ()) == []


def test_the_user_agent_goes_upstream_with_ours_appended() -> None:
    assert for_upstream(environ(("User-Agent", "OpenAI/Python 3.54.0"))) == [
        ("user-agent", f"OpenAI/Python 3.54.0 {APP_ID}/{__version__}")
    ]


def test_headers_go_upstream_in_their_order() -> None:
    given = environ(("X-Title", "1"), ("Cookie", "no"), ("Accept", "a"), ("OpenAI-Beta", "b"))

    assert for_upstream(given) == [("x-title", "1"), ("accept", "a"), ("openai-beta", "b")]


@pytest.mark.parametrize("name", GO_BACK)
def test_a_header_of_the_api_comes_back_unchanged(name: str) -> None:
    assert for_client([(name, "A value, as it is")]) == [(name, "A value, as it is")]


@pytest.mark.parametrize("name", STAY_UPSTREAM)
def test_a_header_that_is_not_the_clients_stays_upstream(name: str) -> None:
    assert for_client([(name, "secret")]) == []


def test_headers_come_back_in_their_order_and_as_often_as_they_came() -> None:
    given = [("x-request-id", "1"), ("set-cookie", "no"), ("openai-version", "a"), ("x-request-id", "2")]

    assert for_client(given) == [("x-request-id", "1"), ("openai-version", "a"), ("x-request-id", "2")]


@pytest.mark.parametrize(
    ("value", "safe"),
    [("a\x01b", "ab"), ("a\r\nb", "ab"), ("a\x7f", "a"), ("a\tb", "a\tb"), ("Grüße", "Grüße"), ("a\x80", "a\x80")],
)
def test_a_header_comes_back_without_control_characters(value: str, safe: str) -> None:
    assert for_client([("x-request-id", value)]) == [("x-request-id", safe)]


@pytest.mark.parametrize(
    "name",
    [
        "x-request-id",
        "retry-after",
        "retry-after-ms",
        "openai-processing-ms",
        "x-ratelimit-limit-requests",
        "x-ratelimit-limit-tokens",
        "x-ratelimit-remaining-requests",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset-tokens",
    ],
)
def test_pages_may_read_what_clients_act_on(name: str) -> None:
    assert name in EXPOSED_TO_PAGES


def test_what_pages_may_read_also_comes_back() -> None:
    assert [name for name, _ in for_client((name, "1") for name in EXPOSED_TO_PAGES)] == list(EXPOSED_TO_PAGES)


# Through the running proxy


def test_the_upstream_sees_the_headers_of_a_caller_but_for_those_of_his_own(
    upstream: Fresh, proxy: RunningProxy
) -> None:
    upstream.answer(Json(completion()))
    sent = {
        "Authorization": "Bearer secret-1",
        "x-api-key": "secret-2",
        "Cookie": "session=secret-3",
        "Referer": "http://secret-4",
        "Origin": "http://localhost:3000",
        "X-Forwarded-For": "secret-5",
        "X-Custom": "of any API",
        "OpenAI-Beta": "assistants=v2",
        "X-Title": "My tool",
    }

    answer = proxy.http.post("/v1/chat/completions", json={"model": "m"}, headers=sent)

    assert answer.status_code == 200
    (request,) = upstream.requests
    seen = {name.lower(): value for name, value in request.headers}
    assert (seen["openai-beta"], seen["x-title"]) == ("assistants=v2", "My tool")
    assert seen["host"] == f"127.0.0.1:{upstream.port}"
    assert not seen.keys() & {"cookie", "origin", "referer", "x-api-key", "x-forwarded-for"}
    assert "secret-" not in str(request.headers)


def test_the_client_sees_the_api_headers_of_the_upstream_and_no_other(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(
        Json(
            completion(),
            headers=[
                ("Set-Cookie", "id=1"),
                ("Strict-Transport-Security", "max-age=1"),
                ("Alt-Svc", "h3"),
                ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Allow-Credentials", "true"),
                ("x-request-id", "req_1"),
                ("openai-processing-ms", "5"),
                ("x-ratelimit-remaining-tokens", "9"),
            ],
        )
    )

    answer = proxy.http.post("/v1/chat/completions", json={"model": "m"})

    assert (answer.headers["x-request-id"], answer.headers["openai-processing-ms"]) == ("req_1", "5")
    assert answer.headers["x-ratelimit-remaining-tokens"] == "9"
    unwanted = ("set-cookie", "strict-transport-security", "alt-svc", "access-control-allow")
    assert [name for name in answer.headers if name.startswith(unwanted)] == []


def test_a_header_beyond_ascii_goes_upstream_byte_for_byte(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion()))

    proxy.http.post("/v1/chat/completions", json={"model": "m"}, headers={b"X-Title": "Caf\u00e9".encode()})

    (request,) = upstream.requests
    assert dict(request.headers)["x-title"].encode("latin-1") == "Caf\u00e9".encode()


def test_a_header_beyond_ascii_does_not_break_the_list_of_models(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json({"object": "list", "data": []}))

    answer = proxy.http.get("/v1/models", headers={b"X-Title": "Caf\u00e9".encode()})

    assert answer.status_code == 200
    assert len(upstream.requests) == 1


def test_a_header_that_is_no_text_is_no_fault_of_the_proxy(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion()))

    answer = proxy.http.post("/v1/chat/completions", json={"model": "m"}, headers={b"X-Title": b"Caf\xe9"})

    assert answer.status_code in (200, 400)


def test_an_organization_of_the_caller_reaches_the_upstream(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion()))

    with proxy.sdk(organization="org-1", project="proj-1") as sdk:
        sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])

    (request,) = upstream.requests
    assert (dict(request.headers)["openai-organization"], dict(request.headers)["openai-project"]) == (
        "org-1",
        "proj-1",
    )
