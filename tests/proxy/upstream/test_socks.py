"""Requests through a network's SOCKS server: how they get there, who looks names up, and whose fault it is if not."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fakes.asking import BODY, CHAT, FILES, WAYS, ask
from fakes.opening import open_socket
from fakes.ports import free_port
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh, connect
from fakes.socket_upstream import SocketUpstream
from fakes.socks_proxy import SocksProxy
from fakes.streaming import STREAM, bytes_of
from proxy.upstream import dial

pytest.importorskip("cryptography", reason="makes the certificate; it comes with the keyring, on Linux only")

from fakes.tls_upstream import TlsUpstream

NAME = "upstream.invalid"  # it exists nowhere: who reaches it had the SOCKS server look it up
ADDRESS, LONG_ADDRESS = "192.0.2.7", "2001:db8::7"  # kept for documentation: nobody has them
PLAIN_SETTINGS = {"proxy_allow_http_upstream": True, "openai_max_retries": 0}
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

Start = Callable[..., RunningProxy]
Prescribe = Callable[[str], None]


@pytest.fixture
def prescribe(monkeypatch: pytest.MonkeyPatch) -> Prescribe:
    """Return a function that makes the environment prescribe a proxy for every address."""
    return lambda url: monkeypatch.setenv("ALL_PROXY", url)


@pytest.fixture(scope="module")
def safe_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsUpstream]:
    with TlsUpstream(tmp_path_factory.mktemp("certificate"), hosts=(NAME, ADDRESS)) as running:
        yield running


# --- it works ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["socks5h", "socks4a", "SOCKS5H"])
@pytest.mark.parametrize("way", WAYS)
def test_the_server_looks_the_name_up(
    upstream: Fresh, start: Start, prescribe: Prescribe, way: str, scheme: str
) -> None:
    with SocksProxy({NAME: upstream.port}) as network:
        prescribe(network.url(scheme))
        reply = ask(start(f"http://{NAME}:8080/v1", **PLAIN_SETTINGS), way)

    assert reply.json() == completion("Hello")
    assert network.asked == [(NAME, 8080)]
    assert upstream.request.target == way  # as without a proxy: it does not answer in its own name


@pytest.mark.parametrize("scheme", ["socks5", "socks4"])
def test_the_proxy_looks_the_name_up_where_the_scheme_says_so(start: Start, prescribe: Prescribe, scheme: str) -> None:
    with SocksProxy({NAME: free_port()}) as network:
        prescribe(network.url(scheme))
        reply = ask(start(f"http://{NAME}/v1", **PLAIN_SETTINGS))

    assert (reply.status, reply.error["code"]) == (502, "upstream_dns_error")
    assert network.asked == []


@pytest.mark.parametrize(
    ("scheme", "host"),
    [
        ("socks5", ADDRESS),
        ("socks5h", ADDRESS),
        ("socks4", ADDRESS),
        ("socks5", f"[{LONG_ADDRESS}]"),
        ("socks5h", f"[{LONG_ADDRESS}]"),
    ],
)
def test_an_address_is_asked_for_as_it_is(
    upstream: Fresh, start: Start, prescribe: Prescribe, scheme: str, host: str
) -> None:
    with SocksProxy({host.strip("[]"): upstream.port}) as network:
        prescribe(network.url(scheme))
        reply = ask(start(f"http://{host}/v1", **PLAIN_SETTINGS))

    assert reply.json() == completion("Hello")
    assert network.asked == [(host.strip("[]"), 80)]


@pytest.mark.parametrize(("scheme", "host"), [("socks5h", NAME), ("socks5", ADDRESS), ("socks4a", NAME)])
def test_tls_is_spoken_with_the_upstream_behind_it(
    safe_upstream: TlsUpstream, start: Start, prescribe: Prescribe, scheme: str, host: str
) -> None:
    with SocksProxy({host: safe_upstream.port}) as network:
        prescribe(network.url(scheme))
        with connect(start(f"https://{host}/v1", openai_ca_file=str(safe_upstream.certificate))) as client:
            replies = [client.post(CHAT, BODY) for _ in range(2)]

    assert [reply.json()["choices"][0]["message"]["content"] for reply in replies] == ["Hello over TLS"] * 2
    assert network.asked == [(host, 443)]  # the connection is used again


@pytest.mark.parametrize(
    ("typed", "login"),
    [
        ("anna:pass", (b"anna", b"pass")),
        ("an%40na:p%3Aa%2Fs%25s", (b"an@na", b"p:a/s%s")),
        ("anna:p@ss:w/o#r?d", (b"anna", b"p@ss:w/o#r?d")),
        ("anna:%00 x", (b"anna", b"\0 x")),
        (f"anna:{'x' * 255}", (b"anna", b"x" * 255)),
    ],
)
def test_the_login_is_percent_decoded(
    upstream: Fresh, start: Start, prescribe: Prescribe, typed: str, login: tuple[bytes, bytes]
) -> None:
    with SocksProxy({NAME: upstream.port}, login=login) as network:
        prescribe(network.url("socks5h", typed))
        reply = ask(start(f"http://{NAME}/v1", **PLAIN_SETTINGS))

    assert reply.json() == completion("Hello")
    assert network.logins == [login]
    assert not any(name.startswith("proxy-") for name, _ in upstream.request.headers)


def test_a_stream_an_upload_and_a_websocket_go_through_it(upstream: Fresh, start: Start, prescribe: Prescribe) -> None:
    events = completion_chunks("Hel", "lo")
    upstream.answer(Sse(events))
    large = b"x" * 1_000_000
    with SocketUpstream() as far, SocksProxy({NAME: upstream.port, ADDRESS: far.port}) as network:
        prescribe(network.url("socks5h"))
        with connect(start(f"http://{NAME}/v1", **PLAIN_SETTINGS)) as client:
            streamed = client.post(CHAT, STREAM).body
            upstream.answer(Json({"id": "file-1"}))
            kept = client.post(FILES, large)
        with open_socket(start(f"http://{ADDRESS}/v1", **PLAIN_SETTINGS)) as opened:
            opened.send("hello")
            assert opened.recv(timeout=5) == "hello"

    assert streamed.startswith(bytes_of(*events[:1]))
    assert kept.json() == {"id": "file-1"}
    assert upstream.requests[-1].body == large
    assert set(network.asked) == {(NAME, 80), (ADDRESS, 80)}


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_an_upstream_on_this_computer_is_asked_directly(
    upstream: Fresh, start: Start, monkeypatch: pytest.MonkeyPatch, scheme: str, host: str
) -> None:
    with SocksProxy() as network:
        for variable in VARIABLES:
            monkeypatch.setenv(variable, network.url(scheme))
        reply = ask(start(f"http://{host}:{upstream.port}/v1", **PLAIN_SETTINGS))

    assert reply.json() == completion("Hello")
    assert network.asked == []


# --- it does not ------------------------------------------------------------------------------------------------------


WRONG = "anna:wr7741ng"
REFUSED, AUTH = "network_proxy_refused", "network_proxy_auth"


@pytest.mark.parametrize(
    ("server", "scheme", "typed", "code"),
    [
        ({"login": (b"anna", b"right")}, "socks5h", WRONG, AUTH),
        ({"login": (b"anna", b"right")}, "socks5", WRONG, AUTH),
        ({"login": (b"anna", b"right")}, "socks5h", "", AUTH),  # it takes nobody without one
        ({"reply": 2}, "socks5h", WRONG, REFUSED),  # by its rules
        ({"reply": 4}, "socks5", "", REFUSED),  # it does not reach the host
        ({"reply": 5}, "socks5h", WRONG, REFUSED),  # the host has refused it
        ({"reply": 200}, "socks5h", "", REFUSED),  # what nobody knows
        ({"reply": 1}, "socks4a", "", REFUSED),
        ({"reply": 1}, "socks4", WRONG, REFUSED),
        ({"answer": b""}, "socks5h", WRONG, REFUSED),  # it hangs up
        ({"answer": b""}, "socks4a", "", REFUSED),
        ({"answer": b"\5"}, "socks5", WRONG, REFUSED),  # it breaks off
        ({"answer": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, "socks5h", "", REFUSED),  # it is another kind of proxy
        ({"answer": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, "socks4", WRONG, REFUSED),
    ],
)
def test_what_fails_there_is_told_as_the_servers(
    start: Start, prescribe: Prescribe, server: dict[str, Any], scheme: str, typed: str, code: str
) -> None:
    with SocksProxy(**server) as network:
        prescribe(network.url(scheme, typed))
        reply = ask(start(f"https://{ADDRESS}/v1", openai_max_retries=0))

    said = reply.error["message"]
    assert (reply.status, reply.error["code"]) == (502, code)
    assert f"127.0.0.1:{network.port} (ALL_PROXY)" in said
    assert "OPENAI_BASE_URL" not in said
    for secret in ("anna", "7741"):
        assert secret not in said


def test_a_server_that_says_nothing_is_named(
    start: Start, prescribe: Prescribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dial, "CONNECT_LIMIT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        prescribe(f"socks5h://127.0.0.1:{silent.getsockname()[1]}")
        reply = ask(start(f"http://{NAME}/v1", **PLAIN_SETTINGS))

    assert (reply.status, reply.error["code"]) == (502, "network_proxy_unreachable")
    assert "in time" in reply.error["message"]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_a_server_that_is_not_there_is_named(start: Start, prescribe: Prescribe, scheme: str) -> None:
    prescribe(f"{scheme}://anna:wr7741ng@127.0.0.1:{free_port()}")
    reply = ask(start(f"http://{ADDRESS}/v1", **PLAIN_SETTINGS))

    assert (reply.status, reply.error["code"]) == (502, "network_proxy_unreachable")
    assert "ALL_PROXY" in reply.error["message"]
    assert "7741" not in reply.error["message"]
