"""The settings in force: how they change, and what changes nothing."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.full_disk import full_disk
from fakes.listener import Listener
from proxy.errors.configuration import SettingError
from proxy.settings.sources import read_file
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


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
