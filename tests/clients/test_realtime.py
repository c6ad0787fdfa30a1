"""openai-node's realtime client as it runs in a page, through the proxy: its key comes as a sub-protocol."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from clients.node_sdks import FOLDER, why_not
from fakes.realtime import converse
from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import UPSTREAM_KEY, proxy_before
from fakes.socket_upstream import SocketUpstream

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"{why_not()}")

PROXY_KEY = "proxy-key-0001"


@pytest.fixture(scope="module")
def server() -> Iterator[SocketUpstream]:
    with SocketUpstream(subprotocols=["realtime"]) as running:
        running.talk = converse
        yield running


@pytest.fixture(scope="module")
def proxy(server: SocketUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    folder = tmp_path_factory.mktemp("settings")
    with proxy_before(server.base_url, folder, proxy_require_api_key=True, proxy_api_keys=PROXY_KEY) as running:
        yield running


def talk(proxy: RunningProxy, key: str) -> dict[str, Any]:
    """Run the client once and return what it learned."""
    command = ["node", str(FOLDER / "realtime.mjs"), proxy.base_url, key]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=30, check=False)
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def test_it_converses_and_its_key_stays_here(proxy: RunningProxy, server: SocketUpstream) -> None:
    told = talk(proxy, PROXY_KEY)

    assert (told["text"], told["error"]) == ("You said Grüße", None)
    assert told["events"] == ["session.created", *["response.output_text.delta"] * 2, "response.done"]
    assert (told["protocol"], told["closed"]) == ("realtime", 4000)
    assert server.header("Sec-WebSocket-Protocol") == ["realtime"]
    assert server.header("Authorization") == [f"Bearer {UPSTREAM_KEY}"]
    assert PROXY_KEY not in str(server.handshakes[-1].headers)


def test_a_wrong_key_opens_nothing(proxy: RunningProxy, server: SocketUpstream) -> None:
    before = len(server.handshakes)
    told = talk(proxy, "wrong")

    assert told["error"]
    assert told["events"] == []
    assert len(server.handshakes) == before
