"""A desktop for the tests that need one; without its programs they are skipped, with REQUIRE_DESKTOP set they fail."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest

from background import need
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh

if TYPE_CHECKING:
    from desktop.running_tray import RunningTray
    from desktop.session import Desktop
    from desktop.tray_user import Tray
    from fakes.dashboard import Hosted
    from fakes.watched_browser import Watched

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


@pytest.fixture
def bare_bus(desktop_session: "Desktop", tmp_path: Path) -> Iterator[str]:
    """Run a session bus with nothing on it, no panel, no keyring, and give its address."""
    from desktop.processes import bare_bus  # noqa: PLC0415  see collect_ignore_glob

    with bare_bus(desktop_session.env, tmp_path) as address:
        yield address


@pytest.fixture
def tray(desktop: "Desktop", tmp_path: Path, upstream: Fresh) -> "Iterator[Tray]":
    """Give the program, not started, on a desktop with an unlocked and empty keyring."""
    from desktop.tray_user import APP_ID, Tray  # noqa: PLC0415  see collect_ignore_glob

    for program in ("xclip", "gnome-keyring-daemon", "secret-tool"):
        need(program)
    if not desktop.bus.has_owner("org.freedesktop.secrets"):
        desktop.start_keyring()
    subprocess.run(["secret-tool", "clear", "service", APP_ID], env=desktop.env, timeout=5, check=False)
    upstream.answer(Json(completion()))
    home = tmp_path / "user"
    home.mkdir()
    with ExitStack() as stack:
        yield Tray(desktop, home, upstream, stack)


@pytest.fixture(scope="session")
def watched_browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Watched]":
    """Run one browser for all tests of pages; each begins with `forget`."""
    from fakes.watched_browser import Watched  # noqa: PLC0415  see collect_ignore_glob

    with Watched(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def browser(watched_browser: "Watched", hosted: "Hosted") -> "Iterator[Watched]":
    """Give the browser to a test of the pages of its file's `hosted`; they complain of nothing, and ask nobody else."""
    watched_browser.forget()
    yield watched_browser
    assert not watched_browser.troubles
    assert all(url.startswith((hosted.root_url, "data:", "about:")) for url in watched_browser.asked)
    watched_browser.forget()  # the page leaves before its program does


@pytest.fixture
def page() -> Iterator[httpx2.Client]:
    """Give a browser that follows no redirects."""
    with httpx2.Client(trust_env=False) as client:
        yield client
