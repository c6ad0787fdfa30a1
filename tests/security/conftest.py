"""A proxy that asks its callers for a key."""

from collections.abc import Iterator

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import proxy_before


@pytest.fixture(scope="module")
def locked(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    keys = {"proxy_require_api_key": True, "proxy_api_keys": "the-proxy-key-0001"}
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings"), **keys) as running:
        yield running
