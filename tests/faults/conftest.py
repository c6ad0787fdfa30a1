"""One provider and one proxy for each file of faults."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import Fresh, proxy_before


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings")) as running:
        yield running


@pytest.fixture(scope="module")
def impatient(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy that waits for a moment only, and takes small bodies only."""
    with proxy_before(
        provider.base_url, tmp_path_factory.mktemp("settings"), openai_timeout=0.4, proxy_max_body_mb=0.1
    ) as running:
        yield running


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    return Fresh(provider)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RunningProxy]]:
    """Return a function that starts a proxy before an upstream, with settings."""
    with ExitStack() as stack:
        yield lambda base_url, **settings: stack.enter_context(proxy_before(base_url, tmp_path, **settings))
