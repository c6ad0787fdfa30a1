import subprocess
import sys
import threading
import time

import pytest

from tray_app.children import child_environment, run_with_input, start
from waiting import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the programs here are shell scripts")

FROZEN = "import sys; sys.frozen = True; from tray_app.children import child_environment as e; print(e().get('{name}'))"


def inherited(name: str, **variables: str) -> str:
    """Return the variable that a frozen app started with these variables gives to its children."""
    command = [sys.executable, "-c", FROZEN.format(name=name)]
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout.strip()


def test_a_frozen_app_keeps_its_library_path_to_itself():
    assert inherited("LD_LIBRARY_PATH", LD_LIBRARY_PATH="/app/_internal") == "None"


def test_a_frozen_app_hands_on_the_library_path_the_user_had():
    variables = {"LD_LIBRARY_PATH": "/app/_internal", "LD_LIBRARY_PATH_ORIG": "/opt/lib"}

    assert inherited("LD_LIBRARY_PATH", **variables) == "/opt/lib"
    assert inherited("LD_LIBRARY_PATH_ORIG", **variables) == "None"


def test_a_program_that_leaves_a_process_behind_does_not_hold_us_up():
    began = time.monotonic()

    run_with_input(["/bin/sh", "-c", "sleep 3 &"], "text", timeout_s=10)

    assert time.monotonic() - began < 2


def test_a_program_is_fed_the_text_and_its_variables(tmp_path):
    run_with_input(
        ["/bin/sh", "-c", f'cat > {tmp_path}/text; echo "$COLOUR" >> {tmp_path}/text'], "häuser ", 10, COLOUR="blue"
    )

    assert (tmp_path / "text").read_text(encoding="utf-8") == "häuser blue\n"


def test_a_program_that_fails_while_it_is_fed_is_reported():
    with pytest.raises(subprocess.CalledProcessError):
        run_with_input(["/bin/false"], "text", timeout_s=10)


@pytest.mark.parametrize(("program", "worked"), [("/bin/true", True), ("/bin/false", False)])
def test_a_program_that_ends_at_once_tells_whether_it_worked(program, worked):
    assert start([program], timeout_s=10) is worked


def test_a_program_that_stays_is_taken_to_work_and_leaves_no_zombie(tmp_path):
    pid_file = tmp_path / "pid"

    assert start(["/bin/sh", "-c", f"echo $$ > {pid_file}; exec sleep 0.5"], timeout_s=0.1)

    wait_for(pid_file.exists, "the program's start")
    wait_for(lambda: "child-exit" not in {thread.name for thread in threading.enumerate()}, "the program's end")
    assert subprocess.run(["ps", "-p", pid_file.read_text().strip()], capture_output=True).returncode == 1


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_API_KEY_GROQ", "PROXY_API_KEYS", "PROXY_API_KEY"])
def test_no_program_that_is_started_gets_a_key(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "a-key")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://api.openai.com/v1")
    environment = child_environment()
    assert name not in environment
    assert environment["OPENAI_BASE_URL"] == "https://api.openai.com/v1"
