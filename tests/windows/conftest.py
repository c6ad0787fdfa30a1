"""Windows for the tests that run with `-m windows` alone: what they need is installed in some minutes."""

import sys
from collections.abc import Iterator

import pytest

from windows.machine import Windows, installed_windows

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]


@pytest.fixture(scope="session")
def windows(request: pytest.FixtureRequest) -> Iterator[Windows]:
    """Give a Windows with the program, which its own start script has installed."""
    if "windows" not in request.config.option.markexpr:
        pytest.skip("Windows is run with -m windows alone")
    with installed_windows() as machine:
        yield machine
