"""What fails of one upstream names that upstream's own settings, wherever it is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.running_proxy import RunningProxy
from fakes.tls_upstream import TlsUpstream
from fakes.two_upstreams import Desk, chat, text
from proxy.doctor.finding import Examination
from proxy.doctor.upstreams import checks_of
from proxy.errors.configuration import SettingError
from proxy.settings.store import SettingsStore
from waiting import wait_for

OWN = "ca_file of the upstream other"
VARIABLE = "OPENAI_CA_FILE"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsUpstream]:
    with TlsUpstream(tmp_path_factory.mktemp("tls")) as upstream:
        yield upstream


def sayings(proxy: RunningProxy) -> list[str]:
    """Return what is said of the other upstream: to the client, in its state, of its key, its test, and the doctor."""
    services = proxy.services
    row = services.store.current.upstreams[1]
    answered = chat(proxy, "other/m").json()["error"]["message"]
    wait_for(lambda: not services.state_of(row).is_good, "its state")
    examination = Examination(services)
    found = next(check for check in checks_of(examination) if check.title == "Upstream other").look(examination)
    tried = services.try_out(row)
    return [answered, str(services.state_of(row)), services.try_upstream(row) or "", str(tried[0]), found.detail]


def test_a_certificate_nobody_vouches_for_names_its_ca_file(
    desk: Desk, secure: TlsUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    with desk.run({"base_url": secure.base_url}) as proxy:
        told = sayings(proxy)
    assert [OWN in words and VARIABLE not in words for words in told] == [True] * 5, told
    assert VARIABLE not in caplog.text


def test_a_ca_file_that_breaks_while_the_proxy_runs_is_named_and_the_next_is_asked(
    desk: Desk, secure: TlsUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(secure.certificate.read_bytes())
    chain = {"smart": ["other/m", "default/m"]}
    with desk.run({"base_url": secure.base_url, "ca_file": str(own)}, proxy_aliases=chain) as proxy:
        own.write_text("no certificate")
        told = sayings(proxy)
        assert text(chat(proxy, "smart")) == "of the first"
    assert [OWN in words and str(own) in words and VARIABLE not in words for words in told] == [True] * 5, told
    assert VARIABLE not in caplog.text


@pytest.mark.parametrize("ca_file", ["/not/there.pem", __file__, "/"])
def test_a_wrong_ca_file_is_refused_with_the_name_of_its_upstream(desk: Desk, ca_file: str) -> None:
    store = SettingsStore(desk.folder / "settings.toml", environment={})
    with pytest.raises(SettingError, match=r"the upstream other, row 1, ca_file: the file ") as caught:
        store.update(proxy_upstreams=[{"name": "other", "base_url": "https://x", "ca_file": ca_file}])
    assert VARIABLE not in str(caught.value)
