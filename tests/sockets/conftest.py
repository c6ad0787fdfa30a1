"""One provider that speaks WebSocket, and one proxy before it, for each file."""

from collections.abc import Iterator

import pytest

from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import proxy_before
from fakes.socket_upstream import SocketUpstream
from waiting import wait_for


@pytest.fixture(scope="module")
def server() -> Iterator[SocketUpstream]:
    with SocketUpstream(subprotocols=["realtime", "other"]) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(server: SocketUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(server.base_url, tmp_path_factory.mktemp("settings")) as running:
        yield running


@pytest.fixture
def upstream(server: SocketUpstream) -> SocketUpstream:
    """Return the provider, as new: the sockets of the test before have ended."""
    wait_for(lambda: not server.talking, "the end of the conversations before")
    server.forget()
    return server
