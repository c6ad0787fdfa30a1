"""A proxy that gives its upstream little time."""

from collections.abc import Iterator

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import proxy_before


@pytest.fixture(scope="module")
def impatient(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy that waits for a moment only, and takes small bodies only."""
    with proxy_before(
        provider.base_url,
        tmp_path_factory.mktemp("settings"),
        openai_timeout=0.4,
        proxy_max_body_mb=0.1,
        proxy_max_upload_mb=0.1,
    ) as running:
        yield running
