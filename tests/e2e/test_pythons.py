"""The core of the suite in other environments: under every other Python we support, and with the lowest versions.

Which packages the lowest versions are is said in requirements-lowest.lock: for each direct dependency the floor that
pyproject.toml gives it. Each environment is made once and kept in the folder that TEST_PYTHONS_CACHE names, or in the
system's folder for temporary files. What ran is listed at the end of the session.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from fakes.environment import ROOT
from fakes.locks import PROJECT
from fakes.versions import PROPERTY

Version = tuple[int, int]

SUPPORTED: list[Version] = [(3, minor) for minor in range(10, 15)]
OLDEST = SUPPORTED[0]
LOCK = ROOT / "requirements-test.lock"
LOWEST = ROOT / "requirements-lowest.lock"
FOLDERS = ("e2e", "faults", "proxy", "sockets")  # below tests/, where the core is
INSTALL_S = 400
RUN_S = 420  # on a busy computer
AT_ONCE = 3  # sessions, which wait for the most part
USER = os.getuid() if hasattr(os, "getuid") else "user"
PROBE = "import sys; print(*sys.version_info[:2])"
# uv installs in seconds what takes pip a minute; it does not read pip's settings by itself.
SETTINGS = {"PIP_INDEX_URL": "UV_DEFAULT_INDEX", "PIP_CERT": "SSL_CERT_FILE"}
LIST = """
import sys
from importlib.metadata import PackageNotFoundError, version
print("Python", sys.version.split()[0])
for name in sys.argv[1:]:
    try:
        print(name, version(name))
    except PackageNotFoundError:
        pass
"""


@dataclass(frozen=True)
class Case:
    """One environment: a Python, and the lock file whose packages it has."""

    version: Version
    lock: Path = LOCK

    def __str__(self) -> str:
        return f"{self.version[0]}.{self.version[1]}-{'lowest' if self.lock == LOWEST else 'locked'}"


# The oldest Python runs with the oldest packages: one session finds what either breaks.
CASES = [Case(OLDEST, LOWEST), *map(Case, SUPPORTED[1:])]


class Session:
    """The core of the suite in one environment; what it prints goes to a file, so that it never waits for a reader."""

    def __init__(self, python: Path, variables: dict[str, str], told: Path) -> None:
        self._told = told
        self.python = python
        files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("test_*.py")) if has_core(path)]
        with told.open("wb") as output:
            self._process = subprocess.Popen(
                [python, "-m", "pytest", "-m", "core", "-q", "-p", "no:cacheprovider", *files],
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


def has_core(path: Path) -> bool:
    """Tell whether tests of a file belong to the core; to collect the others takes longer than to run it."""
    folder = path.relative_to(ROOT / "tests").parts[0]
    return folder in FOLDERS and path != Path(__file__) and "mark.core" in path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def own_environment() -> dict[str, str]:
    """Return the environment as it was before the tests emptied it: the settings and the cache of uv are in there."""
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    pips = {uv: variables[pip] for pip, uv in SETTINGS.items() if pip in variables}
    return pips | variables


@pytest.fixture(scope="module")
def pythons() -> dict[Version, str]:
    """Return the Pythons that really run, by version."""
    names = [f"python{major}.{minor}" for major, minor in SUPPORTED]
    paths = [path for name in names if (path := shutil.which(name))]
    beside = Path(sys.base_prefix).parent  # where version managers keep one Python next to the other
    paths += [str(path) for path in beside.glob("*/bin/python3.*") if re.fullmatch(r"python3\.\d+", path.name)]
    found: dict[Version, str] = {}
    for path in paths:
        version = version_of(path)
        if version is not None:
            found.setdefault(version, path)
    return found


def version_of(path: str) -> Version | None:
    """Return the version of a Python, None where it does not run."""
    try:
        told = subprocess.run([path, "-I", "-c", PROBE], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    major, minor = told.split()
    return int(major), int(minor)


def is_run_already(case: Case) -> bool:
    """Tell whether this session is what the case asks for."""
    return case.lock == LOCK and case.version == sys.version_info[:2]


@pytest.fixture(scope="module")
def session_of(
    pythons: dict[Version, str], own_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Case], Session]]:
    """Yield a function that returns a case's session; it begins that and the next: they wait for the most part."""
    cases = [case for case in CASES if case.version in pythons and not is_run_already(case)]
    begun: dict[Case, Session] = {}

    def begin(case: Case) -> Session:
        python = environment_of(pythons[case.version], case, own_environment)
        session = Session(python, own_environment, tmp_path_factory.mktemp("session") / "told")
        stack.callback(session.end)
        return session

    def session_of(case: Case) -> Session:
        at = cases.index(case)
        for each in cases[at : at + AT_ONCE]:
            if each not in begun:
                begun[each] = begin(each)
        return begun[case]

    with ExitStack() as stack:
        yield session_of


@pytest.mark.timeout(AT_ONCE * INSTALL_S + RUN_S)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_core_of_the_suite_passes_in_another_environment(
    case: Case,
    pythons: dict[Version, str],
    session_of: Callable[[Case], Session],
    record_property: Callable[[str, object], None],
) -> None:
    if case.version not in pythons:
        pytest.skip(f"Python {case} is not on this computer")
    if is_run_already(case):
        pytest.skip(f"Python {case} runs this suite already")
    session = session_of(case)
    code, told = session.outcome()
    summary = re.search(r"(\d+ failed, )?\d+ passed.*", told)
    record_property(PROPERTY, listed(case, session.python, summary[0] if summary else "none passed"))

    assert code == 0, told[-20_000:]
    assert summary


def listed(case: Case, python: Path, outcome: str) -> str:
    """Return what ran: the Python, the lock file, the versions of the direct dependencies and how it ended."""
    names = [Requirement(line).name for line in [*PROJECT["project"]["dependencies"], "mcp"]]
    version, *packages = subprocess.run(
        [python, "-I", "-c", LIST, *names], capture_output=True, text=True, timeout=20, check=True
    ).stdout.splitlines()
    line = f"{version}, {case.lock.name}: {outcome}"
    if case.lock == LOCK:
        return line
    return "\n".join([line, *textwrap.wrap(", ".join(packages), 110, initial_indent="  ", subsequent_indent="  ")])


def environment_of(base: str, case: Case, variables: dict[str, str]) -> Path:
    """Return the Python of a virtual environment that holds what the lock file names, making it where it is missing."""
    cache = Path(variables.get("TEST_PYTHONS_CACHE") or Path(tempfile.gettempdir(), f"openai-tray-proxy-{USER}"))
    lock = hashlib.sha256(case.lock.read_bytes()).hexdigest()[:12]
    folder = cache / f"{case}-{lock}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if hasattr(os, "getuid") and cache.exists() and cache.stat().st_uid != os.getuid():
        pytest.skip(f"{cache} belongs to somebody else; name another folder in TEST_PYTHONS_CACHE")
    complete = folder / "complete"  # written last: what lacks it was broken off
    if complete.exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    uv = [sys.executable, "-m", "uv", "--quiet"]
    # The sessions write no bytecode: without it, each program they start compiles all packages again.
    install = [*uv, "pip", "install", "--compile-bytecode", "--python", str(python), "--require-hashes"]
    for command in ([*uv, "venv", "--python", base, str(folder)], [*install, "-r", str(case.lock)]):
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
            give_up(f"the environment for Python {case} could not be made: {made.stdout[-1500:]}")
    complete.touch()
    return python
