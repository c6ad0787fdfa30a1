"""KDE's wallet: the bus can start it, but does not know that it is a Secret Service."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from background import running
from fakes.environment import ROOT
from fakes.secret_service import OtherProcess
from proxy.errors.keyring import KeyringAbsent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the session bus is Linux's")

BUS = """<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <servicedir>{services}</servicedir>
  <policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""
WALLET = f"[D-BUS Service]\nName=org.kde.kwalletd5\nExec={sys.executable} -m fakes.wallet\n"


@pytest.fixture
def services(tmp_path: Path) -> Path:
    """Return the folder that says what the bus may start."""
    folder = tmp_path / "services"
    folder.mkdir()
    return folder


@pytest.fixture
def keychain(
    empty_computer: Path, services: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OtherProcess]:
    """Return the system's keychain, on a bus on which nothing runs."""
    configuration = tmp_path / "bus.conf"
    configuration.write_text(BUS.format(services=services))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
    command = ("dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address={fd}")
    with (
        running(*command) as (_, address),
        OtherProcess({**os.environ, "DBUS_SESSION_BUS_ADDRESS": address}) as keychain,
    ):
        yield keychain


def test_a_wallet_that_does_not_run_yet_is_woken_and_read(keychain: OtherProcess, services: Path) -> None:
    (services / "org.kde.kwalletd5.service").write_text(WALLET)

    assert keychain.read("upstream") is None


def test_without_a_wallet_there_is_no_keyring(keychain: OtherProcess) -> None:
    with pytest.raises(KeyringAbsent):
        keychain.read("upstream")


def test_a_wallet_that_cannot_be_started_is_none(keychain: OtherProcess, services: Path) -> None:
    (services / "org.kde.kwalletd5.service").write_text("[D-BUS Service]\nName=org.kde.kwalletd5\nExec=/bin/false\n")

    with pytest.raises(KeyringAbsent):
        keychain.read("upstream")
