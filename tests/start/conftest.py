"""A project in miniature around the real start.sh: installs in seconds and needs no network."""

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fakes.environment import ROOT

START_SH = ROOT / "start.sh"

PYPROJECT = """
[build-system]
requires = []
build-backend = "build_stub"
backend-path = ["."]
"""

# What pip calls to install the project: it hands out a ready wheel, counts, and can be told to hold on while pip lives.
BUILD_STUB = """
import os, shutil, time
from pathlib import Path

def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    with Path("builds").open("a") as builds:
        builds.write("x")
    if Path("hold_on").exists():
        with Path("hold_on").open("w") as fifo:
            fifo.write("building")
        pip = os.getppid()
        while os.getppid() == pip:
            time.sleep(0.02)
    name = "stub-1-py3-none-any.whl"
    shutil.copy(Path("wheels", name), wheel_directory)
    return name
"""

# Tells who it is, what it was given and whence it came; how it is called; "exit N" and "wait" are for tests.
PROGRAM = """
import json, os, signal, sys
from pathlib import Path

words = sys.argv[1:]
told = json.dumps([NAME, *words])
if words[:1] == ["exit"]:
    sys.exit(int(words[1]))
if words[:1] == ["wait"]:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM])
    print("stopped", flush=True)
    sys.exit(3)
if words[:1] == ["write"]:
    Path(words[1]).write_text(told)
print(told)
print(Path(__file__).resolve().parent)
print(os.environ.get("START_COMMAND"))
"""


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> str:
    """Write a wheel of these files into the folder and return its sha256."""
    info = f"{name}-1.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        record = [f"{file},sha256={urlsafe_sha256(text)},{len(text.encode())}" for file, text in files.items()]
        wheel.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,", ""]))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def urlsafe_sha256(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Project:
    """The miniature, and what a user does with it."""

    root: Path
    environment: dict[str, str]
    first_starts: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def start_sh(self) -> Path:
        return self.root / "start.sh"

    @property
    def stamp(self) -> Path:
        return self.root / ".venv" / "start.stamp"

    def builds(self) -> int:
        """Return how often pip has installed the project."""
        counter = self.root / "builds"
        return len(counter.read_text()) if counter.exists() else 0

    def popen(self, *words: str, script: Path | None = None, **options) -> subprocess.Popen:
        return subprocess.Popen(
            [script or self.start_sh, *words],
            env=self.environment | options.pop("env", {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # no terminal, and a group of its own for Ctrl-C
            **options,
        )

    def run(self, *words: str, **options) -> subprocess.CompletedProcess:
        with self.popen(*words, **options) as process:
            out, err = process.communicate(timeout=50)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def change_pyproject(self) -> None:
        with (self.root / "pyproject.toml").open("a") as file:
            file.write("# changed\n")


# A python3 that believes what the line of Python does to it, and makes a venv as the line of shell says.
PYTHON = """#!/bin/sh
real='{real}'
if [ "$2 $3" = '-m venv' ]; then
    {venv}
fi
if [ "$2" = -c ]; then
    code=$3
    shift 3
    exec "$real" -I -c '
import sys
sys.executable, code = sys.argv.pop(1), sys.argv.pop(1)
sys.prefix = sys.base_prefix
{line}
exec(code)
' "$0" "$code" "$@"
fi
exec "$real" "$@"
"""


def write_python(path: Path, line: str, venv: str) -> Path:
    path.write_text(PYTHON.format(real=sys.executable, line=line, venv=venv))
    path.chmod(0o755)
    return path


def make_project(root: Path, home: Path, python: Path) -> Project:
    for folder in ("proxy", "tray_app", "wheels"):
        (root / folder).mkdir(parents=True)
    home.mkdir(exist_ok=True)
    (root / "start.sh").write_bytes(START_SH.read_bytes())
    (root / "start.sh").chmod(0o755)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "build_stub.py").write_text(BUILD_STUB)
    (root / "proxy" / "__main__.py").write_text(PROGRAM.replace("NAME", repr("proxy")))
    (root / "pytest.py").write_text(PROGRAM.replace("NAME", repr("pytest")))
    write_wheel(root / "wheels", "stub", {"stub.pth": f"{root}\n"})
    runtime, testing = (
        f"{name}==1 --hash=sha256:{write_wheel(root / 'wheels', name, {f'{name}.py': ''})}\n"
        for name in ("runtime", "testing")
    )
    (root / "requirements.lock").write_text(runtime)
    (root / "requirements-test.lock").write_text(runtime + testing)
    environment = {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "PYTHON": str(python),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": (root / "wheels").as_uri(),
    }
    return Project(root, environment)


@pytest.fixture(scope="session")
def quick_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a Python that makes its first venv as any other does, and the next ones as copies of it: in no time."""
    folder = tmp_path_factory.mktemp("python")
    first = folder / "first-venv"
    copy = f"""[ -d '{first}' ] || "$real" -m venv '{first}' && exec cp -a '{first}/.' "$4"; exit"""
    return write_python(folder / "python3", "pass", copy)


@pytest.fixture
def new_project(tmp_path: Path, quick_python: Path) -> Project:
    """Return a project that was never started."""
    return make_project(tmp_path / "a new project", tmp_path / "home", quick_python)


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory, quick_python: Path) -> Project:
    """Return a project that two impatient clicks have installed; who breaks it, repairs it."""
    folder = tmp_path_factory.mktemp("start")
    project = make_project(folder / "a project", folder / "home", quick_python)
    clicks = [project.popen("demo"), project.popen("demo")]
    for click in clicks:
        with click:
            out, err = click.communicate(timeout=50)
        project.first_starts.append((click.returncode, out, err))
    return project


@pytest.fixture
def poor_path(tmp_path: Path) -> Path:
    """Return a folder for PATH that has what start.sh calls, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("cat", "cksum", "dirname", "env", "grep", "mkdir", "mv", "readlink", "rm", "sh"):
        (folder / tool).symlink_to(shutil.which(tool, path="/usr/bin:/bin"))
    return folder


@pytest.fixture
def fake_python(poor_path: Path) -> Callable[..., None]:
    """Return a function that writes a python3, on the poor path unless told where else."""

    def put(line: str = "pass", venv: str = ":", folder: Path = poor_path) -> None:
        write_python(folder / "python3", line, venv)

    return put
