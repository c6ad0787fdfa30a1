"""Requests through a network's proxy: how they get there, and whose fault it is that they do not."""

import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.asking import BODY, CHAT, FILES, WAYS, ask, ask_at_once
from fakes.http_proxy import ESTABLISHED, WANTS_LOGIN, HttpProxy, answered
from fakes.log_file import written
from fakes.opening import open_socket, refusal_of
from fakes.ports import free_port
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, SilentBeforeHeaders, Sse, completion, completion_chunks
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, connect
from fakes.socket_upstream import SocketUpstream
from fakes.streaming import STREAM, bytes_of
from fakes.wire_client import Reply
from proxy.logs.log import start_logging

pytest.importorskip("cryptography", reason="makes the certificate; it comes with the keyring, on Linux only")

from fakes.tls_upstream import TlsUpstream

NAME = "upstream.invalid"  # it exists nowhere: who reaches it came through the proxy
PLAIN, SAFE = f"http://{NAME}/v1", f"https://{NAME}/v1"
LOGIN = "anna:Win/ter#7741@x"
BASIC = "Basic YW5uYTpXaW4vdGVyIzc3NDFAeA=="
SECRETS = ("anna", "Win/ter", "7741", "ter%23", "YW5uYTpX")
PLAIN_SETTINGS = {"proxy_allow_http_upstream": True, "openai_max_retries": 0}

Prescribe = Callable[[str], None]
Start = Callable[..., RunningProxy]


@pytest.fixture
def prescribe(monkeypatch: pytest.MonkeyPatch) -> Prescribe:
    """Return a function that makes the environment prescribe a proxy for every address."""

    def set_all(url: str) -> None:
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("HTTPS_PROXY", url)

    return set_all


@pytest.fixture(scope="module")
def safe_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsUpstream]:
    with TlsUpstream(tmp_path_factory.mktemp("certificate"), hosts=(NAME,)) as running:
        yield running


def port_of(upstream: TlsUpstream) -> int:
    return int(upstream.base_url.removesuffix("/v1").rpartition(":")[2])


def check_is_the_proxys(reply: Reply, code: str, variable: str) -> None:
    """Fail unless an answer is trouble of the network's proxy, told as such, without a secret."""
    assert (reply.status, reply.error["code"]) == (502, code)
    said = reply.error["message"]
    assert variable in said
    assert "The network's proxy" in said
    assert "OPENAI_BASE_URL" not in said
    for secret in SECRETS:
        assert secret not in said


# --- it works ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["", LOGIN, "anna:Win%2Fter%237741%40x"])
@pytest.mark.parametrize("way", WAYS)
def test_a_plain_upstream_is_asked_through_the_proxy(
    upstream: Fresh, start: Start, prescribe: Prescribe, way: str, login: str
) -> None:
    with HttpProxy({NAME: upstream.port}, authorization=BASIC if login else None) as network:
        prescribe(network.url(login))
        reply = ask(start(PLAIN, **PLAIN_SETTINGS), way)

    assert reply.json() == completion("Hello")
    assert network.targets == [PLAIN + way.removeprefix("/v1")]
    assert upstream.request.header("authorization") == f"Bearer {UPSTREAM_KEY}"


@pytest.mark.parametrize("login", ["", LOGIN])
def test_an_upstream_behind_tls_is_asked_through_a_tunnel(
    safe_upstream: TlsUpstream, start: Start, prescribe: Prescribe, login: str
) -> None:
    with HttpProxy({NAME: port_of(safe_upstream)}, authorization=BASIC if login else None) as network:
        prescribe(network.url(login))
        proxy = start(SAFE, openai_ca_file=str(safe_upstream.certificate))
        with connect(proxy) as client:
            replies = [client.post(CHAT, BODY) for _ in range(2)]

    assert [reply.json()["choices"][0]["message"]["content"] for reply in replies] == ["Hello over TLS"] * 2
    assert network.targets == [f"{NAME}:443"]  # the connection is used again
    assert UPSTREAM_KEY not in "".join(network.heads)


def test_the_login_goes_to_the_proxy_alone(safe_upstream: TlsUpstream, start: Start, prescribe: Prescribe) -> None:
    with HttpProxy({NAME: port_of(safe_upstream)}, authorization=BASIC) as network:
        prescribe(network.url(LOGIN))
        proxy = start(SAFE, openai_ca_file=str(safe_upstream.certificate))
        ask(proxy)

        assert proxy.services.try_key(UPSTREAM_KEY) is None
    assert all(f"Proxy-Authorization: {BASIC}" in head for head in network.heads)
    assert len(network.heads) == 2


def test_a_stream_and_an_upload_go_through_it(upstream: Fresh, start: Start, prescribe: Prescribe) -> None:
    events = completion_chunks("Hel", "lo")
    upstream.answer(Sse(events))
    large = b"x" * 1_000_000
    with HttpProxy({NAME: upstream.port}, authorization=BASIC) as network:
        prescribe(network.url(LOGIN))
        proxy = start(PLAIN, **PLAIN_SETTINGS)
        with connect(proxy) as client:
            streamed = client.post(CHAT, STREAM).body
        upstream.answer(Json({"id": "file-1"}))
        with connect(proxy) as client:
            kept = client.post(FILES, large)

    assert streamed.startswith(bytes_of(*events[:1]))
    assert kept.json() == {"id": "file-1"}
    assert len(network.heads) == 2
    assert upstream.requests[-1].body == large


def test_a_websocket_goes_through_it(start: Start, prescribe: Prescribe) -> None:
    with SocketUpstream() as far, HttpProxy({NAME: far.port}, authorization=BASIC) as network:
        prescribe(network.url(LOGIN))
        with open_socket(start(PLAIN, **PLAIN_SETTINGS)) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"

    assert len(network.heads) == 1
    assert far.header("Proxy-Authorization") == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio has no TLS within TLS there")
def test_a_proxy_that_is_spoken_to_over_tls_opens_a_tunnel(tmp_path: Path, start: Start, prescribe: Prescribe) -> None:
    with TlsUpstream(tmp_path, hosts=(NAME, "127.0.0.1")) as far:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(far.certificate, far.certificate.with_name("key.pem"))
        with HttpProxy({NAME: port_of(far)}, authorization=BASIC, tls=context) as network:
            prescribe(network.url(LOGIN))
            proxy = start(SAFE, openai_ca_file=str(far.certificate))
            reply, refused = ask(proxy), proxy.services.try_key(UPSTREAM_KEY)
            untrusting = ask(start(SAFE))

    assert (reply.status, refused) == (200, None)
    check_is_the_proxys(untrusting, "network_proxy_unreachable", "HTTPS_PROXY")


# --- it does not ------------------------------------------------------------------------------------------------------

REFUSALS = {
    "wants a login": (WANTS_LOGIN, "network_proxy_auth"),
    "forbids": (answered(403, f"Blocked for {LOGIN}"), "network_proxy_refused"),
    "finds nothing": (answered(502, "Bad Gateway"), "network_proxy_refused"),
    "has an odd status": (answered(999, "Odd"), "network_proxy_refused"),
    "closes": (b"", "network_proxy_refused"),
    "closes within its head": (b"HTTP/1.1 200 Conn", "network_proxy_refused"),
    "speaks no HTTP": (b"\x05\x00garbage\r\n\r\n", "network_proxy_refused"),
    "quotes the login": (f"http://{LOGIN}@host {BASIC}\r\n\r\n".encode(), "network_proxy_refused"),
}


@pytest.mark.parametrize(("answer", "code"), REFUSALS.values(), ids=REFUSALS)
def test_a_tunnel_that_is_not_opened_is_the_proxys_fault(
    start: Start, prescribe: Prescribe, answer: bytes, code: str
) -> None:
    log_file = start_logging()
    with HttpProxy(answer=answer) as network:
        prescribe(network.url(LOGIN))
        proxy = start(SAFE)
        log_file.hide(proxy.services.every_secret)
        for way in WAYS:
            check_is_the_proxys(ask(proxy, way), code, "HTTPS_PROXY")
        status, error = refusal_of(proxy)
        said = proxy.services.try_key(UPSTREAM_KEY) or ""

    assert (status, error["code"]) == (502, code)
    for secret in SECRETS:
        assert secret not in str(error) + said + written() + repr(proxy.services.health.current)
    assert "OPENAI_BASE_URL" not in error["message"] + said
    assert "(HTTPS_PROXY)" in said


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        REFUSALS[name]
        for name in ("wants a login", "closes", "closes within its head", "speaks no HTTP", "quotes the login")
    ],
)
def test_a_plain_request_that_is_not_passed_on_is_the_proxys_fault(
    start: Start, prescribe: Prescribe, answer: bytes, code: str
) -> None:
    with HttpProxy(answer=answer) as network:
        prescribe(network.url(LOGIN))
        proxy = start(PLAIN, **PLAIN_SETTINGS)
        for way in WAYS:
            check_is_the_proxys(ask(proxy, way), code, "HTTP_PROXY")
        status, error = refusal_of(proxy)
        said = proxy.services.try_key(UPSTREAM_KEY) or ""

    assert (status, error["code"]) == (502, code)
    assert "(HTTP_PROXY)" in said
    assert "OPENAI_BASE_URL" not in error["message"] + said
    for secret in SECRETS:
        assert secret not in str(error) + said


@pytest.mark.parametrize("status", [400, 403, 502])
@pytest.mark.parametrize(
    "body",
    [
        f"<p>http://{LOGIN}@proxy {BASIC}</p>".encode(),
        f'{{"error": {{"message": "for http://{LOGIN}@proxy and {BASIC}", "code": null}}}}'.encode(),
        b'{"error": {"message": "http:\\/\\/anna:Win\\/ter\\u00237741\\u0040x@proxy"}, "n": [1]}',
        '{"error": {"message": "für http://anna:Winter7741@proxy"}}'.encode("latin-1"),
        '{"error": {"message": "for http://anna:Winter7741@proxy"}}'.encode("utf-16"),
    ],
    ids=["page", "JSON", "escaped JSON", "Latin-1", "UTF-16"],
)
@pytest.mark.parametrize("forward", [False, True], ids=["own key", "caller's key"])
def test_an_answer_of_the_proxys_own_is_passed_on_without_the_login(
    start: Start, prescribe: Prescribe, status: int, body: bytes, forward: bool
) -> None:
    kind = b"application/json" if body.startswith(b"{") else b"text/html"
    answer = answered(status, "Odd", body).replace(b"text/html", kind)
    with HttpProxy(answer=answer) as network:
        prescribe(network.url(LOGIN))
        proxy = start(PLAIN, **PLAIN_SETTINGS, proxy_forward_auth_header=forward)
        reply = ask(proxy, CHAT, *(["Authorization: Bearer sk-callers-own-key"] if forward else []))

    assert reply.status == status
    assert reply.json()["error"]["message"]
    for secret in SECRETS:
        assert secret not in reply.body.decode("utf-8", "replace").replace("\0", "")


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("body", [b"<p>Please log in</p>", b"", b"\xff"], ids=["page", "empty", "no text"])
def test_a_page_in_place_of_the_models_says_nothing_of_a_key(
    start: Start, prescribe: Prescribe, kind: str, body: bytes
) -> None:
    with HttpProxy(answer=answered(200, "OK", body).replace(b"text/html", kind.encode())) as network:
        prescribe(network.url(LOGIN))
        said = start(PLAIN, **PLAIN_SETTINGS).services.try_key(UPSTREAM_KEY)

    assert "lists no models" in (said or "")


def test_an_error_within_a_stream_is_passed_on_without_the_login(
    upstream: Fresh, start: Start, prescribe: Prescribe
) -> None:
    upstream.answer(Sse([{"error": {"message": f"http://{LOGIN}@proxy refused", "code": "odd"}}]))
    with HttpProxy({NAME: upstream.port}) as network:
        prescribe(network.url(LOGIN))
        with connect(start(PLAIN, **PLAIN_SETTINGS)) as client:
            told = client.post(CHAT, STREAM).body.decode()

    assert "@proxy refused" in told
    for secret in SECRETS:
        assert secret not in told


def test_a_proxy_that_is_not_there_is_named(start: Start, prescribe: Prescribe) -> None:
    port = free_port()
    prescribe(f"http://{LOGIN}@127.0.0.1:{port}")
    proxy = start(SAFE)
    reply = ask(proxy)

    check_is_the_proxys(reply, "network_proxy_unreachable", "HTTPS_PROXY")
    assert f"127.0.0.1:{port}" in reply.error["message"]
    assert f"127.0.0.1:{port} (HTTPS_PROXY)" in (proxy.services.try_key(UPSTREAM_KEY) or "")


def test_a_proxy_whose_name_nobody_knows_is_named(start: Start, prescribe: Prescribe) -> None:
    prescribe(f"http://{LOGIN}@proxy.invalid:3128")
    reply = ask(start(SAFE))

    check_is_the_proxys(reply, "network_proxy_unreachable", "HTTPS_PROXY")
    assert "proxy.invalid:3128" in reply.error["message"]


def test_a_proxy_that_says_nothing_is_named_after_5_seconds(start: Start, prescribe: Prescribe) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        prescribe(f"http://{LOGIN}@127.0.0.1:{silent.getsockname()[1]}")
        reply = ask(start(SAFE))

    check_is_the_proxys(reply, "network_proxy_unreachable", "HTTPS_PROXY")


@pytest.mark.parametrize(
    "value",
    [
        *("http://anna:p@ss:7741@host:notaport", "http://", "http://anna:77\n41@host:1", "socks5://anna:7741@host:1"),
        *("anna://7741", "http://anna:7741@[::1", "http://anna:7741@h\x07st"),
    ],
)
def test_a_value_that_is_no_address_is_an_error_and_no_fault_of_ours(
    start: Start, prescribe: Prescribe, value: str
) -> None:
    prescribe(value)
    proxy = start(SAFE)
    said = proxy.services.try_key(UPSTREAM_KEY) or ""

    for reply in ask_at_once(proxy, WAYS):
        check_is_the_proxys(reply, "network_proxy_unreachable", "HTTPS_PROXY")
    status, error = refusal_of(proxy)
    assert (status, error["code"]) == (502, "network_proxy_unreachable")
    assert "HTTPS_PROXY" in said
    assert "7741" not in said


@pytest.mark.parametrize("password", ["pässwört", "日本語", "%FF%00", "a b", "%0d%0aX-Evil:1", "x" * 5_000])
def test_an_odd_password_is_handed_to_the_proxy(
    upstream: Fresh, start: Start, prescribe: Prescribe, password: str
) -> None:
    with HttpProxy({NAME: upstream.port}) as network:
        prescribe(network.url(f"anna:{password}"))
        reply = ask(start(PLAIN, **PLAIN_SETTINGS))

    assert reply.status == 200
    assert "X-Evil" not in network.heads[0]
    assert network.heads[0].count("Proxy-Authorization: Basic ") == 1


# --- behind the tunnel it is the upstream -----------------------------------------------------------------------------


def test_a_certificate_nobody_vouches_for_is_the_upstreams(
    safe_upstream: TlsUpstream, start: Start, prescribe: Prescribe
) -> None:
    with HttpProxy({NAME: port_of(safe_upstream)}) as network:
        prescribe(network.url(LOGIN))
        proxy = start(SAFE)
        reply = ask(proxy)
        said = proxy.services.try_key(UPSTREAM_KEY) or ""

    assert (reply.status, reply.error["code"]) == (502, "upstream_tls_error")
    for text in (reply.error["message"], said):
        assert "certificate verify failed" in text
        assert "OPENAI_CA_FILE" in text


def test_a_way_that_ends_at_the_handshake_names_both(start: Start, prescribe: Prescribe) -> None:
    with HttpProxy(answer=ESTABLISHED) as network:
        prescribe(network.url(LOGIN))
        reply = ask(start(SAFE))

    assert (reply.status, reply.error["code"]) in ((502, "upstream_protocol_error"), (502, "upstream_tls_error"))
    assert "OPENAI_BASE_URL" not in reply.error["message"]


def test_a_silent_upstream_behind_it_is_a_timeout(upstream: Fresh, start: Start, prescribe: Prescribe) -> None:
    upstream.answer(SilentBeforeHeaders())
    with HttpProxy({NAME: upstream.port}) as network:
        prescribe(network.url(LOGIN))
        reply = ask(start(PLAIN, openai_timeout=0.4, **PLAIN_SETTINGS))

    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


# --- this computer is never asked through it --------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "0x7f000001", "0.0.0.0", "[::ffff:127.0.0.1]"])
@pytest.mark.parametrize("way", WAYS)
def test_an_upstream_on_this_computer_is_asked_directly(
    upstream: Fresh, start: Start, monkeypatch: pytest.MonkeyPatch, way: str, host: str
) -> None:
    with HttpProxy(answer=answered(502, "Bad Gateway")) as network:
        for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, network.url(LOGIN))
        proxy = start(f"http://{host}:{upstream.port}/v1", **PLAIN_SETTINGS)
        reply = ask(proxy, way)
        upstream.answer(Json({"object": "list", "data": []}))
        refused = proxy.services.try_key(UPSTREAM_KEY)

    assert reply.json() == completion("Hello")
    assert refused is None
    assert network.heads == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "app.localhost", "localhost."])
def test_an_odd_name_of_this_computer_goes_to_no_other_one(start: Start, prescribe: Prescribe, host: str) -> None:
    """The HTTP client or the system may not know it, and then says so."""
    with HttpProxy(answer=answered(502, "Bad Gateway")) as network:
        prescribe(network.url(LOGIN))
        reply = ask(start(f"http://{host}:{free_port()}/v1", **PLAIN_SETTINGS))

    assert reply.status == 502
    assert host in reply.error["message"]
    assert network.heads == []


def test_a_stream_an_upload_and_a_websocket_on_this_computer_go_directly(
    upstream: Fresh, start: Start, prescribe: Prescribe
) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo")))
    with ExitStack() as stack:
        network = stack.enter_context(HttpProxy(answer=answered(502, "Bad Gateway")))
        far = stack.enter_context(SocketUpstream())
        prescribe(network.url(LOGIN))
        with connect(start(upstream.base_url)) as client:
            assert client.post(CHAT, STREAM).status == 200
            assert client.post(FILES, b"x" * 1_000_000).status == 200
        with open_socket(start(far.base_url)) as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"

    assert network.heads == []
