"""How the tray program starts: quickly, and with a sentence where it cannot."""

import json
import subprocess
from pathlib import Path

import pytest

from fakes.program import run_python

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
        ((), {"PROXY_PORT": "many"}, "PROXY_PORT is 'many' (from the environment)"),
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
