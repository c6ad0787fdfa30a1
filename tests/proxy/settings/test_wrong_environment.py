"""An environment that is wrong, or meant for the tools: it neither takes the program away nor chooses an upstream."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.leaks import know
from proxy.errors.configuration import EnvironmentBroken, SettingError
from proxy.settings.file_text import FileState
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]
OWN_KEY = "op-" + "k" * 43


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:8000/v1", "8000"),
        ("http://localhost:8000", "8000"),
        ("http://[::1]:8123/v1/chat/completions", "8123"),
        ("http://127.0.0.1", "80"),
    ],
)
def test_its_own_address_is_meant_for_the_tools_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile, url: str, port: str
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    monkeypatch.setenv("PROXY_PORT", port)

    store = SettingsStore(write('openai_base_url = "https://gateway.example/v1"\n'))

    assert store.chosen.openai_base_url == "https://gateway.example/v1"
    assert store.origin("openai_base_url") == "settings file"
    assert [sentence.partition(" ")[0] for sentence in store.passed_over] == ["OPENAI_BASE_URL"]


def test_its_own_address_on_the_command_line_still_stops_the_start(path: Path) -> None:
    with pytest.raises(SettingError, match="it would call itself"):
        SettingsStore(path, {"openai_base_url": "http://127.0.0.1:8000"})


def test_a_port_that_moves_onto_the_upstreams_chooses_no_other_upstream(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1234/v1")
    store = SettingsStore(path)

    with pytest.raises(SettingError, match="it would call itself"):
        store.update(proxy_port=1234)

    assert store.chosen.openai_base_url == "http://127.0.0.1:1234/v1"


def test_a_key_of_this_proxy_is_no_upstreams(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    know(OWN_KEY)
    monkeypatch.setenv("OPENAI_API_KEY", OWN_KEY)

    store = SettingsStore(path)

    assert store.chosen.openai_api_key is None
    assert [sentence.partition(" ")[0] for sentence in store.passed_over] == ["OPENAI_API_KEY"]


@pytest.mark.parametrize("key", ["op-short", "sk-" + "k" * 43, "anything"])
def test_any_other_key_counts(monkeypatch: pytest.MonkeyPatch, path: Path, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)

    held = SettingsStore(path).chosen.openai_api_key

    assert held is not None
    assert held.get_secret_value() == key


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENAI_BASE_URL", "http://gateway.example"),
        ("OPENAI_BASE_URL", "not an address"),
        ("PROXY_PORT", "eighty"),
        ("PROXY_REQUIRE_API_KEY", "perhaps"),
        ("OPENAI_CA_FILE", "/not/there.pem"),
        ("PROXY_HOST", "0.0.0.0"),
    ],
)
def test_who_starts_anyway_relays_nothing_and_says_which_variable_is_wrong(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    path = write("openai_timeout = 7\n")
    with pytest.raises(SettingError, match=variable):
        SettingsStore(path)

    store = SettingsStore(path, starts_anyway=True)

    assert not store.is_known
    assert variable in (store.warning or "")
    assert (store.warning or "").startswith("The environment is wrong")
    assert store.current.openai_base_url.endswith(".invalid/v1")
    assert store.current.proxy_host == "127.0.0.1"
    with pytest.raises(EnvironmentBroken, match=variable):
        _ = store.chosen


def test_no_file_and_no_click_takes_the_place_of_a_wrong_variable(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "ftp://gateway.example")
    path = write("openai_timeout = 7\n")
    store = SettingsStore(path, starts_anyway=True)

    with pytest.raises(SettingError, match="OPENAI_BASE_URL"):
        store.update(openai_timeout=8)
    store.reload(FileState.of(path))

    assert not store.is_known
    assert "OPENAI_BASE_URL" in (store.warning or "")
    assert path.read_text() == "openai_timeout = 7\n"


def test_a_settings_file_that_is_not_there_is_not_told_in_place_of_a_wrong_variable(
    monkeypatch: pytest.MonkeyPatch, path: Path
) -> None:
    monkeypatch.setenv("PROXY_PORT", "many")
    store = SettingsStore(path, starts_anyway=True)

    store.reload(FileState.of(path))

    assert "PROXY_PORT is 'many'" in (store.warning or "")


def test_a_wrong_option_of_the_command_line_stops_everybody(path: Path) -> None:
    with pytest.raises(SettingError, match="PROXY_PORT"):
        SettingsStore(path, {"proxy_port": 99999}, starts_anyway=True)
