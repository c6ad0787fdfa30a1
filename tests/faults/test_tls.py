"""The fault table: a certificate nobody vouches for is refused, and trusted once the user names its file."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.asking import WAYS, ask
from fakes.running_proxy import RunningProxy

pytest.importorskip("cryptography", reason="makes the certificate; it comes with the keyring, on Linux only")

from fakes.tls_upstream import TlsUpstream


@pytest.fixture
def tls_upstream(tmp_path: Path) -> Iterator[TlsUpstream]:
    with TlsUpstream(tmp_path) as server:
        yield server


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_nobody_vouches_for_is_refused_and_the_setting_named(
    tls_upstream: TlsUpstream, start: Callable[..., RunningProxy], way: str
) -> None:
    reply = ask(start(tls_upstream.base_url), way)

    assert (reply.status, reply.error["code"]) == (502, "upstream_tls_error")
    assert "OPENAI_CA_FILE" in reply.error["message"]
    assert "certificate" in reply.error["message"].lower()


@pytest.mark.core
@pytest.mark.parametrize("way", WAYS)
def test_a_certificate_the_user_vouches_for_is_trusted(
    tls_upstream: TlsUpstream, start: Callable[..., RunningProxy], way: str
) -> None:
    reply = ask(start(tls_upstream.base_url, openai_ca_file=str(tls_upstream.certificate)), way)

    assert reply.status == 200


def test_a_certificate_for_another_host_is_refused(tmp_path: Path, start: Callable[..., RunningProxy]) -> None:
    with TlsUpstream(tmp_path, hosts=("127.0.0.2",)) as server:
        reply = ask(start(server.base_url, openai_ca_file=str(server.certificate)))

    assert (reply.status, reply.error["code"]) == (502, "upstream_tls_error")
