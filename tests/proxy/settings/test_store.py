"""The settings in force: where they come from, how they change, and how a refused change is undone."""

import logging
import os
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.full_disk import full_disk
from proxy.errors import PortTaken, SettingError
from proxy.settings.model import Settings
from proxy.settings.sources import read_file
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the settings file stands."""
    return tmp_path / "settings.toml"


@pytest.fixture
def write(path: Path) -> WriteFile:
    """Return a function that writes the settings file."""

    def do(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return do


class Listener:
    """Remember each change; refuse the first one where asked to."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.told: list[tuple[int, int]] = []
        self._refuses = refuses

    def __call__(self, old: Settings, new: Settings) -> None:
        self.told.append((old.proxy_port, new.proxy_port))
        if self._refuses:
            raise PortTaken("port 9001 is taken by another program")


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
def test_a_forgiving_store_starts_with_the_defaults_and_says_why(write: WriteFile, content: str, reason: str) -> None:
    path = write(content + "openai_timeout = 5\n")

    store = SettingsStore(path, is_forgiving=True)

    assert store.current == Settings.model_validate({})
    assert reason in (store.problem or "")
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


def test_a_sound_file_is_not_set_aside(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")

    assert SettingsStore(path).set_aside is None
    assert path.exists()


# A change


def test_a_change_is_in_force_and_in_the_file(path: Path) -> None:
    store = SettingsStore(path)

    new = store.update(proxy_port=9001)

    assert new is store.current
    assert (store.current.proxy_port, store.origin("proxy_port")) == (9001, "settings file")
    assert SettingsStore(path).current.proxy_port == 9001


def test_a_change_leaves_the_old_snapshot_as_it_was(path: Path) -> None:
    store = SettingsStore(path)
    old = store.current

    store.update(proxy_port=9001)

    assert old.proxy_port == 8000


@on_posix
def test_the_first_change_on_a_new_computer_makes_the_folder_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "config" / "openai-tray-proxy" / "settings.toml"

    SettingsStore(path).update(proxy_port=9001)

    assert read_file(path) == {"proxy_port": 9001}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "changes",
    [
        {"proxy_port": 9001, "openai_timeout": 5.5},
        {"proxy_allowed_origins": ("https://a.example", "app://b")},
        {"proxy_allowed_origins": ["https://a.example"]},
        {"openai_param_drop": ("temperature", "gpt-5*:top_p")},
        {"openai_param_defaults": {"stop": ["\n", '"'], "gpt-5*": {"metadata": {"a": [1, {"b": True}]}}}},
        {"proxy_require_api_key": True},
        {"openai_organization": "org-\u00e9 'quoted' \"twice\" \\"},
    ],
)
def test_a_change_of_any_kind_reads_back_the_same(path: Path, changes: dict[str, Any]) -> None:
    store = SettingsStore(path)

    store.update(**changes)

    assert SettingsStore(path).current == store.current


def test_a_change_keeps_comments_order_and_spacing_of_the_rest(write: WriteFile) -> None:
    path = write(
        "# my settings\n\n"
        "openai_timeout   =  5   # patient\n"
        "proxy_port = 9001 # above the others\n\n"
        "[openai_param_defaults]\n"
        "# lukewarm\n"
        "temperature = 0.5\n"
    )

    SettingsStore(path).update(proxy_port=9002)

    assert path.read_text() == (
        "# my settings\n\n"
        "openai_timeout   =  5   # patient\n"
        "proxy_port = 9002 # above the others\n\n"
        "[openai_param_defaults]\n"
        "# lukewarm\n"
        "temperature = 0.5\n"
    )


def test_a_new_line_stands_before_the_tables(write: WriteFile) -> None:
    path = write("[openai_param_defaults]\ntemperature = 0.5\n")

    SettingsStore(path).update(proxy_port=9002)

    assert read_file(path) == {"proxy_port": 9002, "openai_param_defaults": {"temperature": 0.5}}


def test_a_change_of_a_line_in_capitals_holds_after_a_restart(write: WriteFile) -> None:
    path = write("PROXY_PORT = 9001\n")

    SettingsStore(path).update(proxy_port=9002)

    assert SettingsStore(path).current.proxy_port == 9002


@on_posix
def test_the_file_belongs_to_its_owner_alone_even_where_it_did_not(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")
    path.chmod(0o644)

    SettingsStore(path).update(proxy_port=9002)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@on_posix
def test_a_new_file_belongs_to_its_owner_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        SettingsStore(path).update(proxy_port=9002)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_whoever_reads_during_a_change_sees_the_whole_old_file(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")
    store = SettingsStore(path)

    with path.open(encoding="utf-8") as reader:
        store.update(proxy_port=9002)
        assert reader.read() == "proxy_port = 9001\n"


def test_a_change_leaves_nothing_beside_the_file(path: Path) -> None:
    SettingsStore(path).update(proxy_port=9002)

    assert [entry.name for entry in path.parent.iterdir() if entry.is_file()] == ["settings.toml"]


def test_none_goes_back_to_the_default(write: WriteFile) -> None:
    path = write("proxy_port = 9001\nopenai_timeout = 5\n")
    store = SettingsStore(path)

    store.update(proxy_port=None)

    assert (store.current.proxy_port, store.origin("proxy_port")) == (8000, "default")
    assert read_file(path) == {"openai_timeout": 5}


def test_none_for_what_is_not_set_changes_nothing(write: WriteFile) -> None:
    path = write("openai_timeout = 5\n")

    SettingsStore(path).update(proxy_port=None)

    assert path.read_text() == "openai_timeout = 5\n"


def test_none_removes_a_line_in_capitals_too(write: WriteFile) -> None:
    path = write("PROXY_PORT = 9001\n")

    SettingsStore(path).update(proxy_port=None)

    assert SettingsStore(path).current.proxy_port == 8000


def test_a_change_keeps_what_was_written_to_the_file_meanwhile(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")
    store = SettingsStore(path)
    path.write_text("proxy_port = 9001\nopenai_timeout = 5\n")

    store.update(proxy_port=9002)

    assert (store.current.proxy_port, store.current.openai_timeout) == (9002, 5.0)


# A change that is refused


def test_a_wrong_value_changes_nothing(write: WriteFile) -> None:
    path = write("proxy_port = 9001 # mine\n")
    store = SettingsStore(path)
    before, listener = store.current, Listener()
    store.listen(listener)

    with pytest.raises(SettingError, match="PROXY_PORT is 70000"):
        store.update(proxy_port=70000)

    assert store.current is before
    assert path.read_text() == "proxy_port = 9001 # mine\n"
    assert listener.told == []


def test_a_contradiction_with_another_setting_changes_nothing(path: Path) -> None:
    store = SettingsStore(path)

    with pytest.raises(SettingError, match="PROXY_REQUIRE_API_KEY"):
        store.update(proxy_host="0.0.0.0")

    assert store.current.proxy_host == "127.0.0.1"
    assert not path.exists()


@pytest.mark.parametrize("change", [9003, None])
def test_what_the_environment_fixes_cannot_be_changed(
    monkeypatch: pytest.MonkeyPatch, path: Path, change: int | None
) -> None:
    monkeypatch.setenv("PROXY_PORT", "9002")
    store = SettingsStore(path)
    listener = Listener()
    store.listen(listener)

    with pytest.raises(SettingError, match="PROXY_PORT is fixed by the environment"):
        store.update(openai_timeout=5, proxy_port=change)

    assert (store.current.proxy_port, store.current.openai_timeout) == (9002, 120.0)
    assert not path.exists()
    assert listener.told == []


def test_what_the_command_line_fixes_cannot_be_changed(path: Path) -> None:
    store = SettingsStore(path, {"proxy_port": 9003})

    with pytest.raises(SettingError, match="PROXY_PORT is fixed by the command line"):
        store.update(proxy_port=9004)

    assert store.current.proxy_port == 9003


def test_a_name_that_is_no_setting_is_refused(path: Path) -> None:
    store = SettingsStore(path)

    with pytest.raises(SettingError, match=r"(?i)proxy_prot"):
        store.update(proxy_prot=9001)


@pytest.mark.parametrize("change", [{"openai_api_key": "sk-to-a-file"}, {"proxy_api_keys": ("sk-to-a-file",)}])
def test_a_key_is_never_written_to_the_file(path: Path, change: dict[str, Any]) -> None:
    store = SettingsStore(path)

    with pytest.raises(SettingError):
        store.update(**change)

    assert not path.exists() or "sk-to-a-file" not in path.read_text()


def test_a_rule_the_file_cannot_hold_is_refused_like_any_wrong_value(path: Path) -> None:
    store = SettingsStore(path)

    with pytest.raises(SettingError):
        store.update(openai_param_defaults={"stop": None})  # JSON has null, TOML has not

    assert store.current.openai_param_defaults == {}


def test_a_file_that_broke_meanwhile_stops_the_change(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")
    store = SettingsStore(path)
    path.write_text("proxy_port = \n")

    with pytest.raises(SettingError, match="not valid TOML"):
        store.update(openai_timeout=5)

    assert path.read_text() == "proxy_port = \n"
    assert store.current.openai_timeout == 120.0


@on_posix
def test_a_full_disk_changes_neither_file_nor_settings(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")
    store = SettingsStore(path)
    listener = Listener()
    store.listen(listener)

    with full_disk(), pytest.raises(OSError):
        store.update(proxy_port=9002)

    assert path.read_text() == "proxy_port = 9001\n"
    assert store.current.proxy_port == 9001
    assert listener.told == []


@on_posix
def test_a_full_disk_does_not_change_where_a_setting_comes_from(path: Path) -> None:
    store = SettingsStore(path)

    with full_disk(), pytest.raises(OSError):
        store.update(proxy_port=9002)

    assert store.origin("proxy_port") == "default"


@on_posix
def test_a_full_disk_leaves_nothing_beside_the_file(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")
    store = SettingsStore(path)

    with full_disk(), pytest.raises(OSError):
        store.update(proxy_port=9002)

    assert [entry.name for entry in path.parent.iterdir() if entry.is_file()] == ["settings.toml"]


# Listeners


def test_every_listener_is_told_the_old_and_the_new(path: Path) -> None:
    store = SettingsStore(path)
    first, second = Listener(), Listener()
    store.listen(first)
    store.listen(second)

    store.update(proxy_port=9001)
    store.update(proxy_port=9002)

    assert first.told == second.told == [(8000, 9001), (9001, 9002)]


def test_a_listener_finds_the_new_settings_in_force(path: Path) -> None:
    store = SettingsStore(path)
    seen: list[int] = []
    store.listen(lambda old, new: seen.append(store.current.proxy_port))

    store.update(proxy_port=9001)

    assert seen == [9001]


def test_a_listener_that_refuses_is_heard(path: Path) -> None:
    store = SettingsStore(path)
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken, match="taken by another program"):
        store.update(proxy_port=9001)


def test_a_refused_change_is_not_in_force(write: WriteFile) -> None:
    store = SettingsStore(write("proxy_port = 9000\n"))
    before = store.current
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken):
        store.update(proxy_port=9001, openai_timeout=5)

    assert store.current is before
    assert (store.origin("proxy_port"), store.origin("openai_timeout")) == ("settings file", "default")


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("proxy_port = 9000 # mine\nopenai_timeout = 5\n", {"proxy_port": 9001}),
        ("openai_timeout = 5\n", {"proxy_port": 9001}),
        ("openai_timeout = 5\n[openai_param_defaults]\ntemperature = 1\n", {"proxy_port": 9001}),
        ("# first\nproxy_port = 9000 # mine\n# last\nopenai_timeout = 5\n", {"proxy_port": None}),
        ("PROXY_PORT = 9000\n", {"proxy_port": 9001}),
        ("openai_param_drop = [\n  'top_p', # why\n]\n", {"openai_param_drop": ("temperature",)}),
    ],
)
def test_a_refused_change_leaves_the_file_as_it_was(write: WriteFile, text: str, changes: dict[str, Any]) -> None:
    path = write(text)
    store = SettingsStore(path)
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken):
        store.update(**changes)

    assert path.read_text() == text


def test_a_refused_first_change_leaves_no_file(path: Path) -> None:
    store = SettingsStore(path)
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert not path.exists()


def test_the_listeners_that_had_agreed_are_told_back_and_the_later_ones_nothing(path: Path) -> None:
    store = SettingsStore(path)
    order: list[str] = []
    first, second, refusing, later = Listener(), Listener(), Listener(refuses=True), Listener()
    for name, listener in (("first", first), ("second", second), ("refusing", refusing), ("later", later)):
        store.listen(lambda old, new, name=name: order.append(name))
        store.listen(listener)

    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert first.told == second.told == [(8000, 9001), (9001, 8000)]
    assert refusing.told == [(8000, 9001)]
    assert later.told == []
    assert order == ["first", "second", "refusing", "refusing", "second", "first"]


def test_listeners_told_back_find_the_old_settings_in_force(path: Path) -> None:
    store = SettingsStore(path)
    seen: list[int] = []
    store.listen(lambda old, new: seen.append(store.current.proxy_port))
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert seen == [9001, 8000]


def test_a_refused_change_can_be_tried_again(path: Path) -> None:
    store = SettingsStore(path)
    taken = {9001}

    def move(old: Settings, new: Settings) -> None:
        if new.proxy_port in taken:
            raise PortTaken

    store.listen(move)
    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    taken.clear()
    store.update(proxy_port=9001)

    assert store.current.proxy_port == 9001


def test_a_change_during_another_that_is_refused_stays(path: Path) -> None:
    store = SettingsStore(path)
    other = threading.Thread(target=store.update, kwargs={"openai_timeout": 7.0})

    def refuse(old: Settings, new: Settings) -> None:
        if new.proxy_port == 9001:
            other.start()
            other.join(0.1)  # long enough for a change that waits for nobody
            raise PortTaken

    store.listen(refuse)
    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)
    other.join(10)

    assert (store.current.proxy_port, store.current.openai_timeout) == (8000, 7)
    assert read_file(path) == {"openai_timeout": 7.0}


def test_listeners_are_told_of_changes_in_the_order_they_were_made(path: Path) -> None:
    store = SettingsStore(path)
    listener = Listener()
    second = threading.Thread(target=store.update, kwargs={"proxy_port": 9002})

    def begin_another(old: Settings, new: Settings) -> None:
        if new.proxy_port == 9001:
            second.start()
            second.join(0.1)  # as above

    store.listen(begin_another)
    store.listen(listener)
    store.update(proxy_port=9001)
    second.join(10)

    assert listener.told == [(8000, 9001), (9001, 9002)]


def test_a_listener_may_make_a_change_of_its_own(path: Path) -> None:
    store = SettingsStore(path)
    store.listen(lambda old, new: new.openai_timeout == 7 or store.update(openai_timeout=7.0))
    store.update(proxy_port=9001)

    assert (store.current.proxy_port, store.current.openai_timeout) == (9001, 7)
