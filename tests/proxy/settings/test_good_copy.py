"""The last good settings: when they are kept, whose they are, and what is too damaged to go by."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.full_disk import full_disk
from fakes.listener import Listener
from proxy import paths
from proxy.errors.configuration import PortTaken, SettingError
from proxy.settings.good_copy import GoodCopy
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file to another user"
)

GOOD = b'openai_base_url = "https://mine.example/v1"\n'
BROKEN = b'openai_base_url = "https://mine.example/v1\n'


def restarted(path: Path, content: bytes = BROKEN) -> SettingsStore:
    """Break the file and start once more."""
    path.write_bytes(content)
    return SettingsStore(path)


@pytest.fixture
def good(path: Path) -> Path:
    """Return a good settings file that has been in force."""
    path.write_bytes(GOOD)
    SettingsStore(path)
    return path


@on_posix
def test_the_copy_is_for_its_owner_alone_whatever_the_umask(path: Path) -> None:
    path.write_bytes(GOOD)
    before = os.umask(0)
    try:
        SettingsStore(path)
    finally:
        os.umask(before)

    copy = GoodCopy(path).path
    assert copy.parent == paths.state_file().parent
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in copy.parent.iterdir()] == [copy.name]


def test_the_copy_is_written_only_when_it_differs(good: Path) -> None:
    before = GoodCopy(good).path.stat()

    SettingsStore(good).update(openai_base_url="https://mine.example/v1")

    after = GoodCopy(good).path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_change_is_in_the_copy(good: Path) -> None:
    SettingsStore(good).update(openai_base_url="https://other.example/v1", tool_timeout=7)

    store = restarted(good)

    assert (store.chosen.openai_base_url, store.chosen.tool_timeout) == ("https://other.example/v1", 7.0)


def test_an_edit_by_hand_is_in_the_copy_once_it_has_been_in_force(good: Path) -> None:
    good.write_text('openai_base_url = "https://other.example/v1"\n')
    SettingsStore(good)

    assert restarted(good).chosen.openai_base_url == "https://other.example/v1"


def test_a_change_a_listener_refuses_is_not_in_the_copy(good: Path) -> None:
    store = SettingsStore(good)
    store.listen(Listener(refuses=True))
    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert restarted(good).chosen.proxy_port == 8000


def test_a_change_of_a_listeners_own_is_in_the_copy_too(good: Path) -> None:
    store = SettingsStore(good)
    store.listen(lambda old, new: new.openai_timeout == 7 or store.update(openai_timeout=7.0))
    store.update(proxy_port=9001)

    again = restarted(good)

    assert (again.chosen.proxy_port, again.chosen.openai_timeout) == (9001, 7.0)


def test_a_wrong_file_does_not_replace_the_copy(good: Path) -> None:
    for content in (BROKEN, b"opena_base_url = 1\n", b"proxy_port = 'x'\n"):
        restarted(good, content)

    assert restarted(good).chosen.openai_base_url == "https://mine.example/v1"


def test_two_settings_files_do_not_feed_each_other(good: Path) -> None:
    other = good.with_name("other.toml")

    assert not restarted(other).is_known
    other.write_text('openai_base_url = "https://other.example/v1"\n')
    SettingsStore(other)
    assert restarted(good).chosen.openai_base_url == "https://mine.example/v1"
    assert restarted(other).chosen.openai_base_url == "https://other.example/v1"


def test_the_copy_of_one_file_under_the_name_of_another_is_none(good: Path) -> None:
    other = good.with_name("other.toml")
    GoodCopy(good).path.replace(GoodCopy(other).path)

    assert not restarted(other).is_known


def test_a_relative_path_is_the_same_file(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(good.parent)

    assert restarted(Path(good.name)).is_known


@pytest.mark.parametrize(
    "content", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n", b"\xff\xfe", b"\xfe\xff\0\r\0\n"]
)
def test_a_file_that_was_broken_off_before_its_first_letter_is_no_choice(good: Path, content: bytes) -> None:
    store = restarted(good, content)

    assert store.chosen.openai_base_url == "https://mine.example/v1"
    assert "is empty; delete it to go back to the defaults" in (store.warning or "")
    with pytest.raises(SettingError):
        store.update(openai_timeout=5.0)
    assert good.read_bytes() == content
    good.unlink()
    assert SettingsStore(good).problem is None


@pytest.mark.parametrize("content", [None, b"# nothing\n"])
def test_a_deleted_or_emptied_file_is_a_choice_and_no_copy_brings_it_back(good: Path, content: bytes | None) -> None:
    good.unlink()
    if content is not None:
        good.write_bytes(content)

    assert SettingsStore(good).chosen.openai_base_url == "https://api.openai.com/v1"
    assert not GoodCopy(good).path.exists()
    assert not restarted(good).is_known


def test_a_deleted_file_is_told_once_in_the_log(good: Path, caplog: pytest.LogCaptureFixture) -> None:
    good.unlink()
    for _ in range(2):
        SettingsStore(good)

    assert caplog.text.count(f"the settings file {good} is gone; the defaults are in force") == 1


def test_the_last_setting_taken_back_leaves_no_copy(good: Path) -> None:
    SettingsStore(good).update(openai_base_url=None)

    assert not restarted(good).is_known


@pytest.mark.parametrize("content", [GOOD, BROKEN])
def test_no_click_takes_the_defaults_for_a_choice_where_the_file_is_gone(good: Path, content: bytes) -> None:
    store = restarted(good, content)
    good.unlink()

    with pytest.raises(SettingError, match="is gone; only a restart goes back to the defaults"):
        store.update(tool_timeout=7)

    assert not good.exists()
    assert store.chosen.openai_base_url == "https://mine.example/v1"
    assert "is gone" in (store.warning or "")


def test_a_file_that_comes_back_is_clicked_into_again(good: Path) -> None:
    store = restarted(good, GOOD)
    good.unlink()
    with pytest.raises(SettingError):
        store.update(tool_timeout=7)
    good.write_bytes(GOOD)

    store.update(tool_timeout=7)

    assert good.read_bytes() == GOOD + b"tool_timeout = 7\n"
    assert store.problem is None


def test_a_deleted_file_is_a_choice_after_a_restart_also_where_it_was_wrong(good: Path) -> None:
    restarted(good)
    good.unlink()

    store = SettingsStore(good)
    store.update(tool_timeout=7)

    assert good.read_text() == "tool_timeout = 7\n"
    assert store.chosen.openai_base_url == "https://api.openai.com/v1"


# --- a copy that cannot be gone by ------------------------------------------------------------------------------------


def cut_off(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes()[:-10])


def emptied(copy: Path) -> None:
    copy.write_bytes(b"")


def edited(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes().replace(b"mine.example", b"evil.example"))


def added_to(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes() + b"proxy_port = 1\n")


def without_first_line(copy: Path) -> None:
    copy.write_bytes(copy.read_bytes().partition(b"\n")[2])


def of_zeros(copy: Path) -> None:
    copy.write_bytes(b"\0" * copy.stat().st_size)


def readable_by_others(copy: Path) -> None:
    copy.chmod(0o644)


def writable_by_a_group(copy: Path) -> None:
    copy.chmod(0o620)


def a_folder(copy: Path) -> None:
    copy.unlink()
    copy.mkdir()


def a_link(copy: Path) -> None:
    copy.rename(copy.with_name("elsewhere"))
    copy.symlink_to(copy.with_name("elsewhere"))


@on_posix
@pytest.mark.parametrize(
    "damage",
    [
        *(cut_off, emptied, edited, added_to, without_first_line, of_zeros, readable_by_others, writable_by_a_group),
        *(a_folder, a_link),
    ],
)
def test_a_damaged_copy_is_none(good: Path, damage: Callable[[Path], None]) -> None:
    damage(GoodCopy(good).path)

    assert not restarted(good).is_known


@as_root
def test_a_copy_of_another_user_is_none(good: Path) -> None:
    os.chown(GoodCopy(good).path, 12345, -1)

    assert not restarted(good).is_known


@on_posix
@pytest.mark.parametrize("damage", [cut_off, edited, readable_by_others])
def test_a_damaged_copy_is_made_anew_by_the_next_good_start(good: Path, damage: Callable[[Path], None]) -> None:
    damage(GoodCopy(good).path)
    SettingsStore(good)

    assert restarted(good).chosen.openai_base_url == "https://mine.example/v1"


# --- a copy that cannot be written ------------------------------------------------------------------------------------


def test_a_copy_that_cannot_be_written_is_a_warning_and_nothing_more(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    paths.state_file().parent.parent.mkdir(parents=True, exist_ok=True)
    paths.state_file().parent.write_text("a file where the folder should be")
    path.write_bytes(GOOD)

    store = SettingsStore(path)
    store.update(tool_timeout=7)

    assert (store.chosen.tool_timeout, store.problem) == (7.0, None)
    assert "the last good settings cannot be kept" in caplog.text


@on_posix
def test_a_full_disk_leaves_no_copy_of_a_provider_that_was_left(good: Path, caplog: pytest.LogCaptureFixture) -> None:
    good.write_bytes(b'openai_base_url = "https://new.example/v1"\n')

    with full_disk():
        store = SettingsStore(good)

    assert (store.chosen.openai_base_url, store.problem) == ("https://new.example/v1", None)
    assert "the last good settings cannot be kept" in caplog.text
    assert not restarted(good).is_known


@on_posix
def test_a_full_disk_leaves_the_copy_of_what_did_not_change(good: Path) -> None:
    with full_disk():
        SettingsStore(good)

    assert restarted(good).chosen.openai_base_url == "https://mine.example/v1"


# --- the forms a file may have ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_of_any_form_has_its_copy(path: Path, codec: str, newline: str) -> None:
    text = newline.join(["# für mich", 'openai_organization = "Größe"', "openai_param_drop = '''", "top_p'''", ""])
    path.write_bytes(text.encode(codec))
    before = SettingsStore(path).current

    assert restarted(path).chosen == before
