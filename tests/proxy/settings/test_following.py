"""A settings file edited by hand while the program runs: real files, a real follower, and deadlines."""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.full_disk import full_disk
from fakes.listener import Listener
from proxy.errors.configuration import PortTaken, SettingError, SettingsBroken, SettingsFileWrong
from proxy.settings.following import SettingsFollower
from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore
from waiting import settled, wait_for

WriteFile = Callable[[str], Path]
WriteEach = Callable[[dict[str, str]], list[Path]]
Follow = Callable[..., SettingsStore]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files, or no modes")
not_as_root = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything, whatever the mode"
)

PROMISED_S = 2.0
EVERY_S = 0.05  # in place of a second, where the time is not what is tested
UPSTREAM = "https://mine.example/v1"
GOOD = f'openai_base_url = "{UPSTREAM}"\nproxy_require_api_key = true\nproxy_port = 9001\n'
EDITED = GOOD.replace("9001", "9002")


class Hearing(Listener):
    """A listener, and an observer of the same store."""

    def __init__(self, store: SettingsStore, **options: bool) -> None:
        super().__init__(**options)
        self.problems: list[str | None] = []
        self._store = store
        store.listen(self)
        store.observe(lambda: self.problems.append(self._store.problem))

    def wait_for(self, changes: int, limit_s: float = 10) -> None:
        """Wait until so many changes are over."""
        wait_for(lambda: len(self.problems) >= changes, f"{changes} changes are over", limit_s)


@pytest.fixture
def follow(path: Path) -> Iterator[Follow]:
    """Return a function that loads the settings file and follows it, quicker than the program does."""
    followers: list[SettingsFollower] = []

    def do(
        file: Path = path, *, every_s: float = EVERY_S, settled_s: float = EVERY_S, **command_line: Any
    ) -> SettingsStore:
        store = SettingsStore(file, command_line)
        followers.append(SettingsFollower(store, every_s, settled_s))
        followers[-1].start()
        return store

    yield do
    for follower in followers:
        follower.stop()


@pytest.fixture
def write_each(tmp_path: Path) -> WriteEach:
    """Return a function that writes a settings file for each name, each into a folder of its own."""

    def do(texts: dict[str, str]) -> list[Path]:
        paths = [tmp_path / name / "settings.toml" for name in texts]
        for path, text in zip(paths, texts.values(), strict=True):
            path.parent.mkdir()
            path.write_text(text)
        return paths

    return do


def wait_for_each(hearings: list[Hearing], changes: int, limit_s: float) -> None:
    """Wait until so many changes are over everywhere."""
    wait_for(lambda: all(len(each.problems) >= changes for each in hearings), f"{changes} changes are over", limit_s)


def wait_for_port(store: SettingsStore, port: int, limit_s: float = 10) -> None:
    wait_for(lambda: store.current.proxy_port == port, f"port {port} is in force", limit_s)


def wait_for_problem(store: SettingsStore, words: str, limit_s: float = 10) -> None:
    wait_for(lambda: words in (store.problem or ""), f"{words!r} is told", limit_s)


def wait_until_right(store: SettingsStore, limit_s: float = 10) -> None:
    wait_for(lambda: store.problem is None, "nothing is wrong", limit_s)


def errors_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# --- ways to save a file ----------------------------------------------------------------------------------------------


def in_place(path: Path, text: str) -> None:
    path.write_text(text)


def by_rename(path: Path, text: str) -> None:
    new = path.with_name(".settings.toml.swp")
    new.write_text(text)
    new.replace(path)


def by_backup(path: Path, text: str) -> None:
    """Save as Vim may: the old file becomes the backup, and for a moment there is none."""
    path.replace(path.with_name("settings.toml~"))
    path.write_text(text)


def with_the_old_times(path: Path, text: str) -> None:
    """Save as `cp -p` and `rsync -t` do."""
    times = path.stat()
    path.write_text(text)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def with_crlf_and_mark(path: Path, text: str) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())


SAVES = [in_place, by_rename, by_backup, with_the_old_times, with_crlf_and_mark]


# --- an edit that is right --------------------------------------------------------------------------------------------


@pytest.mark.core
def test_an_edit_is_in_force_within_two_seconds_however_it_is_saved(write_each: WriteEach, follow: Follow) -> None:
    paths = write_each(dict.fromkeys([save.__name__ for save in SAVES], GOOD))
    stores = [follow(path, every_s=1.0, settled_s=0.25) for path in paths]
    hearings = list(map(Hearing, stores))

    for save, path in zip(SAVES, paths, strict=True):
        save(path, EDITED)
    deadline = time.monotonic() + PROMISED_S
    for store, hearing in zip(stores, hearings, strict=True):
        wait_for_port(store, 9002, deadline - time.monotonic())
        wait_for(lambda hearing=hearing: hearing.told == [(9001, 9002)], f"the listener is told of {store.path}")
        assert store.origin("proxy_port") == "settings file"
        assert store.problem is None


def test_each_of_many_edits_is_in_force(write: WriteFile, follow: Follow) -> None:
    store = follow()
    hearing = Hearing(store)

    for port in range(9001, 9006):
        write(f"proxy_port = {port}\n")
        wait_for_port(store, port)

    wait_for(
        lambda: hearing.told == [(8000, 9001), (9001, 9002), (9002, 9003), (9003, 9004), (9004, 9005)],
        "the listener is told",
    )


def test_an_edit_of_the_same_moment_and_the_same_size_is_not_missed(write: WriteFile, follow: Follow) -> None:
    path = write("proxy_port = 9001\n")
    store = follow()
    store.listen(lambda old, new: new.proxy_port == 9002 and path.write_text("proxy_port = 9003\n"))

    path.write_text("proxy_port = 9002\n")

    wait_for_port(store, 9003)


def test_all_of_an_edit_is_in_force_at_once(write: WriteFile, follow: Follow) -> None:
    store = follow()
    seen: list[Settings] = []
    store.listen(lambda old, new: seen.append(new))

    write('proxy_port = 9002\nopenai_timeout = 5\nopenai_param_drop = ["top_p"]\n')
    wait_for_port(store, 9002)

    assert [(new.openai_timeout, new.openai_param_drop) for new in seen] == [(5.0, ("top_p",))]


def test_a_line_that_is_taken_out_goes_back_to_its_default(write: WriteFile, follow: Follow) -> None:
    write(GOOD)
    store = follow()

    write(GOOD.replace("proxy_port = 9001\n", ""))

    wait_for_port(store, 8000)
    assert store.origin("proxy_port") == "default"


def test_a_file_is_followed_that_comes_later_and_so_is_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "config" / "of" / "mine" / "settings.toml"
    store = SettingsStore(path)
    follower = SettingsFollower(store, EVERY_S, EVERY_S)
    follower.start()

    path.parent.mkdir(parents=True)
    path.write_text(GOOD)
    wait_for_port(store, 9001)
    follower.stop()

    assert store.problem is None


@on_posix
def test_a_file_behind_a_link_is_followed_and_so_is_the_link(path: Path, follow: Follow) -> None:
    first, second = path.with_name("first.toml"), path.with_name("second.toml")
    first.write_text("proxy_port = 9001\n")
    second.write_text("proxy_port = 9003\n")
    path.symlink_to(first)
    store = follow()

    first.write_text("proxy_port = 9002\n")
    wait_for_port(store, 9002)
    path.unlink()
    path.symlink_to(second)
    wait_for_port(store, 9003)


def test_what_was_edited_before_the_first_look_is_in_force_at_the_start(write: WriteFile) -> None:
    path = write("proxy_port = 9001\n")
    store = SettingsStore(path)
    path.write_text("proxy_port = 9002\n")
    follower = SettingsFollower(store, 60, EVERY_S)

    follower.start()
    follower.stop()

    assert store.current.proxy_port == 9002


def test_the_log_names_what_is_in_force_now_and_no_value(
    write: WriteFile, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(GOOD)
    store = follow()

    write(EDITED + 'openai_organization = "org-of-mine"\n')
    wait_for_port(store, 9002)

    wait_for(lambda: "the settings file has changed" in caplog.text, "the log line")
    assert "put in force: OPENAI_ORGANIZATION, PROXY_PORT" in caplog.text
    assert "org-of-mine" not in caplog.text


def test_a_comment_is_no_change_for_anybody_who_listens(write: WriteFile, follow: Follow) -> None:
    path = write(GOOD)
    store = follow()
    hearing, before = Hearing(store), store.current

    write(GOOD + "# mine\n")
    hearing.wait_for(1)

    assert hearing.told == []
    assert store.current is before
    store.update(openai_timeout=5)
    assert path.read_text() == GOOD + "# mine\nopenai_timeout = 5\n"


def test_environment_and_command_line_win_over_an_edit(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile, follow: Follow
) -> None:
    monkeypatch.setenv("OPENAI_TIMEOUT", "7")
    store = follow(proxy_port=9100)
    hearing = Hearing(store)

    write("proxy_port = 9002\nopenai_timeout = 5\ntool_timeout = 9\n")
    wait_for(lambda: store.current.tool_timeout == 9, "the edit is in force")

    assert (store.current.proxy_port, store.current.openai_timeout) == (9100, 7.0)
    assert (store.fixed_by("proxy_port"), store.fixed_by("openai_timeout")) == ("command line", "environment")
    wait_for(lambda: hearing.told == [(9100, 9100)], "the listener is told")


def test_an_edit_is_in_the_good_copy(write: WriteFile, follow: Follow) -> None:
    write(GOOD)
    store = follow()
    hearing = Hearing(store)
    write(EDITED)
    hearing.wait_for(1)
    write("proxy_port = \n")

    again = SettingsStore(store.path)

    assert (again.chosen.openai_base_url, again.chosen.proxy_port) == (UPSTREAM, 9002)


# --- an edit that is wrong --------------------------------------------------------------------------------------------

WRONG = {
    "proxy_port = \n": "line 1: this is not valid TOML",
    "# mine\n\nproxy_prot = 9002\n": "line 3: proxy_prot is no setting; is it proxy_port?",
    "openai_timeout = 5\nproxy_port = 70000\n": "line 2: PROXY_PORT is 70000",
    "openai_timeout = 5\nproxy_host = '0.0.0.0'\n": "line 2: PROXY_HOST is '0.0.0.0'",
    "openai_api_key = 'sk-in-a-file-01'\n": "line 1: it holds openai_api_key; keys do not belong in files",
    GOOD + "openai_param_defaults = 'x'\n": "line 4: OPENAI_PARAM_DEFAULTS is 'x'",
}


def test_a_wrong_edit_is_refused_whole_with_its_line_and_a_mended_one_taken_up(
    write_each: WriteEach, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    paths = write_each({f"wrong-{number}": GOOD for number in range(len(WRONG))})
    stores = [follow(path, every_s=1.0, settled_s=0.25) for path in paths]
    hearings, before = list(map(Hearing, stores)), [store.current for store in stores]

    for path, text in zip(paths, WRONG, strict=True):
        path.write_text(text)
    wait_for_each(hearings, 1, PROMISED_S)

    for store, hearing, good, (text, said) in zip(stores, hearings, before, WRONG.items(), strict=True):
        assert said in (store.problem or "")
        assert store.chosen is good
        assert hearing.told == []
        assert store.path.read_text() == text
        assert (store.warning or "").startswith(f"The settings file is wrong: {store.path}, {said}")
        assert "The last good settings stay in force" in (store.warning or "")
    assert sorted(errors_of(caplog)) == sorted(str(store.warning) for store in stores)
    assert "sk-in-a-file" not in caplog.text

    for path in paths:
        path.write_text(EDITED)
    wait_for_each(hearings, 2, PROMISED_S)

    for store, hearing in zip(stores, hearings, strict=True):
        assert store.current.proxy_port == 9002
        assert (store.problem, store.warning) == (None, None)
        assert hearing.told == [(9001, 9002)]
        assert [problem is None for problem in hearing.problems] == [False, True]


def test_a_wrong_file_is_told_once_and_not_at_every_look(
    write: WriteFile, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(GOOD)
    store = follow(every_s=0.01, settled_s=0.01)
    hearing = Hearing(store)

    write(GOOD + "=")
    wait_for_problem(store, "line 4")
    for _ in range(5):
        os.utime(path)
        settled(lambda: len(hearing.problems), still_s=0.1)

    assert len(errors_of(caplog)) == len(hearing.problems) == 1
    with pytest.raises(SettingsFileWrong):
        store.update(openai_timeout=5)
    assert len(errors_of(caplog)) == 1


def test_another_mistake_is_told_too(write: WriteFile, follow: Follow, caplog: pytest.LogCaptureFixture) -> None:
    write(GOOD)
    store = follow()

    write(GOOD + "=")
    wait_for_problem(store, "line 4")
    write("=")
    wait_for_problem(store, "line 1")

    wait_for(lambda: len(errors_of(caplog)) == 2, "both are in the log")


def test_a_mistake_taken_back_ends_the_warning_and_nobody_hears_of_a_change(write: WriteFile, follow: Follow) -> None:
    write(GOOD)
    store = follow()
    hearing, before = Hearing(store), store.current

    write(GOOD + "=")
    wait_for_problem(store, "line 4")
    write(GOOD)
    wait_until_right(store)

    assert store.current is before
    assert hearing.told == []


def test_a_click_is_refused_while_the_file_is_wrong_and_taken_once_it_is_mended(
    write: WriteFile, follow: Follow
) -> None:
    path = write(GOOD)
    store = follow()
    write(GOOD + "=")
    wait_for_problem(store, "line 4")

    with pytest.raises(SettingsFileWrong, match="line 4"):
        store.update(openai_timeout=5)
    assert path.read_text() == GOOD + "="
    write(EDITED)
    wait_for_port(store, 9002)
    store.update(openai_timeout=5)

    assert (store.current.proxy_port, store.current.openai_timeout) == (9002, 5.0)


def test_a_file_that_was_wrong_at_the_start_is_in_force_once_it_is_mended(write: WriteFile, follow: Follow) -> None:
    write(GOOD + "=")
    store = follow()
    hearing = Hearing(store)
    with pytest.raises(SettingsBroken):
        _ = store.chosen

    write(GOOD)
    hearing.wait_for(1)

    assert store.chosen.openai_base_url == UPSTREAM
    assert hearing.told == [(8000, 9001)]
    assert SettingsStore(write("=")).chosen.openai_base_url == UPSTREAM


def test_the_last_good_settings_become_the_files_own_once_it_is_mended(write: WriteFile, follow: Follow) -> None:
    SettingsStore(write(GOOD))
    write(GOOD + "=")
    store = follow()
    hearing = Hearing(store)
    assert store.origin("proxy_port") == "last good settings"

    write(GOOD)
    hearing.wait_for(1)

    assert store.origin("proxy_port") == "settings file"
    assert hearing.told == []


def test_an_edit_that_leaves_the_environment_contradicting_is_refused(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile, follow: Follow
) -> None:
    monkeypatch.setenv("PROXY_HOST", "0.0.0.0")
    path = write("proxy_require_api_key = true\n")
    store = follow()

    write("openai_timeout = 5\n")
    wait_for_problem(store, "PROXY_REQUIRE_API_KEY")

    assert (store.problem or "").startswith(f"{path}: PROXY_HOST is '0.0.0.0' (from the environment)")
    assert (store.current.proxy_require_api_key, store.current.openai_timeout) == (True, 120.0)


# --- an edit that a listener refuses ----------------------------------------------------------------------------------


def test_a_refused_edit_is_told_with_its_line_and_stays_in_the_file(
    write: WriteFile, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(GOOD)
    store = follow()
    first, before = Hearing(store), store.current
    store.listen(Listener(refuses=True), may_refuse=True)

    write("openai_timeout = 5\n" + EDITED)
    first.wait_for(1)

    assert store.problem == f"{path}, line 4: port 9001 is taken by another program"
    assert store.current is before
    assert first.told == []  # who may refuse is asked before anybody has begun anything
    assert path.read_text() == "openai_timeout = 5\n" + EDITED
    assert errors_of(caplog) == [store.warning]


def test_listeners_that_had_agreed_are_told_back(write: WriteFile, follow: Follow) -> None:
    write(GOOD)
    store = follow(every_s=60)
    first = Listener()
    store.listen(first)
    store.listen(Listener(refuses=True))
    other = SettingsFollower(store, EVERY_S, EVERY_S)

    write(EDITED)
    other.start()
    other.stop()

    assert first.told == [(9001, 9002), (9002, 9001)]


def test_a_refused_edit_is_not_in_the_good_copy(write: WriteFile, follow: Follow) -> None:
    write(GOOD)
    store = follow()
    store.listen(Listener(refuses=True))
    write(EDITED)
    wait_for_problem(store, "taken by another program")

    assert SettingsStore(write("=")).chosen.proxy_port == 9001


def test_a_refused_edit_is_tried_again_when_it_is_saved_again(write: WriteFile, follow: Follow) -> None:
    path = write(GOOD)
    store = follow()
    taken = {9002}

    def move(old: Settings, new: Settings) -> None:
        if new.proxy_port in taken:
            raise PortTaken(f"port {new.proxy_port} is taken")

    store.listen(move, may_refuse=True)
    write(EDITED)
    wait_for_problem(store, "line 3: port 9002 is taken")
    taken.clear()
    by_rename(path, EDITED)
    wait_for_port(store, 9002)

    assert store.problem is None


def test_a_listener_that_breaks_does_not_end_the_following(
    write: WriteFile, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    write(GOOD)
    store = follow()

    def break_once(old: Settings, new: Settings) -> None:
        if new.proxy_port == 9002:
            raise RuntimeError("a bug")

    store.listen(break_once)
    write(EDITED)
    wait_for(lambda: "a bug" in caplog.text, "the traceback is in the log")
    write(GOOD.replace("9001", "9003"))

    wait_for_port(store, 9003)
    assert caplog.text.count("was not put in force") == 1


# --- a file that is gone, empty, half written, or cannot be read ------------------------------------------------------


def test_a_deleted_file_leaves_the_settings_in_force_and_counts_again_when_it_is_back(
    write: WriteFile, follow: Follow
) -> None:
    path = write(GOOD)
    store = follow()
    hearing, before = Hearing(store), store.current

    path.unlink()
    wait_for_problem(store, "is gone; only a restart goes back to the defaults")
    assert store.chosen is before
    write(EDITED)
    wait_for_port(store, 9002)

    assert store.problem is None
    wait_for(lambda: hearing.told == [(9001, 9002)], "the listener is told")


def test_a_deleted_folder_is_a_deleted_file(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "config" / "settings.toml"
    path.parent.mkdir()
    path.write_text(GOOD)
    store = SettingsStore(path)
    follower = SettingsFollower(store, EVERY_S, EVERY_S)
    follower.start()

    path.unlink()
    path.parent.rmdir()
    wait_for_problem(store, "is gone")
    assert store.chosen.openai_base_url == UPSTREAM
    path.parent.mkdir()
    path.write_text(GOOD)
    wait_until_right(store)
    follower.stop()


@pytest.mark.parametrize("text", ["", "\n\n", "  "])
@pytest.mark.parametrize("has_copy", [True, False])
def test_an_emptied_file_chooses_no_defaults(write: WriteFile, follow: Follow, text: str, *, has_copy: bool) -> None:
    path = write(GOOD)
    if has_copy:
        store = follow()
    else:
        with full_disk():
            store = follow()
    before = store.current

    write(text)
    wait_for_problem(store, f"{path} is empty")

    assert store.chosen is before
    write(GOOD)
    wait_until_right(store)


@pytest.mark.parametrize("is_deleted", [True, False])
def test_a_wrong_file_that_is_deleted_or_emptied_opens_no_way_to_the_defaults(
    write: WriteFile, follow: Follow, *, is_deleted: bool
) -> None:
    path = write(GOOD + "=")
    store = follow()

    if is_deleted:
        path.unlink()
    else:
        write("")
    wait_for_problem(store, "is gone" if is_deleted else "is empty")

    with pytest.raises(SettingsBroken):
        _ = store.chosen
    with pytest.raises(SettingError):
        store.update(openai_timeout=5)
    assert not store.is_known
    assert store.current.openai_base_url.endswith(".invalid/v1")


def test_a_file_that_never_set_anything_may_go(write: WriteFile, follow: Follow) -> None:
    path = write("# nothing yet\n")
    store = follow()
    hearing = Hearing(store)

    path.unlink()
    hearing.wait_for(1)

    assert hearing.problems == [None]
    assert store.origin("proxy_port") == "default"


def test_a_file_is_not_put_in_force_while_it_is_being_written(write: WriteFile, follow: Follow) -> None:
    path = write(GOOD)
    store = follow(every_s=0.02, settled_s=0.3)
    hearing = Hearing(store)
    lines = ["openai_timeout = 5\n", *EDITED.splitlines(keepends=True)]

    with path.open("w") as file:
        for line in lines:  # what is there so far is a valid file each time, and one without a required key
            time.sleep(0.1)
            file.write(line)
            file.flush()
    hearing.wait_for(1)

    assert hearing.told == [(9001, 9002)]
    assert hearing.problems == [None]


def test_a_file_that_never_settles_does_not_hold_up_a_start(write: WriteFile) -> None:
    path = write(GOOD)
    store = SettingsStore(path)
    ended = threading.Event()

    def keep_writing() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            by_rename(path, f"{EDITED}# {number}\n")

    writing = threading.Thread(target=keep_writing)
    writing.start()
    follower = SettingsFollower(store, EVERY_S, 0.05)
    began = time.monotonic()
    follower.start()
    took_s = time.monotonic() - began
    assert store.current.proxy_port == 9001
    ended.set()
    writing.join()

    assert took_s < 5
    wait_for_port(store, 9002)
    follower.stop()


@on_posix
@not_as_root
def test_a_file_that_may_not_be_read_is_told_and_read_again_when_it_may(write: WriteFile, follow: Follow) -> None:
    path = write(GOOD)
    store = follow()

    path.chmod(0)
    wait_for_problem(store, "Permission denied")
    assert store.chosen.openai_base_url == UPSTREAM
    path.chmod(0o600)

    wait_until_right(store)


@on_posix
def test_a_folder_in_the_files_place_is_told_and_the_file_counts_when_it_is_back(
    write: WriteFile, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(GOOD)
    store = follow(every_s=0.01, settled_s=0.01)
    hearing = Hearing(store)

    path.unlink()
    path.mkdir()
    wait_for_problem(store, "is no file")
    settled(lambda: len(hearing.problems))
    assert store.chosen.openai_base_url == UPSTREAM
    told = errors_of(caplog)
    path.rmdir()
    write(EDITED)
    wait_for_port(store, 9002)

    assert len([message for message in told if "is no file" in message]) == 1


# --- our own writes ---------------------------------------------------------------------------------------------------


def test_our_own_changes_are_not_taken_for_edits(
    write: WriteFile, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write(GOOD)
    store = follow(every_s=0.01, settled_s=0.01)
    hearing = Hearing(store)

    for port in range(9002, 9006):
        store.update(proxy_port=port)
        settled(lambda: len(hearing.told), still_s=0.15)

    assert hearing.told == [(9001, 9002), (9002, 9003), (9003, 9004), (9004, 9005)]
    assert hearing.problems == [None] * 4
    assert "the settings file" not in caplog.text


def test_a_change_that_is_refused_while_it_stands_in_the_file_is_not_taken_for_an_edit(
    write: WriteFile, follow: Follow
) -> None:
    path = write(GOOD)
    store = follow(every_s=0.01, settled_s=0.01)

    def refuse_later(old: Settings, new: Settings) -> None:
        if new.proxy_port == 9002:
            assert "9002" in path.read_text()
            time.sleep(0.2)
            raise PortTaken("port 9002 is taken")

    store.listen(refuse_later)
    hearing = Hearing(store)
    with pytest.raises(PortTaken):
        store.update(proxy_port=9002)
    settled(lambda: len(hearing.told) + len(hearing.problems))

    assert path.read_text() == GOOD
    assert store.problem is None
    assert hearing.told == []


def test_clicks_and_edits_that_meet_are_both_in_force(write: WriteFile, follow: Follow) -> None:
    path = write(GOOD)
    store = follow(every_s=0.01, settled_s=0.01)

    for number in range(1, 21):
        text = path.read_text().replace(f"proxy_port = {9000 + number}\n", f"proxy_port = {9001 + number}\n")
        by_rename(path, text)
        store.update(openai_timeout=float(number))

    wait_for_port(store, 9021)
    assert store.current.openai_timeout == 20
    assert store.problem is None


def test_two_programs_with_one_file_follow_each_other(write: WriteFile, follow: Follow) -> None:
    write(GOOD)
    one, other = follow(), follow()
    hearing = Hearing(other)

    one.update(proxy_port=9002)
    wait_for_port(other, 9002)
    other.update(proxy_port=9003)
    wait_for_port(one, 9003)

    wait_for(lambda: hearing.told == [(9001, 9002), (9002, 9003)], "the listener is told")


# --- the follower itself ----------------------------------------------------------------------------------------------


def threads() -> int:
    return [thread.name for thread in threading.enumerate()].count("settings-follower")


def test_it_has_one_thread_that_ends_with_it_and_begins_again(write: WriteFile) -> None:
    store = SettingsStore(write(GOOD))
    follower = SettingsFollower(store, EVERY_S, EVERY_S)
    follower.stop()
    others = threads()  # of apps under no server of ours, which other tests have made

    for _ in range(2):
        follower.start()
        follower.start()
        assert threads() == others + 1
        follower.stop()
        follower.stop()
        assert threads() == others

    write(EDITED)
    follower.start()
    assert store.current.proxy_port == 9002
    follower.stop()


def test_it_stops_at_once_also_while_a_file_is_settling(write: WriteFile) -> None:
    store = SettingsStore(write(GOOD))
    others = threads()
    follower = SettingsFollower(store, 0.01, 60)
    follower.start()
    write(EDITED)
    began = time.monotonic()
    follower.stop()

    assert time.monotonic() - began < 1
    assert threads() == others


@on_posix
def test_it_costs_next_to_nothing(write: WriteFile) -> None:
    path = write(GOOD)
    os.utime(path, (1_700_000_000, 1_700_000_000))
    follower = SettingsFollower(SettingsStore(path), 0.001, 0.001)
    follower.start()
    began = time.process_time()
    time.sleep(1)
    follower.stop()

    assert time.process_time() - began < 0.5  # some hundred looks; the program makes one a second
