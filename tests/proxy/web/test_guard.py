"""Who is let in, over real HTTP: Host, Origin, preflight and keys, on every route, with a key asked for or not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.asking import CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, Sse, completion, completion_chunks
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE, Reply

BODY = b'{"model":"m","messages":[]}'
KEY = "proxy-key-of-the-first-caller"
OTHER_KEY = "proxy-key-of-the-second-caller"
AUTH = f"Authorization: Bearer {KEY}"
ROUTES = [
    ("GET", "/"),
    ("GET", "/v1"),
    ("GET", "/v1/health"),
    ("GET", "/health"),
    ("HEAD", "/v1/health"),
    ("GET", "/v1/models"),
    ("GET", "/models"),
    ("GET", "/v1/models/m"),
    ("DELETE", "/v1/models/m"),
    ("POST", CHAT),
    ("POST", "/chat/completions"),
    ("POST", "//v1//chat/completions/"),
    ("GET", CHAT),
    ("POST", "/v1/responses"),
    ("POST", "/v1/embeddings"),
    ("GET", "/v1/files"),
    ("POST", "/v1/files"),
    ("PUT", "/v1/something/new"),
    ("GET", "/nothing"),
    ("GET", "/favicon.ico"),
    ("TRACE", "/v1/files"),
    ("GET", "/v1/files/../../admin"),
    ("OPTIONS", CHAT),
    ("OPTIONS", "/v1/health"),
]


@pytest.fixture(scope="module")
def proxies(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, RunningProxy]]:
    """Run three proxies: one open, one that asks for a key, one that forwards the caller's and is lax on health."""
    folder = tmp_path_factory.mktemp("settings")
    allowed = {"proxy_allowed_origins": "https://app.example,app://obsidian.md", "proxy_allowed_hosts": "proxy.lan"}
    keys = {"proxy_require_api_key": True, "proxy_api_keys": f"{KEY},{OTHER_KEY}"}
    with (
        proxy_before(provider.base_url, folder, **allowed) as plain,
        proxy_before(provider.base_url, folder, **allowed, **keys) as locked,
        proxy_before(
            provider.base_url, folder, **keys, proxy_forward_auth_header=True, allow_unauthenticated_health=True
        ) as forwarding,
    ):
        yield {"open": plain, "locked": locked, "forwarding": forwarding}


@pytest.fixture
def plain(proxies: dict[str, RunningProxy]) -> RunningProxy:
    return proxies["open"]


@pytest.fixture
def locked(proxies: dict[str, RunningProxy]) -> RunningProxy:
    return proxies["locked"]


@pytest.fixture
def forwarding(proxies: dict[str, RunningProxy]) -> RunningProxy:
    return proxies["forwarding"]


def ask(proxy: RunningProxy, method: str, path: str, *lines: str) -> Reply:
    """Ask once, on a connection of its own."""
    has_body = method in ("POST", "PUT", "PATCH")
    kind = [JSON_TYPE] if has_body and not any(line.lower().startswith("content-type:") for line in lines) else []
    with connect(proxy) as client:
        return client.ask(method, path, BODY if has_body else None, *kind, *lines)


def refused(reply: Reply, method: str = "GET") -> tuple[int, str]:
    """Return status and code of a refusal; HEAD shows no code."""
    return reply.status, "" if method == "HEAD" else str(reply.error["code"])


def cors(reply: Reply) -> dict[str, str | None]:
    """Return the CORS headers of an answer."""
    names = {name for name, _ in reply.headers if name.startswith("access-control-")}
    return {name: reply.header(name) for name in names}


# --- Host -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_the_proxys_own_names_are_let_in(plain: RunningProxy, name: str) -> None:
    assert ask(plain, "GET", "/v1/health", f"Host: {name}:{plain.address.port}").status == 200


@pytest.mark.parametrize("host", ["proxy.lan", "Proxy.LAN", "proxy.lan:1234"])
def test_a_name_the_user_added_is_let_in(plain: RunningProxy, host: str) -> None:
    assert ask(plain, "GET", "/v1/health", f"Host: {host}").status == 200


FOREIGN_HOSTS = [
    "evil.example:PORT",
    "127.0.0.1.evil.example:PORT",
    "localhost.localdomain:PORT",
    "computer.local:PORT",
    "0.0.0.0:PORT",
    "192.168.0.1:PORT",
    "10.0.0.1:PORT",
    "128.0.0.1:PORT",
    "127.1:PORT",
    "2130706433:PORT",
    "0x7f000001:PORT",
    "[::ffff:127.0.0.1]:PORT",
    "[::]:PORT",
    "api.openai.com",
    "sub.proxy.lan",
]


@pytest.mark.core
@pytest.mark.parametrize("host", FOREIGN_HOSTS)
def test_a_host_that_is_not_the_proxy_is_refused(plain: RunningProxy, upstream: Fresh, host: str) -> None:
    reply = ask(plain, "POST", CHAT, f"Host: {host.replace('PORT', str(plain.address.port))}")

    assert refused(reply) == (403, "host_not_allowed")
    assert upstream.requests == []


MALFORMED_HOSTS = [
    "",
    "user@127.0.0.1:PORT",
    "127.0.0.1:PORT/path",
    "127.0.0.1:PORT, evil.example",
    "127.0.0.1:PORT evil.example",
    "127.0.0.1:",
    "127.0.0.1:80:80",
    "127.0.0.1:port",
    "127.0.0.1:+80",
    "http://127.0.0.1:PORT",
    "127.0.0.1:PORT#",
    "127.0.0.1:PORT\\evil",
    "[::1:PORT",
]


@pytest.mark.parametrize("host", MALFORMED_HOSTS)
def test_a_malformed_host_is_refused(plain: RunningProxy, upstream: Fresh, host: str) -> None:
    reply = ask(plain, "POST", CHAT, f"Host: {host.replace('PORT', str(plain.address.port))}")

    assert reply.status in (400, 403)
    assert reply.error["code"] in ("malformed_request", "host_not_allowed")
    assert upstream.requests == []


def test_a_missing_host_is_refused(plain: RunningProxy) -> None:
    with connect(plain) as client:
        for request in (b"GET /v1/health HTTP/1.1\r\n\r\n", b"GET /v1/health HTTP/1.0\r\n\r\n"):
            assert refused(client.send(request).read_reply()) == (400, "malformed_request")


def test_two_hosts_are_refused(plain: RunningProxy) -> None:
    own = f"Host: 127.0.0.1:{plain.address.port}"

    assert refused(ask(plain, "GET", "/v1/health", own, own)) == (400, "malformed_request")
    assert refused(ask(plain, "GET", "/v1/health", own, "Host: evil.example")) == (400, "malformed_request")


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "X-Original-Host", "Forwarded", "X-Host"])
def test_no_other_header_stands_for_the_host(plain: RunningProxy, name: str) -> None:
    own = f"127.0.0.1:{plain.address.port}"

    assert ask(plain, "GET", "/v1/health", "Host: evil.example", f"{name}: {own}").status == 403
    assert ask(plain, "GET", "/v1/health", f"Host: {own}", f"{name}: evil.example").status == 200


@pytest.mark.parametrize("lock", ["open", "locked", "forwarding"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_foreign_host_is_refused_on_every_route_key_or_no_key(
    proxies: dict[str, RunningProxy], upstream: Fresh, method: str, path: str, lock: str
) -> None:
    for lines in ((), (AUTH, f"X-Proxy-Api-Key: {KEY}")):
        reply = ask(proxies[lock], method, path, "Host: evil.example", *lines)
        assert refused(reply, method) == (403, "" if method == "HEAD" else "host_not_allowed")
    assert upstream.requests == []


# --- Origin -----------------------------------------------------------------------------------------------------------

ALLOWED_ORIGINS = [
    "http://localhost:3000",
    "https://localhost",
    "http://127.0.0.1:5173",
    "http://[::1]:8080",
    "vscode-webview://1a2b3c",
    "vscode-file://vscode-app",
    "https://app.example",
    "app://obsidian.md",
]
REFUSED_ORIGINS = [
    "null",
    "",
    "file://",
    "file:///home/me/page.html",
    "https://evil.example",
    "http://app.example",
    "https://app.example.evil.example",
    "https://app.example:8443",
    "https://sub.app.example",
    "https://evil.example/https://app.example",
    "http://localhost.evil.example",
    "http://localhost:3000.evil.example",
    "http://localhost:evil",
    "http://localhost@evil.example",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.2",
    "http://0.0.0.0",
    "http://192.168.0.1",
    "chrome-extension://abcdefgh",
    "moz-extension://abcdefgh",
    "app://other",
    "tauri://localhost",
    "capacitor://localhost",
    "vscode-file://other",
    "vscode-webview:1a2b3c",
    "ftp://localhost",
    "localhost:3000",
    "*",
]


@pytest.mark.parametrize("origin", ALLOWED_ORIGINS)
def test_an_allowed_origin_may_call_and_read_the_answer(plain: RunningProxy, origin: str) -> None:
    reply = ask(plain, "GET", "/v1/health", f"Origin: {origin}")

    assert reply.status == 200
    assert reply.header("access-control-allow-origin") == origin


@pytest.mark.core
@pytest.mark.parametrize("origin", REFUSED_ORIGINS)
def test_any_other_origin_is_refused_before_anything_runs(plain: RunningProxy, upstream: Fresh, origin: str) -> None:
    reply = ask(plain, "POST", CHAT, f"Origin: {origin}")

    assert refused(reply) == (403, "origin_not_allowed")
    assert cors(reply) == {}
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("http://localhost:3000", "https://evil.example"),
        ("https://evil.example", "http://localhost:3000"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("vscode-webview://1a2b3c", "null"),
        ("vscode-webview://1a2b3c", "x"),
    ],
)
def test_two_origins_are_refused(plain: RunningProxy, upstream: Fresh, first: str, second: str) -> None:
    reply = ask(plain, "POST", CHAT, f"Origin: {first}", f"Origin: {second}")

    assert reply.status in (400, 403)
    assert upstream.requests == []


@pytest.mark.parametrize("lock", ["open", "locked", "forwarding"])
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_foreign_origin_is_refused_on_every_route_key_or_no_key(
    proxies: dict[str, RunningProxy], upstream: Fresh, method: str, path: str, lock: str
) -> None:
    for lines in ((), (AUTH, f"X-Proxy-Api-Key: {KEY}")):
        reply = ask(proxies[lock], method, path, "Origin: https://evil.example", *lines)
        assert refused(reply, method) == (403, "" if method == "HEAD" else "origin_not_allowed")
        assert cors(reply) == {}
    assert upstream.requests == []


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site"])
def test_a_page_that_keeps_its_origin_back_is_refused(plain: RunningProxy, upstream: Fresh, site: str) -> None:
    reply = ask(plain, "GET", "/v1/models", f"Sec-Fetch-Site: {site}", "Sec-Fetch-Mode: no-cors")

    assert refused(reply) == (403, "origin_not_allowed")
    assert upstream.requests == []


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["Sec-Fetch-Mode: cors"],  # Node's fetch
        ["Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate"],  # typed into the address bar
        ["Sec-Fetch-Site: same-origin"],
        ["Referer: https://evil.example/page"],
    ],
)
def test_a_program_without_an_origin_is_let_in(plain: RunningProxy, lines: list[str]) -> None:
    assert ask(plain, "GET", "/v1/models", *lines).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/json"]
)
def test_a_page_must_send_json_as_json(plain: RunningProxy, upstream: Fresh, kind: str) -> None:
    reply = ask(plain, "POST", CHAT, "Origin: http://localhost:3000", f"Content-Type: {kind}")

    assert refused(reply) == (415, "unsupported_media_type")
    assert upstream.requests == []


def test_a_page_that_names_no_content_type_is_refused(plain: RunningProxy) -> None:
    with connect(plain) as client:
        reply = client.ask("POST", CHAT, BODY, "Origin: http://localhost:3000")

    assert refused(reply) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8"])
def test_a_page_that_sends_json_is_served(plain: RunningProxy, kind: str) -> None:
    assert ask(plain, "POST", CHAT, "Origin: http://localhost:3000", f"Content-Type: {kind}").status == 200


def test_a_program_may_send_json_under_any_name(plain: RunningProxy) -> None:
    assert ask(plain, "POST", CHAT, "Content-Type: text/plain").status == 200


def test_a_page_may_upload_a_file(plain: RunningProxy) -> None:
    kind = "Content-Type: multipart/form-data; boundary=x"

    assert ask(plain, "POST", "/v1/files", "Origin: http://localhost:3000", kind).status == 200


# --- CORS headers -----------------------------------------------------------------------------------------------------

ORIGIN = "http://localhost:3000"
EXPOSED = {
    "x-request-id",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "openai-processing-ms",
    "openai-version",
    "openai-model",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
}
UPSTREAMS_OWN = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Expose-Headers", "*"),
    ("ACCESS-CONTROL-ALLOW-PRIVATE-NETWORK", "true"),
    ("access-control-max-age", "86400"),
    ("Timing-Allow-Origin", "*"),
    ("Cross-Origin-Resource-Policy", "cross-origin"),
    ("Vary", "Accept"),
]
OPENING = ("access-control-", "cross-origin-", "timing-allow-origin")  # what lets a foreign page look into an answer


def readable(reply: Reply) -> None:
    """Check that the page may read the answer, and that nobody else's page may."""
    headers = cors(reply)
    exposed = str(headers.pop("access-control-expose-headers"))
    assert {name.strip().lower() for name in exposed.split(",")} == EXPOSED
    assert headers == {"access-control-allow-origin": ORIGIN}
    assert [name for name, _ in reply.headers if name.startswith(OPENING) and not name.startswith("access-")] == []
    varies = [part.strip() for name, value in reply.headers if name == "vary" for part in value.split(",")]
    assert "Origin" in varies


ANSWERS = {
    "an answer": Json(completion(), headers=UPSTREAMS_OWN),
    "a stream": Sse(completion_chunks("a"), headers=UPSTREAMS_OWN),
    "an error": Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, 400, UPSTREAMS_OWN),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/files")])
def test_a_page_may_read_what_the_upstream_answers(
    plain: RunningProxy, upstream: Fresh, answer: Json, method: str, path: str
) -> None:
    upstream.answer(answer)

    readable(ask(plain, method, path, f"Origin: {ORIGIN}"))


@pytest.mark.core
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(("method", "path"), [("POST", CHAT), ("GET", "/v1/models"), ("GET", "/v1/files")])
def test_the_upstreams_own_cors_headers_reach_nobody(
    plain: RunningProxy, upstream: Fresh, answer: Json, method: str, path: str
) -> None:
    upstream.answer(answer)
    reply = ask(plain, method, path)

    assert [name for name, _ in reply.headers if name.startswith(OPENING)] == []
    assert reply.header("vary") == "Accept"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/health", 401),
        ("GET", "/nothing", 401),
        ("POST", CHAT, 401),
    ],
)
def test_a_page_may_read_why_it_was_refused(locked: RunningProxy, method: str, path: str, status: int) -> None:
    reply = ask(locked, method, path, f"Origin: {ORIGIN}")

    assert reply.status == status
    readable(reply)


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("PUT", CHAT), ("POST", "/v1/health")])
def test_a_page_may_read_that_an_address_is_wrong(plain: RunningProxy, method: str, path: str) -> None:
    readable(ask(plain, method, path, f"Origin: {ORIGIN}"))


def preflight(proxy: RunningProxy, path: str, *lines: str, origin: str = ORIGIN) -> Reply:
    return ask(proxy, "OPTIONS", path, f"Origin: {origin}", "Access-Control-Request-Method: POST", *lines)


@pytest.mark.core
@pytest.mark.parametrize("lock", ["open", "locked", "forwarding"])
@pytest.mark.parametrize("path", [CHAT, "/v1/health", "/v1/models", "/v1/files", "/nothing", "/", "/chat/completions"])
def test_a_preflight_needs_no_key(proxies: dict[str, RunningProxy], upstream: Fresh, path: str, lock: str) -> None:
    asked = "authorization, content-type, x-stainless-timeout, x-title, x-anything"
    reply = preflight(proxies[lock], path, f"Access-Control-Request-Headers: {asked}")

    assert (reply.status, reply.body) == (204, b"")
    headers = cors(reply)
    assert headers["access-control-allow-origin"] == ORIGIN
    assert {name.strip() for name in str(headers["access-control-allow-headers"]).split(",")} == set(asked.split(", "))
    methods = {name.strip() for name in str(headers["access-control-allow-methods"]).split(",")}
    assert methods == {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    assert headers["access-control-max-age"] == "600"
    assert "origin" in str(reply.header("vary")).lower()
    assert upstream.requests == []


def test_a_preflight_is_given_neither_credentials_nor_the_private_network(plain: RunningProxy) -> None:
    headers = cors(preflight(plain, CHAT, "Access-Control-Request-Private-Network: true"))

    assert "access-control-allow-credentials" not in headers
    assert "access-control-allow-private-network" not in headers


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_preflight_of_a_foreign_page_is_refused(plain: RunningProxy, origin: str) -> None:
    reply = preflight(plain, CHAT, origin=origin)

    assert refused(reply) == (403, "origin_not_allowed")
    assert cors(reply) == {}


def test_a_program_that_asks_for_the_options_is_told(plain: RunningProxy, upstream: Fresh) -> None:
    reply = ask(plain, "OPTIONS", CHAT)

    assert (reply.status, cors(reply)) == (204, {})
    assert "POST" in str(reply.header("allow"))
    assert upstream.requests == []


# --- keys -------------------------------------------------------------------------------------------------------------

NOT_OPTIONS = [route for route in ROUTES if route[0] != "OPTIONS"]


@pytest.mark.core
@pytest.mark.parametrize(("method", "path"), NOT_OPTIONS)
def test_every_route_asks_for_the_key(locked: RunningProxy, upstream: Fresh, method: str, path: str) -> None:
    reply = ask(locked, method, path)

    assert refused(reply, method) == (401, "" if method == "HEAD" else "missing_proxy_key")
    assert upstream.requests == []


@pytest.mark.core
@pytest.mark.parametrize(("method", "path"), NOT_OPTIONS)
def test_every_route_refuses_a_wrong_key(locked: RunningProxy, upstream: Fresh, method: str, path: str) -> None:
    reply = ask(locked, method, path, "Authorization: Bearer wrong")

    assert refused(reply, method) == (401, "" if method == "HEAD" else "invalid_proxy_key")
    assert upstream.requests == []


@pytest.mark.core
@pytest.mark.parametrize("key", [KEY, OTHER_KEY])
@pytest.mark.parametrize(
    "line",
    [
        *(
            "Authorization: Bearer {}",
            "authorization: bearer {}",
            "Authorization: {}",
            "Authorization: Bearer Bearer {}",
        ),
        *("X-Api-Key: {}", "Api-Key: {}", "X-Goog-Api-Key: {}", "X-Proxy-Api-Key: {}"),
    ],
)
def test_a_right_key_is_let_in_however_it_comes(locked: RunningProxy, line: str, key: str) -> None:
    assert ask(locked, "POST", CHAT, line.format(key)).status == 200


WRONG = {
    "another key": f"Authorization: Bearer {KEY}x",
    "a part of the key": f"Authorization: Bearer {KEY[:-1]}",
    "the key in capitals": f"Authorization: Bearer {KEY.upper()}",
    "the key in quotes": f'Authorization: "{KEY}"',
    "the key and a word": f"Authorization: {KEY} {OTHER_KEY}",
    "another scheme": f"Authorization: Basic {KEY}",
    "both keys": f"Authorization: Bearer {KEY},{OTHER_KEY}",
    "nothing": "Authorization: Bearer ",
    "the upstream's key": f"Authorization: Bearer {UPSTREAM_KEY}",
    "other letters": "Authorization: Bearer schl\xfcssel",
    "a cookie": f"Cookie: key={KEY}",
}


@pytest.mark.parametrize("line", WRONG.values(), ids=WRONG)
def test_nothing_else_is_a_key(locked: RunningProxy, upstream: Fresh, line: str) -> None:
    assert ask(locked, "POST", CHAT, line).status == 401
    assert upstream.requests == []


@pytest.mark.parametrize("name", ["api_key", "key", "api-key", "access_token"])
def test_a_key_in_the_address_is_no_key(locked: RunningProxy, upstream: Fresh, name: str) -> None:
    assert ask(locked, "POST", f"{CHAT}?{name}={KEY}").status == 401
    assert upstream.requests == []


def test_the_refusal_says_which_key_is_meant_and_shows_none(locked: RunningProxy) -> None:
    reply = ask(locked, "GET", "/v1/models", "Authorization: Bearer sk-some-openai-key-0001")

    assert "PROXY_API_KEYS" in reply.error["message"]
    assert "sk-some-openai-key-0001" not in reply.body.decode()
    assert KEY not in reply.body.decode()


def test_a_refused_key_is_not_tried_again_by_an_sdk(locked: RunningProxy) -> None:
    assert ask(locked, "POST", CHAT, "Authorization: Bearer wrong").header("x-should-retry") == "false"


def test_the_proxy_key_is_not_sent_upstream(locked: RunningProxy, upstream: Fresh) -> None:
    ask(locked, "POST", CHAT, AUTH, f"X-Proxy-Api-Key: {KEY}", f"X-Api-Key: {KEY}")

    assert KEY not in str(upstream.request.headers)
    assert upstream.request.header("Authorization") == f"Bearer {UPSTREAM_KEY}"


def test_an_open_proxy_takes_any_key_and_none(plain: RunningProxy) -> None:
    assert ask(plain, "POST", CHAT).status == 200
    assert ask(plain, "POST", CHAT, "Authorization: Bearer not-provided").status == 200


# --- keys, where the caller's own goes upstream -----------------------------------------------------------------------


@pytest.mark.core
def test_where_keys_are_forwarded_the_proxy_key_comes_in_its_own_header(
    forwarding: RunningProxy, upstream: Fresh
) -> None:
    reply = ask(forwarding, "POST", CHAT, "Authorization: Bearer sk-callers-own", f"X-Proxy-Api-Key: {KEY}")

    assert reply.status == 200
    assert upstream.request.header("Authorization") == "Bearer sk-callers-own"
    assert KEY not in str(upstream.request.headers)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [AUTH],
        ["Authorization: Bearer sk-callers-own"],
        [f"X-Api-Key: {KEY}"],
        ["X-Proxy-Api-Key: wrong", AUTH],
    ],
)
def test_where_keys_are_forwarded_no_other_header_holds_the_proxy_key(
    forwarding: RunningProxy, upstream: Fresh, lines: list[str]
) -> None:
    assert ask(forwarding, "POST", CHAT, *lines).status == 401
    assert upstream.requests == []


# --- health -----------------------------------------------------------------------------------------------------------


def test_health_asks_for_the_key_like_every_route(locked: RunningProxy) -> None:
    assert ask(locked, "GET", "/v1/health").status == 401
    assert ask(locked, "GET", "/v1/health", AUTH).status == 200


@pytest.mark.parametrize("path", ["/v1/health", "/health", "/v1/health/", "//v1/health"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_open_health_asks_for_no_key(forwarding: RunningProxy, method: str, path: str) -> None:
    assert ask(forwarding, method, path).status == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/health"),
        ("GET", "/v1/models"),
        ("GET", "/v1/health/more"),
        ("GET", "/v1/healthy"),
        ("GET", "/v1/models/health"),
        ("GET", "/v1/health/../models"),
        ("GET", "/v1/health%2f..%2fmodels"),
        ("GET", "/v1/health?/../models&x=/v1/models"),
    ],
)
def test_open_health_opens_nothing_else(forwarding: RunningProxy, upstream: Fresh, method: str, path: str) -> None:
    reply = ask(forwarding, method, path)

    assert reply.status == 401 or reply.body == b'{"status":"ok"}'
    assert (reply.status == 200) == (path.partition("?")[0] == "/v1/health" and method == "GET")
    assert upstream.requests == []


@pytest.mark.parametrize("lock", ["open", "locked", "forwarding"])
def test_health_asks_nothing_of_the_upstream(proxies: dict[str, RunningProxy], upstream: Fresh, lock: str) -> None:
    reply = ask(proxies[lock], "GET", "/v1/health", AUTH)

    assert (reply.status, reply.header("content-type"), reply.json()) == (200, "application/json", {"status": "ok"})
    assert upstream.requests == []
    assert upstream.accepted_connections == 0


# --- settings that change in the middle of a request ------------------------------------------------------------------


def test_what_was_let_in_while_a_key_became_required_lets_nobody_in_afterwards(
    provider: ScriptedUpstream, tmp_path: Path
) -> None:
    provider.answer(Json({"object": "list", "data": []}))
    running = RunningProxy(settings_file=tmp_path / "settings.toml", openai_base_url=provider.base_url)
    running.services.secrets.keep(UPSTREAM_KEY)
    store = running.services.store

    @running.server._app._app.before_request
    def change() -> None:  # after the guard's look, before the view
        if not store.current.proxy_require_api_key:
            store.update(proxy_require_api_key=True)

    with running, connect(running) as client:
        statuses = [client.ask("GET", "/v1/models").status for _ in range(3)]

    assert statuses[1:] == [401, 401]
