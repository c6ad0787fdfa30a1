"""What the doctor finds, as the command line asks him: nothing has been read from the keyring before."""

import os

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy import paths, running
from proxy.doctor.computer import check_disk
from proxy.doctor.finding import Examination, Finding
from proxy.doctor.keys import check_access, check_key
from proxy.doctor.program import check_running
from proxy.errors.keyring import KeyringLocked
from proxy.services import Services, assemble


def services_with(keychain: MemoryKeychain, **settings: object) -> Services:
    return assemble(settings, keychain=lambda: keychain)


def looking_at(keychain: MemoryKeychain, **settings: object) -> Examination:
    return Examination(services_with(keychain, **settings))


@pytest.mark.parametrize(("required", "asked"), [(True, "asked for"), (False, "not asked for")])
def test_the_proxy_keys_in_the_keyring_are_counted(required: bool, asked: str) -> None:
    keychain = MemoryKeychain()
    services_with(keychain).proxy_keys.new("laptop")

    found = check_access(looking_at(keychain, proxy_require_api_key=required))

    assert found == Finding("Proxy keys", is_good=True, detail=f"1 there, {asked}")


def test_a_proxy_key_that_is_asked_for_and_missing_is_found_with_the_command_that_makes_one() -> None:
    found = check_access(looking_at(MemoryKeychain(), proxy_require_api_key=True))

    assert not found.is_good
    assert found.detail.endswith("`openai-tray-proxy proxy-key new NAME` makes one")


def test_a_locked_keyring_is_not_opened_to_count_the_proxy_keys() -> None:
    found = check_access(looking_at(MemoryKeychain(KeyringLocked())))

    assert found == Finding("Proxy keys", is_good=True, detail="0 there, not asked for")


def test_a_missing_upstream_key_is_found_with_the_ways_to_give_one() -> None:
    found = check_key(looking_at(MemoryKeychain()))

    assert not found.is_good
    for way in ("`openai-tray-proxy key set`", "the program's page", "OPENAI_API_KEY"):
        assert way in found.detail


def test_no_running_proxy_is_no_problem() -> None:
    assert check_running(looking_at(MemoryKeychain())).is_good


@pytest.mark.parametrize("port", [1, 9])
def test_a_proxy_that_does_not_answer_is_named_with_its_process(port: int) -> None:
    info = running.InstanceInfo(os.getpid(), f"http://127.0.0.1:{port}", "token")
    paths.runtime_dir().mkdir(parents=True, exist_ok=True)
    running.publish(paths.runtime_dir() / "instance.json", info)

    found = check_running(looking_at(MemoryKeychain()))

    assert not found.is_good
    assert f"process {os.getpid()} at port {port} does not answer" in found.detail


def test_a_full_disk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_disk(looking_at(MemoryKeychain())).is_good
    monkeypatch.setattr("proxy.doctor.computer.MIN_FREE_MB", 10**15)

    assert not check_disk(looking_at(MemoryKeychain())).is_good
