"""No file that was written during a session of tests holds a key the program was given: looked at when it ends."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

SHORTEST_KEY = 10  # "k" and "demo" are no secrets
LARGEST_FILE_BYTES = 64 * 2**20
OF_OTHERS = {"site-packages", ".git", ".venv"}  # what installers wrote

KNOWN: set[str] = set()
FOUND = pytest.StashKey[list[str]]()


def know(*keys: object) -> None:
    """Take note of keys a proxy or a program was given."""
    KNOWN.update(str(key) for key in keys if key is not None and len(str(key)) >= SHORTEST_KEY)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the regular files of a folder, however deep, but for what installers wrote."""
    for path in folder.iterdir():
        if path.is_symlink() or path.name in OF_OTHERS:
            continue
        if path.is_dir():
            yield from files_below(path)
        elif path.is_file() and path.stat().st_size <= LARGEST_FILE_BYTES:
            yield path


def leaks(folder: Path, keys: Iterable[str]) -> list[str]:
    """Return a line for each file below a folder that holds one of the keys; the key is not in it."""
    wanted = [key.encode() for key in keys]
    found = []
    for path in files_below(folder):
        try:
            content = path.read_bytes()
        except OSError:  # a test took the right to read it
            continue
        found += [f"{path} holds the key that ends in {key[-4:].decode()}" for key in wanted if key in content]
    return found


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Look through everything that was written; a key in it fails the session."""
    told = getattr(session.config, "workeroutput", None)
    if told is not None:  # a worker of a divided session (pytest-xdist): the whole looks, with the keys of all
        told["keys"] = sorted(KNOWN)
        return
    factory = getattr(session.config, "_tmp_path_factory", None)
    folder = factory and factory._basetemp  # None where no test asked for a folder
    found = leaks(folder, KNOWN) if folder is not None and folder.is_dir() else []
    session.config.stash[FOUND] = found
    if found and exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take over the keys that a worker knows."""
    KNOWN.update(getattr(node, "workeroutput", {}).get("keys", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many keys were looked for, and where one stands."""
    found = config.stash.get(FOUND, [])
    if KNOWN:
        terminalreporter.section("keys in files")
        for line in found or [f"none of {len(KNOWN)} keys stands in a file that was written"]:
            terminalreporter.line(line, red=bool(found))
