"""The program's own files: whole at every moment, wherever the user has put them."""

import os
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fakes.environment import ROOT
from proxy.files import LEFT_AFTER_S, held, remove_leftovers, write_private

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes, and links for few users")


@on_posix
def test_a_file_that_is_a_link_stays_one_and_is_written_where_it_leads(tmp_path: Path) -> None:
    kept, link = tmp_path / "dotfiles" / "settings.toml", tmp_path / "config" / "settings.toml"
    for folder in (kept.parent, link.parent):
        folder.mkdir(mode=0o755)
    kept.write_text("old")
    link.symlink_to("../dotfiles/settings.toml")
    write_private(link, b"new")

    assert link.is_symlink()
    assert kept.read_bytes() == b"new"
    assert list(kept.parent.iterdir()) == [kept]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (kept.parent, link.parent)] == [0o755, 0o700]


@on_posix
def test_a_link_that_leads_nowhere_yet_is_written_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").symlink_to(tmp_path / "dotfiles" / "settings.toml")
    (tmp_path / "dotfiles").mkdir()
    write_private(tmp_path / "settings.toml", b"new")

    assert (tmp_path / "dotfiles" / "settings.toml").read_bytes() == b"new"


@pytest.mark.parametrize("refusals", [1, 3])
def test_a_file_that_is_open_elsewhere_for_a_moment_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    replace, left = os.replace, [PermissionError(13, "in use")] * refusals

    def refuse_at_first(source: object, target: object) -> None:
        """Do as Windows does while a virus scanner looks into the file."""
        if left:
            raise left.pop()
        replace(str(source), str(target))

    monkeypatch.setattr("os.replace", refuse_at_first)
    write_private(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_file_that_stays_open_elsewhere_is_an_error_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(13, "in use")

    file = tmp_path / "folder" / "file"
    write_private(file, b"old")
    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError):
        write_private(file, b"new")

    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == b"old"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    made = tmp_path / "own"
    made.mkdir()
    return made


@pytest.fixture
def ended() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("name", ["settings.toml", "upstreams.json", "a b.c"])
def test_what_a_killed_process_left_behind_is_removed_at_the_next_write(folder: Path, ended: int, name: str) -> None:
    file = folder / name
    for left in (f".{name}.{ended}", f".{name}.{ended}-0a1b2c3d"):
        (folder / left).write_text("half")

    write_private(file, b"whole")

    assert list(folder.iterdir()) == [file]


@pytest.mark.parametrize(
    "name", [".settings.toml.swp", ".settings.toml.1.bak", "settings.toml.77", ".other.77", ".settings.toml.", ".77"]
)
def test_what_others_put_there_stays(folder: Path, name: str) -> None:
    (folder / name).write_text("theirs")
    (folder / ".settings.toml.4194301").mkdir()  # nor is a folder one of ours

    write_private(folder / "settings.toml", b"whole")

    assert (folder / name).read_text() == "theirs"
    assert (folder / ".settings.toml.4194301").is_dir()


def test_what_a_running_process_writes_stays_and_what_is_old_was_left_by_a_namesake(folder: Path) -> None:
    fresh, old = folder / f".file.{os.getppid()}-00000000", folder / f".file.{os.getppid()}-11111111"
    for path in (fresh, old):
        path.write_text("half")
    long_ago = time.time() - LEFT_AFTER_S - 10
    os.utime(old, (long_ago, long_ago))

    write_private(folder / "file", b"whole")

    assert fresh.exists()
    assert not old.exists()


def test_a_whole_folder_is_swept_at_the_start_and_nothing_below_it(folder: Path, ended: int) -> None:
    names = [f".{name}.{ended}-0a1b2c3d" for name in ("settings.toml", "good-settings-12.toml", "keys-changed")]
    (folder / "below").mkdir()
    for path in (*(folder / name for name in names), folder / "below" / names[0]):
        path.write_text("half")

    remove_leftovers(folder)
    remove_leftovers(folder / "nowhere")

    assert [path.name for path in folder.iterdir()] == ["below"]
    assert (folder / "below" / names[0]).exists()


def test_two_threads_may_write_the_same_file(folder: Path) -> None:
    contents = [bytes([letter]) * 50_000 for letter in b"abcdefgh"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_private(folder / "file", content), contents * 4))

    assert (folder / "file").read_bytes() in contents
    assert [path.name for path in folder.iterdir()] == ["file"]


HOLD = "import sys; from pathlib import Path; from proxy.files import held\n"
HOLD += "with held(Path(sys.argv[1]), 5): print('held', flush=True); sys.stdin.read()"


def test_a_lock_is_waited_for_given_up_and_free_again_when_its_process_was_killed(folder: Path) -> None:
    file = folder / "state" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == b"held"
        with pytest.raises(TimeoutError), held(file, 0.1):
            pytest.fail("it is held elsewhere")
        other.kill()

    with held(file, 5):
        pass


@on_posix
@pytest.mark.parametrize("spoil", ["a folder", "a file in the folder's place", "a link that leads nowhere"])
def test_where_no_lock_can_be_had_the_work_goes_on_without_one(folder: Path, spoil: str) -> None:
    file = folder / "state" / "lock"
    if spoil == "a folder":
        file.mkdir(parents=True)
    elif spoil == "a file in the folder's place":
        file.parent.write_text("")
    else:
        file.parent.symlink_to(folder / "nowhere" / "deep")

    with held(file, 5):
        done = True

    assert done
