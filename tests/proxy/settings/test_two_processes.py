"""The tray and the command line write the same settings file: nothing that either has chosen is lost."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import tomlkit

from fakes.environment import environment
from proxy import paths
from proxy.errors.configuration import SettingError
from proxy.files import held
from proxy.settings import store as store_module
from proxy.settings.store import SettingsStore, lock_file

ADD = (
    "import sys, pathlib; from proxy.settings.store import SettingsStore\n"
    "store = SettingsStore(pathlib.Path(sys.argv[1]))\n"
    "for number in range(int(sys.argv[3])):\n"
    "    name = f'https://{sys.argv[2]}{number}.example'\n"
    "    store.update(proxy_allowed_origins=lambda held: (*held, name))\n"
)


def adding(home: Path, file: Path, word: str, times: int) -> "subprocess.Popen[bytes]":
    """Start a process that lets so many pages in, one after the other."""
    return subprocess.Popen([sys.executable, "-c", ADD, str(file), word, str(times)], env=environment(home))


def test_what_three_processes_write_at_once_is_all_there(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "settings.toml"
    file.write_text("# mine\nproxy_port = 9001\n", encoding="utf-8")
    words, times = ("a", "b", "c"), 12

    processes = [adding(home, file, word, times) for word in words]
    assert [process.wait(60) for process in processes] == [0, 0, 0]

    text = file.read_text(encoding="utf-8")
    expected = {f"https://{word}{number}.example" for word in words for number in range(times)}
    assert set(tomlkit.parse(text).unwrap()["proxy_allowed_origins"]) == expected
    assert text.startswith("# mine\nproxy_port = 9001\n")
    assert [path.name for path in file.parent.iterdir() if "settings" in path.name] == ["settings.toml"]


@pytest.mark.parametrize(
    "names", [("settings.toml", "settings.toml"), ("settings.toml", "link.toml"), ("settings.toml", "./settings.toml")]
)
def test_whoever_writes_waits_for_the_other_however_the_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Sequence[str]
) -> None:
    first, second = (Path(f"{tmp_path}/{name}") for name in names)
    first.write_text("proxy_port = 9001\n", encoding="utf-8")
    if not second.exists():
        second.symlink_to(first)
    monkeypatch.setattr(store_module, "LOCK_LIMIT_S", 0.1)
    store = SettingsStore(second)

    with held(lock_file(first), 5), pytest.raises(OSError, match="another process"):
        store.update(proxy_port=9002)

    assert store.current.proxy_port == 9001
    store.update(proxy_port=9002)
    assert "9002" in first.read_text(encoding="utf-8")


def test_two_files_have_two_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LOCK_LIMIT_S", 0.1)
    with held(lock_file(tmp_path / "a.toml"), 5):
        SettingsStore(tmp_path / "b.toml").update(proxy_port=9002)


def test_a_listener_that_changes_a_setting_itself_waits_for_nobody(tmp_path: Path) -> None:
    store = SettingsStore(tmp_path / "settings.toml")
    store.listen(lambda old, new: None if new.tool_timeout == 7 else store.update(tool_timeout=7) and None)

    store.update(proxy_port=9002)

    assert (store.current.proxy_port, store.current.tool_timeout) == (9002, 7)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_where_no_lock_can_be_kept_a_change_is_still_made(tmp_path: Path) -> None:
    paths.state_file().parent.mkdir(parents=True, mode=0o500)

    SettingsStore(tmp_path / "settings.toml").update(proxy_port=9002)

    assert "9002" in (tmp_path / "settings.toml").read_text(encoding="utf-8")


def test_a_refused_change_leaves_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LOCK_LIMIT_S", 0.1)
    store = SettingsStore(tmp_path / "settings.toml")
    for value in (0.5, "many", -1):
        with pytest.raises(SettingError):
            store.update(proxy_port=value)

    with held(lock_file(store.path), 0.1):
        pass
