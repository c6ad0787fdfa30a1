"""The package as it is handed out: what wheel and sdist hold, and that an installed one works."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from fakes.environment import ROOT, environment
from fakes.program import Program
from proxy.cli.main import cli
from proxy.identity import __version__

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="a program is found in another folder there"),
    pytest.mark.timeout(400),
]

BUILD_S = 300
LEFT_OUT = (
    ".git",
    ".venv",
    "build",
    "dist",
    "node_modules",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    "__pycache__",
)
# uv does not read pip's settings by itself.
SETTINGS = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the sdist of what a fresh clone would hold."""
    folder = tmp_path_factory.mktemp("package")
    with TemporaryDirectory(dir=folder) as source:  # it goes again: the tests in it hold the keys the session looks for
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True, dirs_exist_ok=True)
        run_uv("build", "--out-dir", str(folder / "dist"), source)
    return folder / "dist"


@dataclass(frozen=True)
class Tool:
    """The wheel installed as people install programs: by `uv tool`, with a folder of commands and one of packages."""

    commands: Path
    packages: Path

    @property
    def python(self) -> str:
        return str(self.packages / "openai-tray-proxy" / "bin" / "python")

    @property
    def folders(self) -> dict[str, str]:
        return {"UV_TOOL_BIN_DIR": str(self.commands), "UV_TOOL_DIR": str(self.packages)}


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Tool:
    """Install the wheel alone."""
    folder = tmp_path_factory.mktemp("installed")
    tool = Tool(folder / "bin", folder / "tools")
    [wheel] = built.glob("*.whl")
    lock = ROOT / "requirements.lock"
    run_uv(
        "tool", "install", "--quiet", "--python", sys.executable, "--constraints", str(lock), str(wheel), **tool.folders
    )
    return tool


def run_uv(*words: str, **folders: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables = {uv: variables[pip] for pip, uv in SETTINGS.items() if pip in variables} | variables | folders
    done = subprocess.run(
        [sys.executable, "-m", "uv", *words],
        env=variables,
        timeout=BUILD_S,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def wheel_names(built: Path) -> set[str]:
    [wheel] = built.glob("*.whl")
    assert __version__ in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_the_program_and_what_it_shows(built: Path) -> None:
    names = wheel_names(built)

    assert {"proxy/py.typed", "tray_app/py.typed", "proxy/_assets/icon.svg"} <= names
    for folder in ("icon", "ui"):
        own = {
            path.relative_to(ROOT / "assets").as_posix()
            for path in (ROOT / "assets" / folder).rglob("*")
            if path.is_file()
        }
        assert {f"proxy/_assets/{name}" for name in own} <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"proxy", "tray_app"}


def test_the_sdist_holds_what_a_clone_does(built: Path) -> None:
    [sdist] = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    for name in (
        "README.md",
        "LICENSE",
        "start.sh",
        "start.bat",
        "OpenAI Tray Proxy.desktop",
        "mkdocs.yml",
        "docs/index.md",
        "tests/test_layout.py",
    ):
        assert name in names


def test_it_knows_its_version_and_every_command(installed: Tool, tmp_path: Path) -> None:
    for words, said in ((["--version"], __version__), (["--help"], "headless")):
        done = subprocess.run(
            [installed.commands / "openai-tray-proxy", *words],
            env=environment(tmp_path, PYTHONPATH=""),
            timeout=60,
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        assert said in done.stdout
    assert all(f"  {command} " in done.stdout for command in cli.commands)
    assert (installed.commands / "openai-tray-proxy-tray").exists()


@pytest.fixture(params=["demo", "headless"])
def program(installed: Tool, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Program]:
    """Run an installed one by a word that the start script has too."""
    command = (str(installed.commands / "openai-tray-proxy"),)
    words = (request.param, "--port", "0")
    with Program(tmp_path, *words, command=command, python=installed.python, PYTHONPATH="") as running:
        yield running


def test_it_serves(program: Program) -> None:
    with program.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200


def test_it_goes_without_a_trace_and_names_the_command_that_removes_the_package(
    installed: Tool, tmp_path: Path
) -> None:
    """Stands last: it takes the package away."""
    env = environment(tmp_path, PYTHONPATH="", DBUS_SESSION_BUS_ADDRESS="")

    def run(*words: str) -> str:
        command = [installed.commands / "openai-tray-proxy", *words]
        return subprocess.run(command, env=env, timeout=60, capture_output=True, text=True, check=True).stdout

    run("install")
    [launcher] = tmp_path.rglob("openai-tray-proxy.desktop")
    assert installed.python in launcher.read_text()
    said = run("uninstall", "--yes")
    assert "`uv tool uninstall openai-tray-proxy`" in said
    assert "`pipx uninstall openai-tray-proxy`" in said
    assert not [path for path in tmp_path.rglob("*") if "openai-tray-proxy" in path.name]

    run_uv("tool", "uninstall", "openai-tray-proxy", **installed.folders)
    assert list(installed.commands.iterdir()) == []
