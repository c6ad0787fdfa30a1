"""To which of several upstreams a WebSocket goes, and with whose key."""

from collections.abc import Iterator

import pytest

from fakes.opening import open_socket, refusal_of
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream
from fakes.shared_upstream import proxy_before
from fakes.socket_upstream import SocketUpstream

KEY = "key-of-the-far-upstream"


@pytest.fixture(scope="module")
def first() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as provider:
        provider.answer(Json({"error": {"message": "no sockets here"}}, 503))
        yield provider


@pytest.fixture(scope="module")
def proxy(
    first: ScriptedUpstream, server: SocketUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProxy]:
    settings = {
        "proxy_upstreams": [{"name": "far", "base_url": server.base_url, "models": ["rt-3*"], "fallback": ["default"]}],
        "proxy_aliases": {"voice": "far/rt-2", "ünï": "far/rt-4", "chain": ["default/x", "far/y"]},
        "openai_max_retries": 0,
    }
    with proxy_before(first.base_url, tmp_path_factory.mktemp("settings"), **settings) as running:
        yield running


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("model=far%2Frt-1&intent=a%2Fb", "model=rt-1&intent=a%2Fb"),
        ("model=far/rt-1", "model=rt-1"),
        ("intent=x&model=voice", "intent=x&model=rt-2"),
        ("model=%C3%BCn%C3%AF", "model=rt-4"),
        ("model=rt-3-mini", "model=rt-3-mini"),
    ],
)
def test_a_socket_goes_where_its_model_says(
    proxy: RunningProxy, upstream: SocketUpstream, monkeypatch: pytest.MonkeyPatch, query: str, sent: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_FAR", KEY)
    with open_socket(proxy, f"/v1/realtime?{query}"):
        pass
    assert upstream.handshakes[-1].path == f"/v1/realtime?{sent}"
    assert upstream.header("Authorization") == [f"Bearer {KEY}"]


@pytest.mark.parametrize("query", ["", "?intent=transcription"])
def test_a_socket_without_a_model_goes_to_the_one_that_is_named(
    proxy: RunningProxy, upstream: SocketUpstream, query: str
) -> None:
    with open_socket(proxy, f"/v1/realtime{query}", additional_headers={"X-Proxy-Upstream": "far"}):
        pass
    assert upstream.handshakes[-1].path == f"/v1/realtime{query}"
    assert upstream.header("X-Proxy-Upstream") == []


@pytest.mark.parametrize("model", ["chain", "default/x", "x", "nobody/x"])
def test_a_socket_that_is_refused_goes_to_no_other(proxy: RunningProxy, upstream: SocketUpstream, model: str) -> None:
    status, _ = refusal_of(proxy, f"/v1/realtime?model={model}")
    assert status == 503
    assert upstream.handshakes == []
