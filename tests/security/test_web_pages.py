"""What a web page in the user's browser can do with the proxy: nothing, unless the user let it in."""

from collections.abc import Callable, Iterator

import httpx2
import pytest

from fakes.asking import BODY, CHAT
from fakes.dashboard import Hosted, form_token
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import Fresh, connect
from fakes.wire_client import JSON_TYPE, Reply

HEALTH = "/v1/health"
EVERY_ROUTE = [
    ("GET", "/"),
    ("GET", HEALTH),
    ("GET", "/v1/models"),
    ("POST", CHAT),
    ("POST", "/v1/files"),
    ("GET", "/ui/"),
    ("OPTIONS", CHAT),
    ("GET", "/nothing"),
]
PAGE = "https://page.example"


def ask(proxy: RunningProxy, method: str, path: str, *lines: str) -> Reply:
    with connect(proxy) as client:
        return client.ask(method, path, BODY if method == "POST" else None, *lines)


# --- DNS rebinding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
@pytest.mark.parametrize("key", ["the-proxy-key-0001", "wrong"])
def test_a_rebound_name_reaches_no_route_key_or_no_key(
    locked: RunningProxy, upstream: Fresh, method: str, path: str, key: str
) -> None:
    port = locked.address.port
    reply = ask(locked, method, path, f"Host: page.example:{port}", f"Authorization: Bearer {key}")

    assert (reply.status, reply.error["code"]) == (403, "host_not_allowed")
    assert upstream.requests == []


@pytest.mark.parametrize(
    "host",
    [
        *("192.168.1.2", "10.0.0.1", "computer.local", "0.0.0.0", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("[::]", "2130706433", "0x7f.1", "127.1", "128.0.0.1", "localhost.localdomain"),
    ],
)
def test_a_name_that_only_looks_like_this_computer_is_refused(proxy: RunningProxy, host: str) -> None:
    reply = ask(proxy, "GET", HEALTH, f"Host: {host}:{proxy.address.port}")

    assert (reply.status, reply.error["code"]) == (403, "host_not_allowed")


def test_this_computers_names_count_with_any_port_and_others_with_none(proxy: RunningProxy) -> None:
    for name in ("127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST.", "[::1]"):  # a tunnel has a port of its own
        assert ask(proxy, "GET", HEALTH, f"Host: {name}:{proxy.address.port - 1}").status == 200
        assert ask(proxy, "GET", HEALTH, f"Host: {name}").status == 200
    for name in ("page.example", "0.0.0.0", "127.0.0.1.page.example"):
        assert ask(proxy, "GET", HEALTH, f"Host: {name}:{proxy.address.port}").status == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LocalHost", "[::1]"])
def test_the_proxys_own_names_in_any_case_are_let_in(proxy: RunningProxy, host: str) -> None:
    assert ask(proxy, "GET", HEALTH, f"Host: {host}:{proxy.address.port}").status == 200


@pytest.mark.parametrize("lines", [["Host:"], ["Host: a b"], ["Host: user@127.0.0.1"], ["Host: 127.0.0.1:x"]])
def test_a_missing_or_malformed_host_is_a_400(proxy: RunningProxy, lines: list[str]) -> None:
    assert ask(proxy, "GET", HEALTH, *lines).status == 400
    with connect(proxy) as client:
        assert client.send(b"GET /v1/health HTTP/1.1\r\n\r\n").read_reply().status == 400
    own = f"Host: 127.0.0.1:{proxy.address.port}"
    assert ask(proxy, "GET", HEALTH, own, own).status == 400


def test_no_other_header_stands_for_the_host(proxy: RunningProxy) -> None:
    reply = ask(proxy, "GET", HEALTH, "Host: page.example", f"X-Forwarded-Host: 127.0.0.1:{proxy.address.port}")

    assert reply.status == 403


# --- cross-site requests that need no preflight -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("path", [CHAT, "/v1/files", "/v1/embeddings", "/nothing"])
def test_a_form_of_a_foreign_page_runs_nothing(proxy: RunningProxy, upstream: Fresh, path: str, kind: str) -> None:
    reply = ask(proxy, "POST", path, f"Origin: {PAGE}", f"Content-Type: {kind}")

    assert (reply.status, reply.error["code"]) == (403, "origin_not_allowed")
    assert upstream.requests == []


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_that_leaves_its_origin_out_is_refused(
    proxy: RunningProxy, upstream: Fresh, method: str, site: str
) -> None:
    reply = ask(proxy, method, CHAT if method == "POST" else "/v1/models", f"Sec-Fetch-Site: {site}")

    assert (reply.status, reply.error["code"]) == (403, "origin_not_allowed")
    assert upstream.requests == []


def test_an_allowed_page_must_say_that_it_sends_json(proxy: RunningProxy, upstream: Fresh) -> None:
    reply = ask(proxy, "POST", CHAT, "Origin: http://localhost:3000", "Content-Type: text/plain")

    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")
    assert upstream.requests == []


# --- reading answers across origins -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), EVERY_ROUTE)
def test_no_answer_can_be_read_by_a_foreign_page(proxy: RunningProxy, method: str, path: str) -> None:
    reply = ask(proxy, method, path, f"Origin: {PAGE}", JSON_TYPE)

    assert not [name for name, _ in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(("method", "path"), [route for route in EVERY_ROUTE if not route[1].startswith("/ui")])
def test_an_allowed_page_is_echoed_and_nothing_else_is_granted(proxy: RunningProxy, method: str, path: str) -> None:
    lines = ("Access-Control-Request-Method: POST", "Access-Control-Request-Private-Network: true")
    reply = ask(proxy, method, path, "Origin: http://localhost:3000", JSON_TYPE, *lines)
    granted = dict(reply.headers)

    assert granted["access-control-allow-origin"] == "http://localhost:3000"
    assert "origin" in granted["vary"].lower()
    assert "access-control-allow-credentials" not in granted
    assert "access-control-allow-private-network" not in granted
    assert "*" not in granted["access-control-allow-origin"]


# --- origin: absent ---------------------------------------------------------------------------------------------------


def test_a_program_without_an_origin_is_let_in(proxy: RunningProxy, upstream: Fresh) -> None:
    assert ask(proxy, "POST", CHAT, JSON_TYPE).status == 200
    assert len(upstream.requests) == 1


# --- origin: a page of this computer ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("form", ["http://{}", "https://{}", "http://{}:3000", "https://{}:8443"])
def test_pages_of_this_computer_are_let_in(proxy: RunningProxy, name: str, form: str) -> None:
    assert ask(proxy, "GET", HEALTH, f"Origin: {form.format(name)}").status == 200


@pytest.mark.parametrize(
    "origin",
    [
        *("http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://evil.example/http://localhost"),
        *("http://localhost@evil.example", "http://evil-localhost", "http://localhost:80:80", "http://localhost:x"),
        *("ftp://localhost", "http://127.0.0.2", "http://0.0.0.0", "http://[::]", "localhost", "http://", ""),
    ],
)
def test_what_only_looks_like_this_computer_is_refused(proxy: RunningProxy, origin: str) -> None:
    assert ask(proxy, "GET", HEALTH, f"Origin: {origin}").status == 403


# --- origin: VS Code's own views --------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["vscode-webview://0abc-1def", "vscode-file://vscode-app"])
def test_the_editors_own_views_are_let_in(proxy: RunningProxy, origin: str) -> None:
    assert ask(proxy, "GET", HEALTH, f"Origin: {origin}").status == 200


# --- origin: an app or a site -----------------------------------------------------------------------------------------

APPS = [
    "app://obsidian.md",
    "tauri://localhost",
    "capacitor://localhost",
    "chrome-extension://abcdefghijklmnop",
    "moz-extension://01234567-89ab-cdef-0123-456789abcdef",
    "https://app.example",
    "vscode-file://other-app",
]


@pytest.mark.parametrize("origin", APPS)
def test_an_app_or_a_site_is_refused_until_exactly_it_is_added(
    start_proxy: Callable[..., RunningProxy], proxy: RunningProxy, origin: str
) -> None:
    assert ask(proxy, "GET", HEALTH, f"Origin: {origin}").status == 403
    opened = start_proxy(proxy_allowed_origins=origin)

    assert ask(opened, "GET", HEALTH, f"Origin: {origin}").status == 200
    assert ask(opened, "GET", HEALTH, f"Origin: {origin}x").status == 403
    assert ask(opened, "GET", HEALTH, f"Origin: {origin[:-1]}").status == 403


# --- origin: null or a file -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["null", "NULL", "file://", "file:///home/me/page.html"])
def test_null_and_files_are_refused_and_cannot_be_added(proxy: RunningProxy, origin: str) -> None:
    store = proxy.services.store

    assert ask(proxy, "GET", HEALTH, f"Origin: {origin}").status == 403
    with pytest.raises(Exception, match="PROXY_ALLOWED_ORIGINS"):
        store.update(proxy_allowed_origins=(origin,))
    assert store.current.proxy_allowed_origins == ()


# --- origin: two of them ----------------------------------------------------------------------------------------------


def test_two_origins_are_refused(proxy: RunningProxy) -> None:
    local = "Origin: http://localhost:3000"

    assert ask(proxy, "GET", HEALTH, local, local).status == 403
    assert ask(proxy, "GET", HEALTH, local, f"Origin: {PAGE}").status == 403


# --- the last refused origins are remembered --------------------------------------------------------------------------


@pytest.fixture
def hosted(provider: ScriptedUpstream) -> Iterator[Hosted]:
    with Hosted(openai_base_url=provider.base_url) as running:
        yield running


def test_a_refused_origin_is_offered_on_the_programs_page_and_allowed_by_a_click(hosted: Hosted) -> None:
    assert ask(hosted, "GET", HEALTH, f"Origin: {PAGE}").status == 403
    with hosted.enter() as browser:
        page = browser.get("/").text
        browser.post("/origins/allow", data={"form_token": form_token(page), "origin": PAGE})

    assert ask(hosted, "GET", HEALTH, f"Origin: {PAGE}").status == 200


# --- the dashboard ----------------------------------------------------------------------------------------------------


def test_the_programs_page_opens_by_a_link_that_is_good_once(hosted: Hosted) -> None:
    link = hosted.dashboard.link(hosted.root_url)

    assert hosted.http.get(link).status_code == 303
    assert httpx2.get(link, trust_env=False).status_code == 403
    assert httpx2.get(f"{hosted.root_url}/ui/", trust_env=False).status_code == 403


@pytest.mark.parametrize("path", ["/key", "/key/forget", "/origins/allow"])
def test_a_change_needs_the_forms_token_beside_the_cookie(hosted: Hosted, path: str) -> None:
    with hosted.enter() as browser:
        for fields in ({}, {"form_token": "0" * 64}):
            assert browser.post(path, data={"key": "sk-slipped-in", "origin": PAGE, **fields}).status_code == 403

    assert hosted.keychain.kept == {}


@pytest.mark.parametrize("origin", ["http://localhost:3000", "null", PAGE])
def test_the_programs_page_is_for_itself_alone(hosted: Hosted, origin: str) -> None:
    with hosted.enter() as browser:
        assert browser.get("/", headers={"Origin": origin}).status_code == 403
        assert "frame-ancestors 'none'" in browser.get("/").headers["content-security-policy"]
