"""Where settings come from, and which source wins."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]


def test_a_missing_file_sets_nothing(path: Path) -> None:
    store = SettingsStore(path)

    assert store.current == Settings.model_validate({})
    assert {store.origin(field) for field in Settings.model_fields} == {"default"}
    assert not path.exists()


@pytest.mark.parametrize(
    ("file", "environment", "command_line", "port", "origin"),
    [
        (None, None, None, 8000, "default"),
        (9001, None, None, 9001, "settings file"),
        (9001, "9002", None, 9002, "environment"),
        (9001, "9002", 9003, 9003, "command line"),
        (None, "9002", 9003, 9003, "command line"),
        (9001, None, 9003, 9003, "command line"),
    ],
)
def test_the_nearest_source_wins(
    monkeypatch: pytest.MonkeyPatch,
    write: WriteFile,
    file: int | None,
    environment: str | None,
    command_line: int | None,
    port: int,
    origin: str,
) -> None:
    path = write("" if file is None else f"proxy_port = {file}\n")
    if environment is not None:
        monkeypatch.setenv("PROXY_PORT", environment)

    store = SettingsStore(path, {} if command_line is None else {"proxy_port": command_line})

    assert (store.current.proxy_port, store.origin("proxy_port")) == (port, origin)


def test_each_setting_has_its_own_source(monkeypatch: pytest.MonkeyPatch, write: WriteFile) -> None:
    path = write("openai_timeout = 5\nproxy_port = 9001\n")
    monkeypatch.setenv("OPENAI_MAX_RETRIES", "0")

    store = SettingsStore(path, {"proxy_port": 9003})

    fields = ("openai_timeout", "openai_max_retries", "proxy_port", "proxy_host")
    assert [store.origin(field) for field in fields] == ["settings file", "environment", "command line", "default"]


def test_an_empty_variable_sets_nothing(monkeypatch: pytest.MonkeyPatch, write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")
    for name in ("PROXY_PORT", "OPENAI_API_KEY", "OPENAI_PARAM_DEFAULTS", "PROXY_REQUIRE_API_KEY"):
        monkeypatch.setenv(name, "")

    store = SettingsStore(path)

    assert (store.current.proxy_port, store.origin("proxy_port")) == (9001, "settings file")
    assert (store.current.openai_api_key, store.origin("openai_api_key")) == (None, "default")


def test_a_bad_value_under_a_better_source_does_no_harm(monkeypatch: pytest.MonkeyPatch, write: WriteFile) -> None:
    monkeypatch.setenv("PROXY_PORT", "9002")

    assert SettingsStore(write("proxy_port = 70000\n")).current.proxy_port == 9002


def test_keys_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-one")
    monkeypatch.setenv("PROXY_API_KEYS", "first, second")

    settings = SettingsStore(path).current

    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-one"
    assert [key.get_secret_value() for key in settings.proxy_api_keys] == ["first", "second"]


def test_rules_come_as_json_from_the_environment(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("OPENAI_PARAM_DEFAULTS", '{"temperature": 0.5, "gpt-5*": {"top_p": null}}')

    assert SettingsStore(path).current.openai_param_defaults == {"temperature": 0.5, "gpt-5*": {"top_p": None}}


def test_the_file_holds_toml(write: WriteFile) -> None:
    path = write(
        "# mine\n"
        "openai_timeout = 5\n"
        "PROXY_LOG_LEVEL = 'debug'\n"
        "proxy_allowed_origins = ['https://a.example', 'app://b']\n"
        "openai_param_drop = 'temperature, gpt-5*:top_p'\n"
        "openai_param_overrides = '{\"seed\": 1}'\n"
        "[openai_param_defaults]\n"
        "temperature = 0.5\n"
        "[openai_param_defaults.'gpt-5*']\n"
        "top_p = 1\n"
    )

    settings = SettingsStore(path).current

    assert settings.openai_timeout == 5.0
    assert settings.proxy_log_level == "DEBUG"
    assert settings.proxy_allowed_origins == ("https://a.example", "app://b")
    assert settings.openai_param_drop == ("temperature", "gpt-5*:top_p")
    assert settings.openai_param_overrides == {"seed": 1}
    assert settings.openai_param_defaults == {"temperature": 0.5, "gpt-5*": {"top_p": 1}}
