"""The core of the suite under the other Pythons of this computer: the oldest one we promise, and the newest there is.

Each gets a virtual environment of its own, made once and kept in the folder that TEST_PYTHONS_CACHE names, or in the
system's folder for temporary files.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.environment import ROOT

OLDEST = (3, 10)
LOCK = ROOT / "requirements-test.lock"
INSTALL_S = 400
RUN_S = 240  # both at once, on a busy computer
USER = os.getuid() if hasattr(os, "getuid") else "user"
PROBE = "import ensurepip, sys, venv; print(*sys.version_info[:2])"

Version = tuple[int, int]


class Session:
    """The core of the suite under one Python; what it prints goes to a file, so that it never waits for a reader."""

    def __init__(self, python: Path, variables: dict[str, str], told: Path) -> None:
        self._told = told
        folders = [str(Path("tests", name)) for name in ("e2e", "faults", "proxy", "sockets")]
        with told.open("wb") as output:
            self._process = subprocess.Popen(
                [python, "-m", "pytest", "-m", "core", "-q", "-p", "no:cacheprovider", *folders],
                env=variables | {"PYTHONDONTWRITEBYTECODE": "1"},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def outcome(self) -> tuple[int, str]:
        """Wait for its end; return its exit code and what it printed."""
        code = self._process.wait(RUN_S)
        return code, self._told.read_text(encoding="utf-8", errors="replace")

    def end(self) -> None:
        """End it where it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture(scope="module")
def own_environment() -> dict[str, str]:
    """Return the environment as it was before the tests emptied it: pip's settings and cache are in there."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


@pytest.fixture(scope="module")
def pythons() -> dict[Version, str]:
    """Return the Pythons that really run, by version."""
    names = [f"python3.{minor}" for minor in range(OLDEST[1], OLDEST[1] + 20)]
    paths = [path for name in names if (path := shutil.which(name))]
    beside = Path(sys.base_prefix).parent  # where version managers keep one Python next to the other
    paths += [str(path) for path in beside.glob("*/bin/python3.*") if re.fullmatch(r"python3\.\d+", path.name)]
    found: dict[Version, str] = {}
    for path in paths:
        version = version_of(path)
        if version is not None and version >= OLDEST:
            found.setdefault(version, path)
    return found


def version_of(path: str) -> Version | None:
    """Return the version of a Python that can make virtual environments, None where it cannot or does not run."""
    try:
        told = subprocess.run([path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor = told.split()
    return int(major), int(minor)


@pytest.fixture(scope="module")
def sessions(
    pythons: dict[Version, str], own_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Version, Session]]:
    """Begin a session of tests under each of the two: side by side, for they wait for the most part."""
    with ExitStack() as stack:
        begun: dict[Version, Session] = {}
        for version in {OLDEST, max(pythons, default=OLDEST)} & pythons.keys() - {sys.version_info[:2]}:
            python = environment_of(pythons[version], version, own_environment)
            begun[version] = Session(python, own_environment, tmp_path_factory.mktemp("session") / "told")
            stack.callback(begun[version].end)
        yield begun


@pytest.mark.timeout(2 * INSTALL_S + RUN_S)
@pytest.mark.parametrize("which", ["the oldest", "the newest"])
def test_the_core_of_the_suite_passes_under(
    which: str, pythons: dict[Version, str], sessions: dict[Version, Session]
) -> None:
    version = OLDEST if which == "the oldest" else max(pythons, default=OLDEST)
    if version not in pythons:
        pytest.skip(f"Python {version[0]}.{version[1]} is not on this computer")
    if version == sys.version_info[:2]:
        pytest.skip(f"Python {version[0]}.{version[1]} runs this suite already")
    code, told = sessions[version].outcome()

    assert code == 0, told[-20_000:]
    assert re.search(r"\d+ passed", told)


def environment_of(base: str, version: Version, variables: dict[str, str]) -> Path:
    """Return the Python of a virtual environment that holds what the lock file names, making it where it is missing."""
    cache = Path(variables.get("TEST_PYTHONS_CACHE") or Path(tempfile.gettempdir(), f"openai-tray-proxy-{USER}"))
    lock = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder = cache / f"{version[0]}.{version[1]}-{lock}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if hasattr(os, "getuid") and cache.exists() and cache.stat().st_uid != os.getuid():
        pytest.skip(f"{cache} belongs to somebody else; name another folder in TEST_PYTHONS_CACHE")
    complete = folder / "complete"  # written last: what lacks it was broken off
    if complete.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    for command in ([base, "-m", "venv", str(folder)], [*pip, "--require-hashes", "-r", str(LOCK)]):
        made = subprocess.run(
            command,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=INSTALL_S,
            check=False,
        )
        if made.returncode != 0:
            give_up = pytest.fail if variables.get("CI") else pytest.skip  # elsewhere there may be no network
            give_up(f"the environment for Python {version[0]}.{version[1]} could not be made: {made.stdout[-1500:]}")
    complete.touch()
    return python
