"""Which Host and which Origin may call, and what a page may read."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import pytest
from werkzeug.datastructures import Headers

from fakes.raw_client import RawClient
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh
from proxy.errors.request import ContentTypeNotAllowed, HostNotAllowed, MalformedRequest, OriginNotAllowed
from proxy.policy.origin import check_content_type, check_host, check_origin

ALLOWED_ORIGINS = [
    "http://localhost",
    "http://localhost:3000",
    "https://localhost:8443",
    "http://127.0.0.1",
    "http://127.0.0.1:5173",
    "https://127.0.0.1",
    "http://[::1]:3000",
    "https://[::1]",
    "vscode-webview://1a2b3c4d",
    "vscode-file://vscode-app",
]
REFUSED_ORIGINS = [
    "null",
    "",
    "*",
    "file://",
    "file:///home/user/page.html",
    "https://evil.example",
    "http://evil.example",
    "https://chat.openai.com",
    "app://obsidian.md",
    "tauri://localhost",
    "capacitor://localhost",
    "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
    "moz-extension://00000000-0000-4000-8000-000000000000",
    "http://localhost.evil.example",
    "http://localhost:3000.evil.example",
    "http://127.0.0.1.evil.example",
    "http://evil.example/http://localhost",
    "http://localhost@evil.example",
    "http://evil.example#localhost",
    "http://mylocalhost",
    "http://localhost.",
    "http://127.0.0.2",
    "http://0.0.0.0",
    "http://192.168.1.5",
    "http://10.0.0.1:3000",
    "http://[::]",
    "http://[::2]",
    "http://2130706433",
    "http://my-laptop.local",
    "ftp://localhost",
    "ws://localhost",
    "vscode-file://evil",
    "vscode-file://vscode-app.evil",
    "vscode-webview://",
    "vscode-webviews://1a2b",
    "evil-vscode-webview://1a2b",
    "localhost",
    "http://",
    "http:localhost",
]


# Host


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LocalHost:8000", "LOCALHOST:8000", "[::1]:8000"])
def test_the_proxys_own_names_with_its_port_are_its_host(host: str) -> None:
    check_host(host, "8000", "127.0.0.1", ())


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:9000",
        "localhost",
        "localhost:80",
        "localhost:08000",
        "LOCALHOST:1",
        "localhost.",
        "localhost.:8000",
        "127.0.0.2:8000",
        "127.255.255.254",
        "[::1]",
        "[::1]:65535",
    ],
)
def test_a_name_of_this_computer_is_its_host_with_any_port_or_none(host: str) -> None:
    check_host(host, "8000", "127.0.0.1", ())


@pytest.mark.parametrize("host", ["192.168.1.5", "192.168.1.5:9000", "192.168.1.5:80"])
def test_an_address_of_the_network_that_is_listened_on_is_a_host_with_its_port_alone(host: str) -> None:
    with pytest.raises(HostNotAllowed):
        check_host(host, "8000", "192.168.1.5", ())


@pytest.mark.parametrize("host", ["192.168.1.5:8000", "127.0.0.1:8000", "localhost:8000"])
def test_the_address_listened_on_is_a_host_too(host: str) -> None:
    check_host(host, "8000", "192.168.1.5", ())


@pytest.mark.parametrize("bound", ["fd00::5", "[fd00::5]", "FD00::5"])
def test_an_ipv6_address_listened_on_stands_in_brackets(bound: str) -> None:
    check_host("[fd00::5]:8000", "8000", bound, ())


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("nas.example:8000", ["nas.example"]),
        ("nas.example", ["nas.example"]),
        ("nas.example:443", ["nas.example"]),
        ("NAS.Example:8000", ["nas.example"]),
        ("nas.example:8000", ["other.example", "NAS.EXAMPLE"]),
        ("nas.example:8000", ["nas.example:8000"]),
        ("[fd00::5]:8000", ["[fd00::5]"]),
    ],
)
def test_a_name_the_user_added_is_a_host(host: str, allowed: list[str]) -> None:
    check_host(host, "8000", "127.0.0.1", allowed)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("nas.example:9000", ["nas.example:8000"]),
        ("nas.example", ["nas.example:8000"]),
        ("evil-nas.example", ["nas.example"]),
        ("nas.example.evil", ["nas.example"]),
        ("sub.nas.example", ["nas.example"]),
        ("anything.example", ["*"]),
    ],
)
def test_a_name_the_user_added_allows_no_other(host: str, allowed: list[str]) -> None:
    with pytest.raises(HostNotAllowed):
        check_host(host, "8000", "127.0.0.1", allowed)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        " ",
        " 127.0.0.1:8000",
        "127.0.0.1:8000 ",
        "127.0.0.1 :8000",
        "127.0.0.1:8000,127.0.0.1:8000",
        "127.0.0.1:8000, evil.example",
        "user@127.0.0.1:8000",
        "user:password@127.0.0.1:8000",
        "127.0.0.1:8000/",
        "127.0.0.1:8000\\",
        "127.0.0.1:8000?",
        "127.0.0.1:8000#",
        "http://127.0.0.1:8000",
        "127.0.0.1:",
        "127.0.0.1:http",
        "127.0.0.1:-1",
        "127.0.0.1:+8000",
        "127.0.0.1:8000:8000",
        "127.0.0.1:\uff18\uff10\uff10\uff10",  # digits, but not ASCII's
        "[::1]8000",
        "[::1]:",
        "[::1]:port",
        "::1",
    ],
)
def test_a_malformed_host_is_a_bad_request(host: str | None) -> None:
    with pytest.raises(MalformedRequest) as caught:
        check_host(host, "8000", "127.0.0.1", ())

    assert caught.value.status == 400


@pytest.mark.parametrize("host", ["[::1", "[::1:8000", ":8000", "]:8000", "[]:8000"])
def test_a_host_with_no_name_or_half_a_bracket_is_malformed_too(host: str) -> None:
    with pytest.raises(MalformedRequest):
        check_host(host, "8000", "127.0.0.1", ())


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example:8000",
        "localhost.evil.example:8000",
        "localhost..:8000",
        ".localhost:8000",
        "evil.localhost:8000",
        "127.0.0.1.:8000",
        "127.0.0.01:8000",
        "127.0.0.256:8000",
        "128.0.0.1:8000",
        "127.1:8000",
        "2130706433:8000",
        "0x7f.1:8000",
        "0.0.0.0:8000",
        "[::]:8000",
        "192.168.1.5:8000",
        "10.0.0.1:8000",
        "172.16.0.1:8000",
        "169.254.1.1:8000",
        "my-laptop.local:8000",
        "my-laptop:8000",
        "[::ffff:127.0.0.1]:8000",
        "[fe80::1]:8000",
        "127.0.0.1%00.evil.example:8000",
    ],
)
def test_any_other_host_is_not_allowed(host: str) -> None:
    with pytest.raises(HostNotAllowed) as caught:
        check_host(host, "8000", "127.0.0.1", ())

    assert (caught.value.status, caught.value.code) == (403, "host_not_allowed")


@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])
@pytest.mark.parametrize("host", ["0.0.0.0:8000", "[::]:8000", "192.168.1.5:8000", "evil.example:8000"])
def test_listening_on_every_address_makes_none_of_them_a_host(bound: str, host: str) -> None:
    with pytest.raises(HostNotAllowed):
        check_host(host, "8000", bound, ())


# Origin


@pytest.mark.parametrize("origin", ALLOWED_ORIGINS)
def test_pages_and_editors_of_this_computer_may_call(origin: str) -> None:
    assert check_origin(Headers({"Origin": origin}), ()) == origin


@pytest.mark.parametrize("origin", REFUSED_ORIGINS)
def test_any_other_origin_is_refused(origin: str) -> None:
    with pytest.raises(OriginNotAllowed) as caught:
        check_origin(Headers({"Origin": origin}), ())

    assert (caught.value.status, caught.value.code) == (403, "origin_not_allowed")


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example",
        "https://app.example:8443",
        "app://obsidian.md",
        "tauri://localhost",
        "chrome-extension://abcdefghijklmnop",
    ],
)
def test_an_origin_the_user_added_may_call(origin: str) -> None:
    assert check_origin(Headers({"Origin": origin}), ("https://other.example", origin)) == origin


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example",
        "https://app.example:8443",
        "https://sub.app.example",
        "https://app.example.evil",
        "https://evil-app.example",
        "https://app.example@evil.example",
        "null",
        "file://",
    ],
)
def test_an_origin_the_user_added_allows_no_other(origin: str) -> None:
    with pytest.raises(OriginNotAllowed):
        check_origin(Headers({"Origin": origin}), ("https://app.example",))


@pytest.mark.parametrize("listed", ["null", "file://"])
def test_the_origins_nobody_can_add_stay_refused_even_where_they_are_listed(listed: str) -> None:
    with pytest.raises(OriginNotAllowed):
        check_origin(Headers({"Origin": listed}), (listed,))


@pytest.mark.parametrize(
    "joined",
    [
        "http://localhost:3000,http://localhost:3000",
        "http://localhost:3000,https://evil.example",
        "http://localhost:3000,null",
        "https://evil.example,http://localhost:3000",
        "vscode-webview://1a2b,https://evil.example",
        "vscode-webview://1a2b,null",
        "vscode-webview://1a2b,evil.example",
        "vscode-webview://1a2b, null",
    ],
)
def test_two_origin_headers_are_refused_however_they_are_joined(joined: str) -> None:
    with pytest.raises(OriginNotAllowed):
        check_origin(Headers({"Origin": joined}), ())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Mode": "cors"},  # Node's fetch
        {"Referer": "https://evil.example"},
    ],
)
def test_what_is_no_other_sites_page_may_call(headers: dict[str, str]) -> None:
    assert check_origin(Headers(headers), ()) is None


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Cross-Site", "SAME-SITE"])
def test_another_sites_request_without_an_origin_is_refused(site: str) -> None:
    with pytest.raises(OriginNotAllowed, match="another site"):
        check_origin(Headers({"Sec-Fetch-Site": site}), ())


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_an_allowed_origin_may_be_another_site(site: str) -> None:
    headers = Headers({"Origin": "https://app.example", "Sec-Fetch-Site": site})

    assert check_origin(headers, ("https://app.example",)) == "https://app.example"


# Content types that need no preflight


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON", "application/json; charset=utf-8", " application/json ;x=1"]
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_page_may_send_json(method: str, kind: str) -> None:
    check_content_type(Headers({"Origin": "http://localhost", "Content-Type": kind}), method)


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain;application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "text/json",
        "text/plain, application/json",
        "",
        None,
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_page_may_send_nothing_that_needs_no_preflight(method: str, kind: str | None) -> None:
    headers = Headers({"Origin": "http://localhost"} | ({} if kind is None else {"Content-Type": kind}))

    with pytest.raises(ContentTypeNotAllowed) as caught:
        check_content_type(headers, method)

    assert caught.value.status == 415


@pytest.mark.parametrize("kind", ["text/plain", "", "application/json"])
def test_without_an_origin_any_content_type_is_taken(kind: str) -> None:
    check_content_type(Headers({"Content-Type": kind}), "POST")


# Through the running proxy


@dataclass(frozen=True)
class RawAnswer:
    """An answer as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["error"]["code"])


def ask(proxy: RunningProxy, request_line: str, *lines: str) -> RawAnswer:
    """Send a head as it is written here and return the answer."""
    with closing(RawClient(proxy.address.port)) as client:
        head = "\r\n".join((f"{request_line} HTTP/1.1", *lines, "Connection: close", "", ""))
        head_of_answer, _, body = client.send(head.encode("latin-1")).read_to_fin().partition(b"\r\n\r\n")
    status_line, *pairs = head_of_answer.decode("latin-1").split("\r\n")
    return RawAnswer(int(status_line.split()[1]), dict(pair.lower().split(": ", 1) for pair in pairs), body)


def test_a_foreign_host_is_refused_on_every_address(proxy: RunningProxy, upstream: Fresh) -> None:
    port = proxy.address.port
    hosts = ["evil.example", f"127.0.0.1.evil.example:{port}", f"0.0.0.0:{port}", f"192.168.1.5:{port}"]
    request_lines = [
        "GET /v1/models",
        "HEAD /v1/models",
        "POST /v1/chat/completions",
        "GET /v1/health",
        "GET /",
        "GET /favicon.ico",
        "GET /no/such/path",
        "OPTIONS /v1/chat/completions",
        "DELETE /v1/files/1",
    ]

    answers = {(line, host): ask(proxy, line, f"Host: {host}") for line in request_lines for host in hosts}

    assert {request: answer.status for request, answer in answers.items()} == dict.fromkeys(answers, 403)
    bodies = [answer for (line, _), answer in answers.items() if not line.startswith("HEAD")]
    assert {answer.code for answer in bodies} == {"host_not_allowed"}
    assert upstream.requests == []


def test_a_foreign_host_is_refused_with_a_good_key_too(start_proxy: Callable[..., RunningProxy]) -> None:
    proxy = start_proxy(proxy_require_api_key=True, proxy_api_keys="a-proxy-key")

    answer = ask(proxy, "GET /v1/health", "Host: evil.example", "Authorization: Bearer a-proxy-key")

    assert (answer.status, answer.code) == (403, "host_not_allowed")


def test_a_missing_empty_double_or_malformed_host_is_a_bad_request(proxy: RunningProxy) -> None:
    own = f"Host: 127.0.0.1:{proxy.address.port}"
    heads = [
        (),
        ("Host:",),
        (own, own),
        (own, "Host: evil.example"),
        (f"Host: user@127.0.0.1:{proxy.address.port}",),
        (f"Host: http://127.0.0.1:{proxy.address.port}",),
    ]

    answers = {head: ask(proxy, "GET /v1/health", *head) for head in heads}

    assert {head: (answer.status, answer.code) for head, answer in answers.items()} == dict.fromkeys(
        heads, (400, "malformed_request")
    )


def test_what_a_forwarder_says_about_the_host_is_never_read(proxy: RunningProxy) -> None:
    own = f"127.0.0.1:{proxy.address.port}"
    for header in ("X-Forwarded-Host", "Forwarded", "X-Original-Host", "X-Host"):
        assert ask(proxy, "GET /v1/health", f"Host: {own}", f"{header}: evil.example").status == 200
        assert ask(proxy, "GET /v1/health", "Host: evil.example", f"{header}: {own}").status == 403


def test_an_absolute_target_with_a_foreign_host_is_refused(proxy: RunningProxy, upstream: Fresh) -> None:
    own = f"Host: 127.0.0.1:{proxy.address.port}"

    assert ask(proxy, "GET http://evil.example/v1/models", own).status == 400
    assert upstream.requests == []


def test_a_name_added_in_the_settings_may_be_used(start_proxy: Callable[..., RunningProxy]) -> None:
    proxy = start_proxy(proxy_allowed_hosts="nas.example")

    assert ask(proxy, "GET /v1/health", "Host: nas.example:1234").status == 200
    assert ask(proxy, "GET /v1/health", "Host: other.example").status == 403


def test_a_foreign_page_is_refused_before_anything_runs_and_may_read_nothing(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    for method, path, headers in [
        ("POST", "/v1/chat/completions", {"Origin": "https://evil.example", "Content-Type": "text/plain"}),
        ("POST", "/v1/chat/completions", {"Origin": "null", "Content-Type": "application/json"}),
        ("POST", "/v1/images/generations", {"Origin": "https://evil.example"}),
        ("GET", "/v1/models", {"Origin": "https://evil.example"}),
        ("GET", "/v1/models", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", "/v1/models", {"Sec-Fetch-Site": "same-site"}),
        ("GET", "/no/such/path", {"Origin": "https://evil.example"}),
        ("OPTIONS", "/v1/chat/completions", {"Origin": "https://evil.example"}),
    ]:
        answer = proxy.http.request(method, path, content=b"{}" if method == "POST" else None, headers=headers)

        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed"), (path, headers)
        assert [name for name in answer.headers if name.startswith("access-control")] == []
    assert upstream.requests == []


def test_two_origin_headers_reach_nothing(proxy: RunningProxy, upstream: Fresh) -> None:
    host = f"Host: 127.0.0.1:{proxy.address.port}"
    for first, second in [("http://localhost:1", "https://evil.example"), ("vscode-webview://1a", "null")]:
        answer = ask(proxy, "GET /v1/models", host, f"Origin: {first}", f"Origin: {second}")

        assert answer.status == 403, (first, second)
        assert upstream.requests == []


def test_a_page_that_posts_text_is_refused_and_one_that_posts_json_is_served(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answer(Json(completion()))
    page = {"Origin": "http://localhost:3000"}

    as_text = proxy.http.post("/v1/chat/completions", content=b"{}", headers={**page, "Content-Type": "text/plain"})
    as_json = proxy.http.post("/v1/chat/completions", json={}, headers=page)

    assert (as_text.status_code, as_text.json()["error"]["code"]) == (415, "unsupported_media_type")
    assert as_json.status_code == 200
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("answer", [Json(completion()), Sse(completion_chunks("Hi"))], ids=["whole", "stream"])
def test_an_allowed_page_may_read_its_answer_and_no_other_page_may(
    upstream: Fresh, start_proxy: Callable[..., RunningProxy], answer: Json | Sse
) -> None:
    upstream.answer(answer)
    added = "https://app.example, app://obsidian.md"
    proxy = start_proxy(openai_base_url=upstream.base_url, openai_api_key="sk-1", proxy_allowed_origins=added)

    for origin in ("http://localhost:3000", "vscode-webview://1a2b3c", "https://app.example", "app://obsidian.md"):
        got = proxy.http.post("/v1/chat/completions", json={"model": "m"}, headers={"Origin": origin})

        assert got.status_code == 200
        assert got.headers.get_list("access-control-allow-origin") == [origin]
        assert "origin" in got.headers["vary"].lower()
        assert "x-ratelimit-remaining-tokens" in got.headers["access-control-expose-headers"].lower()
        assert "access-control-allow-credentials" not in got.headers
        assert "access-control-allow-private-network" not in got.headers


def test_an_allowed_page_may_read_an_error_too(start_proxy: Callable[..., RunningProxy]) -> None:
    proxy = start_proxy(proxy_require_api_key=True, proxy_api_keys="a-proxy-key")

    answer = proxy.http.get("/v1/models", headers={"Origin": "http://localhost:3000"})

    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"


def test_a_caller_without_an_origin_gets_no_cors_headers(proxy: RunningProxy) -> None:
    answer = proxy.http.get("/v1/health")

    assert [name for name in answer.headers if name.startswith("access-control")] == []


def test_a_preflight_needs_no_key_and_any_header_may_follow(
    start_proxy: Callable[..., RunningProxy], upstream: Fresh
) -> None:
    proxy = start_proxy(openai_base_url=upstream.base_url, proxy_require_api_key=True, proxy_api_keys="a-proxy-key")
    asked = "authorization, content-type, openai-beta, x-stainless-timeout, x-title, x-brand-new"
    headers = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": asked,
        "Access-Control-Request-Private-Network": "true",
    }

    for path in ("/v1/chat/completions", "/chat/completions", "/v1/models", "/v1/images/generations", "/no/such"):
        answer = proxy.http.request("OPTIONS", path, headers=headers)

        assert answer.status_code == 204, path
        assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
        allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].lower().split(",")}
        assert allowed == set(asked.split(", "))
        methods = {name.strip() for name in answer.headers["access-control-allow-methods"].split(",")}
        assert methods >= {"GET", "POST", "DELETE"}
        assert int(answer.headers["access-control-max-age"]) > 0
        assert "access-control-allow-private-network" not in answer.headers
        assert "access-control-allow-credentials" not in answer.headers
    assert upstream.requests == []


def test_options_without_an_origin_is_answered_without_a_key(start_proxy: Callable[..., RunningProxy]) -> None:
    proxy = start_proxy(proxy_require_api_key=True, proxy_api_keys="a-proxy-key")

    answer = proxy.http.request("OPTIONS", "/v1/chat/completions")

    assert answer.status_code == 204
    assert "POST" in answer.headers["allow"]


def test_an_origin_added_while_running_may_call_at_once(proxy: RunningProxy) -> None:
    page = {"Origin": "https://app.example"}
    assert proxy.http.get("/v1/health", headers=page).status_code == 403

    proxy.services.store.path.parent.mkdir(parents=True, exist_ok=True)
    proxy.services.store.update(proxy_allowed_origins=("https://app.example",))

    answer = proxy.http.get("/v1/health", headers=page)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
