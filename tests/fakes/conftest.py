"""A scripted upstream, and a raw connection to it."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from fakes.raw_client import RawClient
from fakes.scripted_upstream import ScriptedUpstream


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        yield server


@pytest.fixture
def client(upstream: ScriptedUpstream) -> Iterator[RawClient]:
    with closing(RawClient(upstream.port)) as connection:
        yield connection
