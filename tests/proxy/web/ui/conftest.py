"""A proxy with the program's own pages, before a scripted upstream that needs a key."""

from collections.abc import Iterator

import pytest

from fakes.dashboard import Hosted
from fakes.shared_upstream import UPSTREAM_KEY, Fresh


@pytest.fixture
def hosted(upstream: Fresh) -> Iterator[Hosted]:
    with Hosted(openai_base_url=upstream.base_url, openai_api_key=UPSTREAM_KEY) as running:
        yield running
