"""A connection to the proxy, for what is looked at byte for byte."""

from collections.abc import Iterator

import pytest

from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import connect
from fakes.wire_client import WireClient


@pytest.fixture
def client(proxy: RunningProxy) -> Iterator[WireClient]:
    with connect(proxy) as connection:
        yield connection
