"""The look through every file at the session's end finds a key where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
KEY = "sk-known-to-the-inner-session"
CONFTEST = "from fakes.leaks import pytest_sessionfinish, pytest_terminal_summary\n"
INNER = """
from fakes.leaks import know

def test_that_passes(tmp_path):
    know({key!r})
    (tmp_path / "deep" / "down").mkdir(parents=True)
    (tmp_path / "deep" / "down" / "state.bin").write_bytes({content!r})
"""


def run_session(folder: Path, content: bytes) -> "subprocess.CompletedProcess[str]":
    """Run a session of one test that knows a key and writes a file."""
    inner = folder / "inner"
    inner.mkdir()
    (inner / "conftest.py").write_text(CONFTEST)
    (inner / "test_inner.py").write_text(INNER.format(key=KEY, content=content))
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'temporary'}", inner],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        cwd=folder,
    )


@pytest.mark.parametrize(
    "content", [KEY.encode(), b"\x00\xff" + KEY.encode() + b"\x00", b'{"key": "%s"}' % KEY.encode()]
)
def test_a_key_in_a_file_fails_the_session_and_the_file_is_named(tmp_path: Path, content: bytes) -> None:
    done = run_session(tmp_path, content)

    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "state.bin holds the key that ends in sion" in done.stdout
    assert KEY not in done.stdout


def test_files_without_a_key_pass(tmp_path: Path) -> None:
    done = run_session(tmp_path, b"sk-kn[key]")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "none of 1 keys stands in a file" in done.stdout
