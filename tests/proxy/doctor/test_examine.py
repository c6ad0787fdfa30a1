"""The checks side by side: none takes the others away, none is waited for longer than it may take."""

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted
from fakes.memory_keychain import MemoryKeychain
from fakes.shared_upstream import Fresh
from proxy import paths, running
from proxy.doctor import examine as doctor
from proxy.doctor.finding import Check, Examination, Finding
from proxy.doctor.keys import check_keyring
from proxy.doctor.program import check_in_force, check_running, check_tray
from proxy.doctor.report import report_of
from proxy.errors.keyring import KeyringAbsent, KeyringFailure, KeyringLocked, KeyringSilent
from proxy.errors.proxy_error import ProxyError
from proxy.identity import __version__
from proxy.services import Services, assemble

REMOTE = {"openai_base_url": "https://no-such-name.invalid/v1"}


def services(keychain: MemoryKeychain | None = None, **settings: object) -> Services:
    held = keychain or MemoryKeychain()
    return assemble(settings, keychain=lambda: held)


@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), OSError(5, "I/O error"), ProxyError("it is so"), KeyError("x")]
)
def test_a_check_that_breaks_is_a_finding_and_no_traceback(error: Exception) -> None:
    def look(_: Examination) -> Finding:
        raise error

    found = doctor.run(Check("Broken", look), Examination(services()))

    assert (found.title, found.is_good) == ("Broken", False)
    assert found.detail
    assert "Traceback" not in found.detail


def test_a_check_that_hangs_is_told_and_the_others_are_not_waited_for_in_turn() -> None:
    ended = threading.Event()

    def hang(_: Examination) -> Finding:
        ended.wait(30)
        return Finding("Hangs", is_good=True, detail="late")

    examination, began = Examination(services()), time.monotonic()
    checks = [Check(f"Hangs {number}", hang, 0.3) for number in range(5)]
    begun = [doctor.begin(check, examination) for check in checks]
    found = [doctor.await_finding(check, one, began) for check, one in zip(checks, begun, strict=True)]
    took_s = time.monotonic() - began
    ended.set()

    assert [finding.detail for finding in found] == ["no answer within 0 s"] * 5
    assert took_s < 1.4  # one after the other they would take 1.5 s
    assert all(one.result(5).detail == "late" for one in begun)


def test_every_part_is_named_and_the_json_holds_them_all(upstream: Fresh) -> None:
    found = doctor.examine(services(openai_base_url=upstream.base_url))

    parts = {"Running proxy", "Settings in force", "Tray icon", "Keyring", "Upstream", "Network proxy", "Clock"}
    parts |= {"Disk", "Start at login", "Connected clients", "Desktop", "Folders"}
    assert parts <= {each.title for each in found}
    assert json.loads(doctor.as_text(found, as_json=True))[0].keys() == {"title", "is_good", "detail", "steps"}


def test_keys_and_logins_are_taken_out_of_findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:a-secret-login@127.0.0.1:9")
    parts = services(openai_api_key="a-very-secret-key-of-mine")
    said = "a-very-secret-key-of-mine at http://me:a-secret-login@127.0.0.1:9"

    found = doctor.clean(Finding("Any", is_good=False, detail=said), parts)

    assert "secret" not in found.detail


# --- the keyring ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [KeyringAbsent(), KeyringSilent("for 5 s"), KeyringFailure("it broke")])
def test_a_keyring_in_trouble_is_told_where_a_key_is_needed_from_it(trouble: KeyringFailure) -> None:
    needed = check_keyring(Examination(services(MemoryKeychain(trouble), **REMOTE)))
    not_needed = check_keyring(Examination(services(MemoryKeychain(trouble), **REMOTE, openai_api_key="from-outside")))

    assert not needed.is_good
    assert not_needed.is_good
    assert str(trouble) in needed.detail


def test_a_locked_keyring_is_named_with_its_kind() -> None:
    found = check_keyring(Examination(services(MemoryKeychain(KeyringLocked()), **REMOTE)))

    assert not found.is_good
    assert found.detail.startswith("memory, locked")


def test_an_open_keyring_is_named_with_its_kind() -> None:
    assert check_keyring(Examination(services())) == Finding("Keyring", is_good=True, detail="memory, open")


# --- the running proxy ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    file = tmp_path_factory.mktemp("settings") / "settings.toml"
    with Hosted(settings_file=file, openai_base_url="http://127.0.0.1:9/v1") as proxy:
        yield proxy


@pytest.fixture
def published(hosted: Hosted) -> Iterator[Hosted]:
    """Publish the proxy in this test's folder."""
    info = running.InstanceInfo(os.getpid(), hosted.root_url, hosted.dashboard.token)
    paths.runtime_dir().mkdir(parents=True, exist_ok=True)
    with running.published(paths.runtime_dir() / "serve-1.json", info):
        yield hosted


def looking_beside(proxy: Hosted, **settings: Any) -> Examination:
    """Return an examination by another process, which reads the same settings file."""
    return Examination(assemble(settings, proxy.services.store.path, lambda: MemoryKeychain()))


def test_a_running_proxy_is_named_with_port_and_version(published: Hosted) -> None:
    found = check_running(looking_beside(published, proxy_port=published.address.port))

    assert found.is_good
    assert found.detail == f"process {os.getpid()} answers at port {published.address.port}, version {__version__}"


def test_one_of_another_version_is_told(published: Hosted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.doctor.program.__version__", "99.0")

    found = check_running(looking_beside(published, proxy_port=published.address.port))

    assert not found.is_good
    assert f"version {__version__}; this program is 99.0" in found.detail


def test_settings_that_are_not_in_force_yet_are_told_and_those_of_the_command_line_are_no_problem(
    published: Hosted,
) -> None:
    published.services.store.update(openai_timeout=20)
    same = check_in_force(looking_beside(published))
    published.services.store.path.write_text("openai_timeout = 30\nopenai_max_retries = 1\n")
    late = check_in_force(looking_beside(published))

    assert same.is_good
    assert "OPENAI_BASE_URL is http://127.0.0.1:9/v1 (command line)" in same.detail
    assert "OPENAI_TIMEOUT" not in same.detail
    assert not late.is_good
    assert "OPENAI_TIMEOUT is 20.0, but 30.0 in the file" in late.detail
    assert "OPENAI_MAX_RETRIES" in late.detail


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("OPENAI_TIMEOUT", "44", "OPENAI_TIMEOUT is "),
        ("PROXY_REQUIRE_API_KEY", "true", "PROXY_REQUIRE_API_KEY is "),
        ("OPENAI_MAX_RETRIES", "7", "but 7 here (environment)"),
    ],
)
def test_another_environment_than_the_running_proxys_is_a_problem(
    published: Hosted, monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)

    found = check_in_force(looking_beside(published))

    assert not found.is_good
    assert words in found.detail
    assert "start both in the same way" in found.detail


def test_another_settings_file_than_the_running_proxys_is_a_problem(published: Hosted, tmp_path: Path) -> None:
    found = check_in_force(Examination(assemble({}, tmp_path / "other.toml", lambda: MemoryKeychain())))

    assert not found.is_good
    assert f"another settings file, {published.services.store.path}" in found.detail


def test_what_the_command_line_has_chosen_is_told_as_chosen(published: Hosted) -> None:
    published.services.store.path.write_text("openai_timeout = 20\n")
    published.services.store.update(openai_timeout=21)

    found = check_in_force(looking_beside(published))

    assert found.is_good
    assert found.detail.startswith("as the settings file says, but for what was chosen when it was started: process")


@pytest.mark.parametrize(
    ("tray", "is_good", "said"),
    [
        ({"backend": "sni", "reason": "shown it is", "is_shown": True}, True, "shown (sni: shown it is)"),
        ({"backend": "sni", "reason": "no panel", "is_shown": False}, False, "not shown (sni): no panel"),
        ({"backend": "none", "reason": "it was turned off", "is_shown": False, "is_off": True}, True, "turned off"),
    ],
)
def test_the_tray_says_whether_its_icon_is_shown_and_why_not(
    published: Hosted, monkeypatch: pytest.MonkeyPatch, tray: dict[str, object], is_good: bool, said: str
) -> None:
    told = json.dumps({**json.loads(published.dashboard.report()), "tray": tray})
    monkeypatch.setitem(vars(published.dashboard), "report", lambda: told)

    found = check_tray(looking_beside(published))

    assert found.is_good is is_good
    assert said in found.detail


def test_the_report_holds_no_key_and_is_for_those_alone_who_know_the_token(hosted: Hosted) -> None:
    held = assemble({"openai_api_key": "a-key-that-is-no-report", "proxy_api_keys": "a-proxy-key-likewise"})
    from_stranger = httpx2.post(f"{hosted.root_url}/_tray/report", trust_env=False)
    wrong = running.InstanceInfo(os.getpid(), hosted.root_url, "another token")

    assert "a-key" not in report_of(held.store)
    assert "a-proxy" not in report_of(held.store)
    assert from_stranger.status_code == 404
    assert running.ask(wrong, "report") is None
    assert running.ask(replace(wrong, token=hosted.dashboard.token), "report") == hosted.dashboard.report()
