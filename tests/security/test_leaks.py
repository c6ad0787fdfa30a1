"""The look through every file at the session's end finds a key where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
KEY = "sk-known-to-the-inner-session"
CONFTEST = "from fakes.leaks import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown\n"
KNOWS = f"""
from fakes.leaks import know

def test_that_knows_a_key():
    know({KEY!r})
"""
WRITES = """
def test_that_writes(tmp_path):
    (tmp_path / "deep" / "down").mkdir(parents=True)
    for number, content in enumerate({contents!r}):
        (tmp_path / "deep" / "down" / f"state.{{number}}").write_bytes(content)
"""


def run_session(folder: Path, *contents: bytes, options: tuple[str, ...] = ()) -> "subprocess.CompletedProcess[str]":
    """Run a session of two tests: one knows a key, the other writes a file for each of these contents."""
    inner = folder / "inner"
    inner.mkdir()
    (inner / "conftest.py").write_text(CONFTEST)
    (inner / "test_that_knows.py").write_text(KNOWS)
    (inner / "test_that_writes.py").write_text(WRITES.format(contents=contents))
    words = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'temporary'}", *options, inner]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        cwd=folder,
    )


@pytest.mark.parametrize("options", [(), ("--numprocesses=2", "--dist=loadfile")], ids=["whole", "divided"])
def test_a_key_in_a_file_fails_the_session_and_the_file_is_named(tmp_path: Path, options: tuple[str, ...]) -> None:
    key = KEY.encode()
    done = run_session(tmp_path, key, b"\x00\xff" + key + b"\x00", b'{"key": "%s"}' % key, options=options)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    for number in range(3):
        assert f"state.{number} holds the key that ends in sion" in done.stdout
    assert KEY not in done.stdout


def test_files_without_a_key_pass(tmp_path: Path) -> None:
    done = run_session(tmp_path, b"sk-kn[key]")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "none of 1 keys stands in a file" in done.stdout
