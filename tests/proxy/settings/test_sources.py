"""Where settings come from, and what a broken file is to them."""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.errors import SettingError
from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


# Where values come from


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


@pytest.mark.parametrize("text", ["proxy_prot = 9000", "[server]\nport = 1", "path = '/'"])
def test_a_name_in_the_file_that_is_no_setting_is_refused(write: WriteFile, text: str) -> None:
    path = write(text)

    with pytest.raises(SettingError, match="which is no setting") as caught:
        SettingsStore(path)

    assert str(path) in str(caught.value)
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("openai_api_key = 'sk-in-a-file'", "OPENAI_API_KEY"),
        ("OPENAI_API_KEY = 'sk-in-a-file'", "OPENAI_API_KEY"),
        ("proxy_api_keys = ['sk-in-a-file']", "PROXY_API_KEYS"),
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(write: WriteFile, text: str, name: str) -> None:
    path = write(text)

    with pytest.raises(SettingError, match=f"set {name} in the environment") as caught:
        SettingsStore(path)

    assert "sk-in-a-file" not in str(caught.value)
    assert "\n" not in str(caught.value)


# A broken file


@pytest.mark.parametrize(
    "content",
    [
        b"proxy_port = 9001\nproxy_host = \n",
        b"proxy_port 9001",
        b"proxy_port = 1\nproxy_port = 2\n",
        b"[openai_param_defaults\n",
        b"openai_organization = '\xff'\n",
        b"\x00\x00\x00\x00",
    ],
)
def test_a_broken_file_is_kept_aside_and_the_defaults_are_in_force(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    store = SettingsStore(path)

    assert store.current == Settings.model_validate({})
    assert store.set_aside is not None
    assert store.set_aside.name.startswith("settings.toml.bad-20")
    assert store.set_aside.read_bytes() == content
    assert not path.exists()


def test_the_log_names_the_line_of_a_broken_file_and_where_it_is_kept(
    write: WriteFile, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("proxy_port = 9001\nproxy_host = \n")

    store = SettingsStore(path)

    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "line 2" in record.getMessage()
    assert str(store.set_aside) in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_broken_file_leaves_environment_and_command_line_in_force(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile
) -> None:
    path = write("proxy_port = \n")
    monkeypatch.setenv("OPENAI_TIMEOUT", "5")

    store = SettingsStore(path, {"proxy_port": 9003})

    assert (store.current.openai_timeout, store.current.proxy_port) == (5.0, 9003)


def test_a_broken_file_that_cannot_be_moved_leaves_the_defaults_too(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")

    store = SettingsStore(tmp_path / "folder/settings.toml")

    assert store.current == Settings.model_validate({})
    assert store.problem
    assert "Not a directory" in store.problem
    with pytest.raises(NotADirectoryError):
        store.update(proxy_port=9002)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('proxy_port = "many"\n', "PROXY_PORT is 'many'"),
        ("proxy_prot = 9001\n", "which is no setting"),
        ('openai_api_key = "sk-1"\n', "keys do not belong in files"),
        ('proxy_host = "0.0.0.0"\n', "PROXY_HOST is '0.0.0.0'"),
    ],
)
def test_a_forgiving_store_starts_with_the_defaults_and_says_why(
    write: WriteFile, caplog: pytest.LogCaptureFixture, content: str, reason: str
) -> None:
    path = write(content + "openai_timeout = 5\n")

    store = SettingsStore(path, is_forgiving=True)

    assert store.current == Settings.model_validate({})
    assert reason in (store.problem or "")
    assert reason in caplog.text
    assert path.read_text() == content + "openai_timeout = 5\n"


def test_a_forgiving_store_changes_nothing_while_the_file_is_wrong(write: WriteFile) -> None:
    path = write('proxy_port = "many"\n')
    store = SettingsStore(path, is_forgiving=True)

    with pytest.raises(SettingError, match="PROXY_PORT is 'many'"):
        store.update(enable_tool_execution=True)

    assert path.read_text() == 'proxy_port = "many"\n'
    assert store.problem


def test_a_forgiving_store_takes_the_mended_file_with_the_next_change(write: WriteFile) -> None:
    path = write('proxy_port = "many"\n')
    store = SettingsStore(path, is_forgiving=True)
    path.write_text("proxy_port = 9001\n")

    store.update(enable_tool_execution=True)

    assert (store.current.proxy_port, store.current.enable_tool_execution) == (9001, True)
    assert store.problem is None


def test_a_forgiving_store_forgives_no_fault_of_the_environment(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("PROXY_PORT", "many")

    with pytest.raises(SettingError, match="PROXY_PORT"):
        SettingsStore(path, is_forgiving=True)


def test_a_file_that_was_set_aside_stays_a_problem_after_a_change(write: WriteFile) -> None:
    store = SettingsStore(write("proxy_port = = 9000\n"))
    store.update(proxy_port=9001)

    assert store.set_aside is not None
    assert store.problem == f"a broken file, kept as {store.set_aside.name}"


def test_a_sound_file_is_not_set_aside(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")

    assert SettingsStore(path).set_aside is None
    assert path.exists()
