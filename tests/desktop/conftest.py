"""A desktop for the tests that need one; without its programs they are skipped, with REQUIRE_DESKTOP set they fail."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from background import need

if TYPE_CHECKING:
    from desktop.running_tray import RunningTray
    from desktop.session import Desktop

# The panel and its bus are Linux's, and so are the libraries the tests talk to them with.
collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]

PROGRAMS = ("Xvfb", "dbus-daemon", "xfce4-panel")


@pytest.fixture(scope="session")
def desktop_session(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Desktop]":
    """Run one desktop for all tests."""
    from desktop.session import Desktop  # noqa: PLC0415  see collect_ignore_glob

    for program in PROGRAMS:
        need(program)
    session = Desktop(tmp_path_factory.mktemp("desktop"))
    yield session
    session.close()


@pytest.fixture
def desktop(desktop_session: "Desktop") -> "Desktop":
    """Give the desktop, with an empty panel whatever the test before did to it."""
    desktop_session.start_panel()
    desktop_session.empty_panel()
    return desktop_session


@pytest.fixture
def show() -> "Iterator[Callable[..., RunningTray]]":
    """Return a function that starts the test tray."""
    from desktop.running_tray import RunningTray  # noqa: PLC0415  see collect_ignore_glob

    with ExitStack() as stack:

        def start(*args: object, **kwargs: object) -> "RunningTray":
            tray = RunningTray(*args, **kwargs)
            stack.callback(tray.close)
            return tray

        yield start
