"""A WebSocket whose upstream is behind TLS, as the real one is."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosedError

from fakes.http_proxy import HttpProxy
from fakes.opening import open_socket, refusal_of
from fakes.running_proxy import RunningProxy
from fakes.socket_upstream import SocketUpstream
from waiting import wait_for

pytest.importorskip("cryptography", reason="makes the certificate; it comes with the keyring, on Linux only")

from fakes.tls_upstream import write_certificate

LARGE = b"x" * 5 * 2**20


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    write_certificate(tmp_path / "certificate.pem", tmp_path / "key.pem", ("127.0.0.1", "upstream.invalid"))
    return tmp_path / "certificate.pem"


@pytest.fixture
def secure(certificate: Path) -> Iterator[SocketUpstream]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with SocketUpstream(tls=context) as running:
        yield running


@pytest.mark.core
@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_and_close_codes_go_through_tls(
    start: Callable[..., RunningProxy], secure: SocketUpstream, certificate: Path, compression: str | None
) -> None:
    proxy = start(secure.base_url, openai_ca_file=str(certificate))
    with open_socket(proxy, compression=compression) as client:
        client.send(LARGE)
        assert client.recv(timeout=20) == LARGE
        client.close(4001, "done")

    wait_for(lambda: secure.closes, "the upstream's end")
    assert secure.closes == [(4001, "done")]


@pytest.mark.core
def test_an_upstream_that_breaks_off_behind_tls_ends_the_client(
    start: Callable[..., RunningProxy], secure: SocketUpstream, certificate: Path
) -> None:
    with open_socket(start(secure.base_url, openai_ca_file=str(certificate))) as client:
        client.send("hello")
        assert client.recv(timeout=5) == "hello"
        secure.abort_all()
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=5)


def test_messages_go_through_the_networks_proxy(
    start: Callable[..., RunningProxy],
    secure: SocketUpstream,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with HttpProxy({"upstream.invalid": secure.port}) as network:
        monkeypatch.setenv("HTTPS_PROXY", network.url())
        with open_socket(start("https://upstream.invalid/v1", openai_ca_file=str(certificate))) as client:
            client.send(LARGE)

            assert client.recv(timeout=20) == LARGE
        assert network.targets == ["upstream.invalid:443"]


def test_a_certificate_nobody_vouches_for_is_refused(
    start: Callable[..., RunningProxy], secure: SocketUpstream
) -> None:
    status, error = refusal_of(start(secure.base_url))

    assert (status, error["code"]) == (502, "upstream_tls_error")
