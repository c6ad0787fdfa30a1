"""Start at login: off until it is asked for, read from the system each time, and gone without a trace."""

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.errors.configuration import InstallationFailed
from proxy.install import autostart
from proxy.install.desktop_entry import command_words, read_keys
from proxy.install.windows import is_switched_off

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the file is Linux's")


def test_it_is_off_until_somebody_asks(empty_computer: Path) -> None:
    assert not autostart.status().is_on
    assert str(autostart.status()) == "off"
    assert not autostart.entry_file().parent.exists()


def test_on_and_off_twice_leave_nothing(empty_computer: Path) -> None:
    assert autostart.switch_on().is_on
    assert autostart.switch_on().is_on
    assert not autostart.switch_off().is_on
    assert not autostart.switch_off().is_on

    assert not autostart.entry_file().exists()
    assert list(autostart.entry_file().parent.iterdir()) == []


def test_the_session_starts_what_runs_now_and_in_silence(empty_computer: Path) -> None:
    autostart.switch_on()

    words = command_words(read_keys(autostart.entry_file().read_text())["Exec"])

    assert words == [sys.executable, "-I", "-m", "tray_app", "--at-login"]


def test_the_script_that_started_the_program_is_what_login_starts(
    empty_computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("START_COMMAND", "./start.sh")
    autostart.switch_on()

    words = command_words(read_keys(autostart.entry_file().read_text())["Exec"])

    assert [Path(words[0]).name, *words[1:]] == ["start.sh", "--at-login"]
    assert Path(words[0]).is_absolute()


@pytest.mark.parametrize(
    "line", ["Hidden=true", "X-GNOME-Autostart-enabled=false", "Hidden = true", "Exec=", "Hidden=true\nExec=/bin/true"]
)
def test_what_the_desktop_has_switched_off_is_off(empty_computer: Path, line: str) -> None:
    autostart.switch_on()
    name = line.partition("=")[0].strip()
    kept = [old for old in autostart.entry_file().read_text().splitlines() if not old.startswith(name)]
    autostart.entry_file().write_text("\n".join([*kept, line]))

    assert not autostart.status().is_on
    assert autostart.switch_on().is_on


def test_a_program_that_has_moved_is_said(empty_computer: Path) -> None:
    autostart.switch_on()
    file = autostart.entry_file()
    file.write_text(file.read_text().replace(sys.executable, "/nowhere/python"))

    assert autostart.status().is_on
    assert "/nowhere/python is not there any more" in str(autostart.status())


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[Desktop Entry]\nExec", b"x" * 100_000])
def test_a_broken_file_is_off_and_mended_by_on(empty_computer: Path, content: bytes) -> None:
    autostart.entry_file().parent.mkdir(parents=True)
    autostart.entry_file().write_bytes(content)

    assert not autostart.status().is_on
    assert autostart.switch_on().is_on


@pytest.mark.parametrize("kind", ["file for a folder", "folder for the file", "link into nothing"])
def test_a_folder_that_cannot_be_written_is_a_sentence(empty_computer: Path, kind: str) -> None:
    file = autostart.entry_file()
    file.parent.parent.mkdir(parents=True, exist_ok=True)
    if kind == "file for a folder":
        file.parent.write_text("in the way")
    elif kind == "folder for the file":
        (file / "inside").mkdir(parents=True)
    else:
        file.parent.symlink_to(empty_computer / "gone")

    with pytest.raises(InstallationFailed) as caught:
        autostart.switch_on()

    assert "The desktop could not be changed: /" in str(caught.value)
    assert not autostart.status().is_on


def test_a_link_stays_a_link_when_switched_on_and_only_it_goes(empty_computer: Path) -> None:
    kept = empty_computer / "dotfiles.desktop"
    kept.write_text("")
    autostart.entry_file().parent.mkdir(parents=True)
    autostart.entry_file().symlink_to(kept)

    autostart.switch_on()
    assert autostart.entry_file().is_symlink()
    assert "Exec" in kept.read_text()

    autostart.switch_off()
    assert kept.exists()
    assert not autostart.entry_file().is_symlink()


def test_the_entry_is_valid(empty_computer: Path) -> None:
    if shutil.which("desktop-file-validate") is None:
        pytest.skip("desktop-file-validate is not installed")
    autostart.switch_on()

    done = subprocess.run(
        ["desktop-file-validate", autostart.entry_file()], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("changes", "is_on"), [({}, True), ({"Disabled": True}, False), ({"ProgramArguments": 5}, False)]
)
def test_a_launch_agent_is_read_back(tmp_path: Path, changes: dict[str, object], is_on: bool) -> None:
    content = plistlib.dumps(plistlib.loads(autostart.agent_text(["/bin/sh", "--at-login"]).encode()) | changes)

    assert autostart.read_agent(tmp_path, content).is_on is is_on


@pytest.mark.parametrize("content", [b"", b"<plist>", b"\x00\xff"])
def test_a_broken_launch_agent_is_off(tmp_path: Path, content: bytes) -> None:
    state = autostart.read_agent(tmp_path, content)

    assert (state.is_on, state.problem) == (False, "it cannot be read")


@pytest.mark.parametrize(
    ("approved", "off"),
    [
        (None, False),
        (b"", False),
        (b"\x02" + bytes(11), False),
        (b"\x03" + bytes(11), True),
        (b"\x07", True),
        ("x", False),
    ],
)
def test_the_task_manager_is_believed(approved: object, off: bool) -> None:
    assert is_switched_off(approved) is off
