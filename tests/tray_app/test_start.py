"""How the tray program starts: quickly, and with a sentence where it cannot."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from fakes.environment import environment
from fakes.program import Program, run_python
from waiting import at_once

pytestmark = pytest.mark.timeout(120)  # several programs each

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


@dataclass
class Second:
    """A start beside a first copy, which answers nobody: what it printed, and how it ended where it did."""

    first_pid: int
    first_code: int | None
    printed: str
    code: int | None = None
    is_serving: bool = False


def second_start(home: Path, how: str, arguments: tuple[str, ...] = (), *, serves: bool = False) -> Second:
    """Start a first copy and another one; return what came of both once that has ended, or serves."""
    home.mkdir(mode=0o700)
    first = subprocess.Popen(
        [sys.executable, "-c", FIRST, how], env=environment(home), stdout=subprocess.PIPE, text=True
    )
    try:
        assert first.stdout is not None
        assert first.stdout.readline() == "ready\n"
        if not serves:
            ended = start(home, *arguments)
            return Second(first.pid, first.poll(), ended.stdout + ended.stderr, ended.returncode)
        with tray(home, *arguments) as program:
            is_serving = program.port > 0
            return Second(first.pid, first.wait(5), program.printed, is_serving=is_serving)
    finally:
        first.kill()
        first.communicate()


def tray(home: Path, *arguments: str) -> Program:
    """Return the tray program without an icon, not yet started."""
    words = (*arguments, "--port", "0", "--tray", "none")
    return Program(home, *words, command=("-m", "tray_app"), DISPLAY="", DBUS_SESSION_BUS_ADDRESS="")


# Each waits some seconds for the first copy, so all wait at once.
SECOND_STARTS = {
    "beside one that hangs": partial(second_start, how="hangs"),
    "replacing one that ends": partial(second_start, how="ends", arguments=("--replace",), serves=True),
    "replacing one that hangs": partial(second_start, how="hangs", arguments=("--replace",), serves=True),
    "replacing one nobody can name": partial(second_start, how="not published", arguments=("--replace",)),
}


@pytest.fixture(scope="module")
def second_starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Second]:
    """Start each beside its first copy and return what came of it."""
    folder = tmp_path_factory.mktemp("s")  # the address of a socket may be 107 bytes long

    def run(number: int, begin: Callable[[Path], Second]) -> Second:
        return begin(folder / str(number))

    return dict(zip(SECOND_STARTS, at_once(run, enumerate(SECOND_STARTS.values()), at_most=4), strict=True))


def test_a_first_copy_that_hangs_is_named_by_its_process(second_starts: dict[str, Second]) -> None:
    second = second_starts["beside one that hangs"]

    assert f"(process {second.first_pid}) but does not answer" in second.printed
    assert "--replace" in second.printed


def test_a_start_at_login_is_silent_where_the_program_runs(tmp_path: Path) -> None:
    second = second_start(tmp_path / "login", "ends", ("--at-login",))

    assert (second.code, second.printed) == (0, "")


@pytest.mark.parametrize(("how", "code"), [("ends", -signal.SIGTERM), ("hangs", -9)])
def test_replace_ends_the_first_copy_and_takes_its_place(second_starts: dict[str, Second], how: str, code: int) -> None:
    second = second_starts[f"replacing one that {how}"]

    assert second.is_serving
    assert second.first_code == code


def test_replace_where_nothing_runs_is_a_plain_start(empty_computer: Path) -> None:
    with tray(empty_computer, "--replace") as program:
        assert program.port


def test_replace_ends_nobody_it_cannot_name(second_starts: dict[str, Second]) -> None:
    second = second_starts["replacing one nobody can name"]

    assert second.code == 1
    assert "end its process by hand" in second.printed
    assert second.first_code is None
