"""Give every test an empty computer, no keys on it, and each file a provider with a proxy before it."""

import gc
import itertools
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fakes import versions
from fakes.environment import clean, folders_below
from fakes.leaks import pytest_sessionfinish, pytest_terminal_summary, pytest_testnodedown
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh, proxy_before

__all__ = ["pytest_sessionfinish", "pytest_terminal_summary", "pytest_testnodedown"]  # hooks: pytest finds them here


# Of a busy computer an example says nothing by taking long. In the environment of a build server Hypothesis does so
# by itself, and draws the same examples each time.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if "CI" not in os.environ:
    settings.load_profile("busy")


def pytest_configure(config: pytest.Config) -> None:
    """Take Ctrl-C again: what a shell runs in the background ignores it, and so would the programs the tests stop."""
    config.pluginmanager.register(versions)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Take what stays to the end out of every garbage collection: thousands of tests, and all the modules."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Write half characters in what was captured so that a worker (pytest-xdist) can hand it on."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "backslashreplace").decode()) for name, text in report.sections]
    return report


NUMBERS = itertools.count(1)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of the test's own; pytest's fixture reads the names of all there are to find a free one."""
    name = re.sub(r"\W", "_", request.node.name)[:20]
    path = tmp_path_factory.getbasetemp() / f"{next(NUMBERS)}-{name}"
    path.mkdir(mode=0o700)
    return path


@pytest.fixture(autouse=True)
def empty_computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test its own home, and an environment without settings or proxies."""
    clean(monkeypatch)
    home = tmp_path / "home"
    for variable, folder in folders_below(home).items():
        monkeypatch.setenv(variable, str(folder))
    for folder in (home, home / "run"):  # these are there on every computer
        folder.mkdir(mode=0o700)
    if sys.platform == "win32":  # no window opens on the screen of whoever runs the tests
        monkeypatch.setattr(os, "startfile", lambda target: None)
    level, handlers = logging.root.level, list(logging.root.handlers)
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    yield home
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks  # pytest has its own
    logging.root.setLevel(level)
    for handler in [handler for handler in logging.root.handlers if handler not in handlers]:
        logging.root.removeHandler(handler)
        handler.close()


# --- a provider, and a proxy before it: one pair for each file, for a pair for each test would take minutes ----------


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedUpstream]:
    """Run a scripted provider."""
    with ScriptedUpstream() as scripted:
        yield scripted


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    """Return the provider as if it were new; it answers a chat until the test has it answer something else."""
    provider.forget_answers()
    provider.answer(Json(completion("Hello")))
    return Fresh(provider)


@pytest.fixture(scope="module")
def proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy before the scripted provider, with a key and nothing else set."""
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings")) as running:
        yield running


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningProxy]]:
    """Return a function that starts a proxy before an upstream, with settings as keywords."""
    with ExitStack() as stack:
        yield lambda base_url, **settings: stack.enter_context(proxy_before(base_url, tmp_path, **settings))


@pytest.fixture
def start_proxy() -> Iterator[Callable[..., RunningProxy]]:
    """Return a function that starts a proxy with these settings alone, its settings file in the test's own home."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(RunningProxy(**settings))
