"""Run the core of the suite beside it in other environments: under each other Python, and with the lowest versions.

Which packages the lowest versions are is said in requirements-lowest.lock: for each direct dependency the floor that
pyproject.toml gives it. Each environment is made once and kept in the folder that TEST_PYTHONS_CACHE names, or in the
system's folder for temporary files.

The sessions wait for the most part, so they run in a process of their own while the suite goes on. What came of each
stands in a file, which tests/e2e/test_pythons.py reads at the end.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from fakes.environment import ROOT
from fakes.locks import PROJECT
from waiting import wait_for

Version = tuple[int, int]

SUPPORTED: list[Version] = [(3, minor) for minor in range(10, 15)]
OLDEST = SUPPORTED[0]
LOCK = ROOT / "requirements-test.lock"
LOWEST = ROOT / "requirements-lowest.lock"
FOLDERS = ("e2e", "faults", "proxy", "sockets")  # below tests/, where the core is
INSTALL_S = 400
RUN_S = 540  # on a busy computer
LIMIT_S = INSTALL_S + RUN_S  # for the end of a session that began with the suite
AT_ONCE = 2  # sessions
EVERY_S = 0.25
NICENESS = 5  # the suite itself comes first
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


@dataclass(frozen=True)
class Outcome:
    """What came of a case: what its session printed, and why it was skipped or never began."""

    code: int = 0
    told: str = ""
    listed: str = ""
    skipped: str = ""
    broken: str = ""


class Sessions:
    """The sessions of some cases, in a process of their own that ends with them, or with the suite."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, cases: Sequence[Case], suite_pid: int) -> None:
        """Start the process; it takes over our environment, so do it before a test empties that."""
        self._folder.mkdir()
        with (self._folder / "printed").open("wb") as printed:
            process = subprocess.Popen(
                [sys.executable, "-m", "e2e.other_pythons", str(self._folder), str(suite_pid), *map(str, cases)],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT / "tests", ROOT)))},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )
        (self._folder / "pid").write_text(str(process.pid))
        process.returncode = 0  # it is not ours to wait for: another worker may be the last that asks for an outcome

    def outcome(self, case: Case) -> Outcome:
        """Wait for the end of a case and return what came of it."""
        file = self._folder / f"{case}.json"
        wait_for(lambda: file.exists() or not self._is_running(), f"the end of the session {case}", LIMIT_S)
        if not file.exists():
            return Outcome(broken=(self._folder / "printed").read_text(errors="replace") or "the sessions were ended")
        return Outcome(**json.loads(file.read_text(encoding="utf-8")))

    def _is_running(self) -> bool:
        try:
            return psutil.Process(int((self._folder / "pid").read_text())).status() != psutil.STATUS_ZOMBIE
        except (OSError, psutil.NoSuchProcess):
            return False


def main(folder: Path, suite: psutil.Process, cases: Sequence[Case]) -> None:
    """Run the cases, some at a time, and write what came of each into the folder; stop when the suite has ended."""
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    variables = own_environment()
    found = pythons()

    def run(case: Case) -> None:
        outcome = outcome_of(case, found, variables, folder, suite)
        new = folder / f"{case}.new"
        new.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
        new.replace(folder / f"{case}.json")

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for each in [pool.submit(run, case) for case in cases]:
            each.result()


def outcome_of(
    case: Case, found: dict[Version, str], variables: dict[str, str], folder: Path, suite: psutil.Process
) -> Outcome:
    """Run a case to its end and return what came of it."""
    if case.version not in found:
        return Outcome(skipped=f"Python {case} is not on this computer")
    if case.lock == LOCK and case.version == sys.version_info[:2]:
        return Outcome(skipped=f"Python {case} runs this suite already")
    try:
        python = environment_of(found[case.version], case, variables)
    except EnvironmentMissing as missing:
        # Outside the build server there may be no network.
        return Outcome(broken=str(missing)) if variables.get("CI") else Outcome(skipped=str(missing))
    code, told = run_session(python, variables, folder / f"{case}-told", suite)
    summary = re.search(r"(\d+ failed, )?\d+ passed.*", told)
    return Outcome(code, told, listed(case, python, summary[0] if summary else "none passed"))


def run_session(python: Path, variables: dict[str, str], told: Path, suite: psutil.Process) -> tuple[int, str]:
    """Run the core of the suite by a Python; return its exit code and what it printed.

    What it prints goes to a file, so that it never waits for a reader.
    """
    files = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests").rglob("test_*.py")) if has_core(path)]
    with told.open("wb") as output:
        process = subprocess.Popen(
            [python, "-m", "pytest", "-m", "core", "-q", "-p", "no:cacheprovider", *files],
            env=variables | {"PYTHONDONTWRITEBYTECODE": "1"},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    deadline = time.monotonic() + RUN_S
    while process.poll() is None:
        if not suite.is_running() or time.monotonic() > deadline:
            process.kill()
        time.sleep(EVERY_S)
    return process.returncode, told.read_text(encoding="utf-8", errors="replace")


def has_core(path: Path) -> bool:
    """Tell whether tests of a file belong to the core; to collect the others takes longer than to run it."""
    folder = path.relative_to(ROOT / "tests").parts[0]
    return folder in FOLDERS and path.name != "test_pythons.py" and "mark.core" in path.read_text(encoding="utf-8")


def own_environment() -> dict[str, str]:
    """Return the environment as it was before the suite: the settings and the cache of uv are in there."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME") and not name.startswith("PYTEST_XDIST")
    }
    pips = {uv: variables[pip] for pip, uv in SETTINGS.items() if pip in variables}
    return pips | variables


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


class EnvironmentMissing(Exception):
    """A virtual environment could not be made; the message says why."""


def environment_of(base: str, case: Case, variables: dict[str, str]) -> Path:
    """Return the Python of a virtual environment that holds what the lock file names, making it where it is missing.

    Raises EnvironmentMissing.
    """
    cache = Path(variables.get("TEST_PYTHONS_CACHE") or Path(tempfile.gettempdir(), f"openai-tray-proxy-{USER}"))
    lock = hashlib.sha256(case.lock.read_bytes()).hexdigest()[:12]
    folder = cache / f"{case}-{lock}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if hasattr(os, "getuid") and cache.exists() and cache.stat().st_uid != os.getuid():
        raise EnvironmentMissing(f"{cache} belongs to somebody else; name another folder in TEST_PYTHONS_CACHE")
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
            raise EnvironmentMissing(f"the environment for Python {case} could not be made: {made.stdout[-1500:]}")
    complete.touch()
    return python


if __name__ == "__main__":
    _, told_folder, suite_pid, *names = sys.argv
    main(Path(told_folder), psutil.Process(int(suite_pid)), [case for case in CASES if str(case) in names])
