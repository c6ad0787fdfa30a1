"""Real client programs, connected by us: they chat through the proxy, and their files are as before afterwards."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.environment import environment
from fakes.program import Program, run_python

FOLDER = Path(__file__).parent / "programs"
PLACES = (FOLDER / "node_modules" / ".bin", FOLDER / "aider" / ".venv" / "bin", FOLDER / "llm" / ".venv" / "bin")
CHAT_LIMIT_S = 120
QUIET = ("--no-git", "--yes-always", "--no-check-update", "--no-show-model-warnings", "--no-analytics")

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="the programs are installed for Linux"),
]


@dataclass(frozen=True)
class Tried:
    """A client program: its settings file below the home, what that holds, and a chat by file and by `run`."""

    name: str
    file: str
    held: bytes | None
    chat: tuple[str, ...]
    chat_by_run: tuple[str, ...] | None
    told: str = "Hello-there"  # what its output must hold: the demo says what it was told


TRIED = (
    Tried(
        "codex",
        ".codex/config.toml",
        b"# mine\n[features] # why\n\n# end",
        ("codex", "exec", "-m", "demo-chat", "--skip-git-repo-check", "Hello-there"),
        ("codex", "exec", "-m", "demo-chat", "--skip-git-repo-check", "Hello-there"),
    ),
    Tried(
        "opencode",
        "xdg_config_home/opencode/opencode.json",
        b'{\n  "autoupdate": false, // mine\n}\n',
        ("opencode", "run", "-m", "openai-tray-proxy/demo-chat", "Hello-there"),
        ("opencode", "run", "-m", "openai-tray-proxy/demo-chat", "Hello-there"),
    ),
    Tried("continue", ".continue/config.yaml", None, ("cn", "-p", "Hello-there"), None),
    Tried(
        "aider",
        ".aider.conf.yml",
        b"# mine\nauto-commits: false\n",
        ("aider", *QUIET, "--message", "Hello-there"),
        ("aider", *QUIET, "--model", "openai/demo-chat", "--message", "Hello-there"),
        told="received",  # it shows a diff in place of the answer
    ),
    Tried(
        "llm",
        "xdg_config_home/io.datasette.llm/extra-openai-models.yaml",
        b"- model_id: a # mine\n  model_name: b\n",
        ("llm", "-m", "proxy/demo-chat", "Hello-there"),
        ("llm", "-m", "gpt-4o-mini", "Hello-there"),
    ),
)


def found(command: str) -> Path:
    """Return where a program is; the test is skipped, on a build server failed, where it is not installed."""
    for place in PLACES:
        if (place / command).exists():
            return place / command
    reason = f"{command} is not installed: `.ci/programs` does it"
    if os.environ.get("REQUIRE_PROGRAMS"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def demo(empty_computer: Path) -> Iterator[Program]:
    with Program(empty_computer, "serve", "--demo", "--port", "0") as running:
        assert running.port
        yield running


def chat(home: Path, *words: str) -> str:
    work = home / "work"
    work.mkdir(exist_ok=True)
    done = subprocess.run(
        words,
        cwd=work,
        env=environment(home, PATH=os.pathsep.join([*map(str, PLACES), os.environ["PATH"]])),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=CHAT_LIMIT_S,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace")


@pytest.mark.parametrize("tried", TRIED, ids=lambda tried: tried.name)
def test_a_program_is_connected_chats_and_is_as_before(tried: Tried, demo: Program, empty_computer: Path) -> None:
    program = found(tried.chat[0])
    file = empty_computer / tried.file
    if tried.held is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(tried.held)

    written = run_python(empty_computer, "-m", "proxy", "connect", tried.name, "--write")
    assert written.returncode == 0, written.stderr
    said = chat(empty_computer, str(program), *tried.chat[1:])
    undone = run_python(empty_computer, "-m", "proxy", "connect", tried.name, "--undo")

    assert tried.told in said
    assert "demo" in said or tried.name == "aider"
    assert undone.returncode == 0, undone.stderr
    assert (file.read_bytes() if file.exists() else None) == tried.held


@pytest.mark.parametrize("tried", [tried for tried in TRIED if tried.chat_by_run], ids=lambda tried: tried.name)
def test_a_program_chats_by_one_command_and_no_file_is_written(
    tried: Tried, demo: Program, empty_computer: Path
) -> None:
    assert tried.chat_by_run is not None
    program = found(tried.chat_by_run[0])

    said = chat(empty_computer, sys.executable, "-m", "proxy", "run", "--", str(program), *tried.chat_by_run[1:])

    assert tried.told in said
    file = empty_computer / tried.file
    assert not file.exists() or b"127.0.0.1" not in file.read_bytes()
