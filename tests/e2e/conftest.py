"""The core of the suite runs under other Pythons while the suite goes on: begun first, looked at last."""

import os
from pathlib import Path

import pytest

from e2e.other_pythons import Sessions

FILE = Path(__file__).parent / "test_pythons.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that wait for the other Pythons at the end."""
    items.sort(key=lambda item: item.path == FILE)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin the sessions of the other Pythons that are chosen; of several workers the first does it."""
    cases = [item.callspec.params["case"] for item in session.items if item.path == FILE]
    if cases and not session.config.option.collectonly and os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0":
        suite_pid = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
        sessions_of(session.config).begin(cases, suite_pid)


@pytest.fixture
def other_pythons(request: pytest.FixtureRequest) -> Sessions:
    """Return the sessions that were begun with the suite."""
    return sessions_of(request.config)


def sessions_of(config: pytest.Config) -> Sessions:
    """Return the sessions of a suite, which its workers share."""
    folder = config._tmp_path_factory.getbasetemp()
    return Sessions((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "other-pythons")
