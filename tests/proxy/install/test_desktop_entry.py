"""Desktop entries: what is written is what GLib and we read back, whatever letters a path has."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.install.desktop_entry import command_words, entry_text, exec_value, read_keys
from waiting import wait_for

PATHS = [
    "/opt/plain/start.sh",
    "/home/a b/start.sh",
    "/home/o'hare/start.sh",
    '/home/"quoted"/start.sh',
    "/home/$HOME/`id`/start.sh",
    "/home/back\\slash/start.sh",
    "/home/100%/start.sh",
    "/home/%f %u/start.sh",
    "/home/Жук ü/start.sh",
    "/home/tab\there/start.sh",
    "/home/a;b=c #d/start.sh",
]


@pytest.mark.parametrize("path", PATHS)
def test_a_command_is_read_back_as_it_was_written(path: str) -> None:
    text = entry_text({"Type": "Application", "Exec": exec_value([path, "--at-login"])})

    assert command_words(read_keys(text)["Exec"]) == [path, "--at-login"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("plain --flag", ["plain", "--flag"]),
        ("program %U", ["program"]),
        ('"a b" %f c', ["a b", "c"]),
        ("", []),
        ("%%", ["%"]),
    ],
)
def test_commands_that_others_wrote_are_read(value: str, words: list[str]) -> None:
    assert command_words(value) == words


@pytest.mark.parametrize(
    "folder", ["plain", "a b", "o'hare", '"q"', "$HOME `id`", "back\\slash", "100%", "%f", "Жук ü"]
)
@pytest.mark.skipif(sys.platform != "linux", reason="GLib's launcher is Linux's")
def test_glib_starts_the_program_wherever_it_lies(tmp_path: Path, folder: str) -> None:
    if shutil.which("gio") is None:
        pytest.skip("gio is not installed")
    program = tmp_path / folder / "start.sh"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s|" "$0" "$@" > \'{tmp_path}/told\'\n')
    program.chmod(0o755)
    entry = tmp_path / "entry.desktop"
    entry.write_text(
        entry_text({"Type": "Application", "Name": "X", "Exec": exec_value([str(program), "--at-login"])}),
        encoding="utf-8",
    )

    subprocess.run(["gio", "launch", entry], check=True, timeout=20)

    wait_for(lambda: (tmp_path / "told").exists() and (tmp_path / "told").read_text().endswith("--at-login|"), "it ran")
    assert (tmp_path / "told").read_text() == f"{program}|--at-login|"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", {}),
        ("Hidden=true\n", {}),
        ("[Desktop Entry]\n# Hidden=true\nHidden = false\n", {"Hidden": "false"}),
        ("[Desktop Entry]\nA=1\n[Desktop Action x]\nA=2\nB=3\n", {"A": "1"}),
        ("[Desktop Entry]\nno key\nA=b=c\n", {"A": "b=c"}),
    ],
)
def test_only_the_first_group_is_read(text: str, keys: dict[str, str]) -> None:
    assert read_keys(text) == keys
