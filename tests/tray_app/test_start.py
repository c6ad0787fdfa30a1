"""How the tray program starts: quickly, and with a sentence where it cannot."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.environment import environment
from fakes.program import Program, run_python

# What must not be loaded before the icon is there: the SDK, the keyring's backends, another system's tray.
HEAVY = ("openai", "keyring", "pystray", "httpx2", "mcp", "jsonschema", "tkinter")
LOADED = "import json, sys, tray_app.__main__; print(json.dumps(sorted(sys.modules)))"


def test_nothing_heavy_is_imported_before_the_icon(empty_computer: Path) -> None:
    ended = run_python(empty_computer, "-c", LOADED)

    assert set(json.loads(ended.stdout)) & set(HEAVY) == set()


def start(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return run_python(home, "-m", "tray_app", *arguments, DISPLAY="", DBUS_SESSION_BUS_ADDRESS="", **variables)


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("--host", "0.0.0.0"), {}, "PROXY_HOST is '0.0.0.0' (from the command line)"),
        (("--port", "70000"), {}, "70000 is not in the range"),
        (("--tray", "qt"), {}, "'qt' is not one of"),
    ],
)
def test_what_is_wrong_outside_the_settings_file_ends_the_start_with_a_sentence(
    empty_computer: Path, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    ended = start(empty_computer, *arguments, **variables)

    assert ended.returncode != 0
    assert said in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_lock_that_cannot_be_kept_ends_the_start_with_a_sentence(empty_computer: Path) -> None:
    (empty_computer / "run" / "openai-tray-proxy").write_text("a file where the folder should be")

    ended = start(empty_computer)

    assert ended.returncode == 1
    assert "File exists" in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


# A first copy: it takes the lock and says which process it is; told to hang, it ends for nobody but the system.
FIRST = """
import os, signal, sys, time
from proxy import paths
from tray_app.single_instance import SingleInstance

if sys.argv[1] == "hangs":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with SingleInstance(paths.runtime_dir()) as instance:
    if sys.argv[1] != "not published":
        instance.publish(os.getpid(), "http://127.0.0.1:9", "a-token")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def first(empty_computer: Path) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Return a function that starts a first copy, which answers nobody."""
    started = []

    def start_first(how: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", FIRST, how], env=environment(empty_computer), stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start_first
    for process in started:
        process.kill()
        process.communicate()


def test_a_first_copy_that_hangs_is_named_by_its_process(
    empty_computer: Path, first: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    hanging = first("hangs")

    ended = start(empty_computer)

    assert f"(process {hanging.pid}) but does not answer" in ended.stdout
    assert "--replace" in ended.stdout


def test_a_start_at_login_is_silent_where_the_program_runs(
    empty_computer: Path, first: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    first("ends")

    ended = start(empty_computer, "--at-login")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize(("how", "code"), [("ends", -signal.SIGTERM), ("hangs", -9)])
def test_replace_ends_the_first_copy_and_takes_its_place(
    empty_computer: Path, first: Callable[[str], "subprocess.Popen[str]"], how: str, code: int
) -> None:
    other = first(how)

    with Program(
        *(empty_computer, "--replace", "--port", "0", "--tray", "none"),
        command=("-m", "tray_app"),
        DISPLAY="",
        DBUS_SESSION_BUS_ADDRESS="",
    ) as program:
        assert program.port

    assert other.wait(5) == code


def test_replace_where_nothing_runs_is_a_plain_start(empty_computer: Path) -> None:
    with Program(
        *(empty_computer, "--replace", "--port", "0", "--tray", "none"),
        command=("-m", "tray_app"),
        DISPLAY="",
        DBUS_SESSION_BUS_ADDRESS="",
    ) as program:
        assert program.port


def test_replace_ends_nobody_it_cannot_name(
    empty_computer: Path, first: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    other = first("not published")

    ended = start(empty_computer, "--replace")

    assert ended.returncode == 1
    assert "end its process by hand" in ended.stdout
    assert other.poll() is None
