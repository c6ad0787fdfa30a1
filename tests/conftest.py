"""Give every test an empty computer: its own folders, a clean environment, no keys."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from fakes.leaks import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown
from fakes.program import folders_below
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream
from proxy.settings.model import Settings

__all__ = ["pytest_sessionfinish", "pytest_terminal_summary", "pytest_testnodedown"]  # hooks: pytest finds them here

FOREIGN = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


def pytest_configure() -> None:
    """Take Ctrl-C again: what a shell runs in the background ignores it, and so would the programs the tests stop."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write half characters in what was captured so that a worker (pytest-xdist) can hand it on."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(autouse=True)
def empty_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test its own home, and an environment without settings or proxies."""
    for name in (*map(str.upper, Settings.model_fields), *FOREIGN, "PROXY_API_KEY", "STREAM_TEST"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    home = tmp_path / "home"
    for variable, folder in {"HOME": home, **folders_below(home)}.items():
        folder.mkdir(parents=True, mode=0o700)
        monkeypatch.setenv(variable, str(folder))
    level, handlers = logging.root.level, list(logging.root.handlers)
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield home
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks  # pytest has its own
    logging.root.setLevel(level)
    for handler in [handler for handler in logging.root.handlers if handler not in handlers]:
        logging.root.removeHandler(handler)
        handler.close()


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    """Run a scripted provider."""
    with ScriptedUpstream() as scripted:
        yield scripted


@pytest.fixture
def start_proxy() -> Iterator[Callable[..., RunningProxy]]:
    """Return a function that starts a proxy in this process, with settings as keywords, on a free port."""
    with ExitStack() as stack:

        def start(**settings: Any) -> RunningProxy:
            return stack.enter_context(RunningProxy(**settings))

        yield start


@pytest.fixture
def proxy(upstream: ScriptedUpstream, start_proxy: Callable[..., RunningProxy]) -> RunningProxy:
    """Run a proxy before the scripted provider, with a key and nothing else set."""
    return start_proxy(openai_base_url=upstream.base_url, openai_api_key="sk-the-upstream-key-0001")


def on_ci() -> bool:
    """Tell whether a missing part of the machine is a failure instead of a skip."""
    return bool(os.environ.get("REQUIRE_DESKTOP"))
