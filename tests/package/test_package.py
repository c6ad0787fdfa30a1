"""The package as it is handed out: what wheel and sdist hold, and that an installed one works."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
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


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the programs of an environment in which the wheel alone was installed."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    [wheel] = built.glob("*.whl")
    run_uv("venv", "--quiet", "--python", sys.executable, str(folder))
    lock = ROOT / "requirements.lock"
    run_uv(
        "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), "--constraint", str(lock), str(wheel)
    )
    return folder / "bin"


def run_uv(*words: str) -> None:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    variables = {uv: variables[pip] for pip, uv in SETTINGS.items() if pip in variables} | variables
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
        "mkdocs.yml",
        "docs/index.md",
        "tests/test_layout.py",
    ):
        assert name in names


def test_it_knows_its_version_and_every_command(installed: Path, tmp_path: Path) -> None:
    for words, said in ((["--version"], __version__), (["--help"], "headless")):
        done = subprocess.run(
            [installed / "openai-tray-proxy", *words],
            env=environment(tmp_path, PYTHONPATH=""),
            timeout=60,
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        assert said in done.stdout
    assert all(f"  {command} " in done.stdout for command in cli.commands)
    assert (installed / "openai-tray-proxy-tray").exists()


@pytest.fixture(params=["demo", "headless"])
def program(installed: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Program]:
    """Run an installed one by a word that the start script has too."""
    command, python = (str(installed / "openai-tray-proxy"),), str(installed / "python")
    with Program(tmp_path, request.param, "--port", "0", command=command, python=python, PYTHONPATH="") as running:
        yield running


def test_it_serves(program: Program) -> None:
    with program.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200
