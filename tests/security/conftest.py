"""One provider, and one proxy before it, for each file."""

from collections.abc import Iterator

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
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
def locked(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy that asks for a key."""
    keys = {"proxy_require_api_key": True, "proxy_api_keys": "the-proxy-key-0001"}
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings"), **keys) as running:
        yield running


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    """Return the provider as if it were new; it answers a chat."""
    provider.answer(Json(completion()))
    return Fresh(provider)
