"""The official SDK's realtime client through the proxy, against a provider that speaks the API's events."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.exceptions import InvalidStatus

from fakes.realtime import SESSION, converse
from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import UPSTREAM_KEY, proxy_before
from fakes.socket_upstream import SocketUpstream

ITEM: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Grüße"}]}


@pytest.fixture(scope="module")
def server() -> Iterator[SocketUpstream]:
    with SocketUpstream() as running:
        running.talk = converse
        yield running


@pytest.fixture(scope="module")
def proxy(server: SocketUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    folder: Path = tmp_path_factory.mktemp("settings")
    with proxy_before(server.base_url, folder, proxy_require_api_key=True, proxy_api_keys="proxy-key-0001") as running:
        yield running


@pytest.mark.core
def test_it_converses(proxy: RunningProxy, server: SocketUpstream) -> None:
    with (
        proxy.sdk(api_key="proxy-key-0001") as sdk,
        sdk.realtime.connect(model="gpt-realtime", websocket_connection_options={"proxy": None}) as connection,
    ):
        assert connection.recv().type == "session.created"
        connection.session.update(session=SESSION)
        connection.conversation.item.create(item=ITEM)
        connection.response.create()
        events = []
        while not events or events[-1].type != "response.done":
            events.append(connection.recv())

    assert events[0].type == "session.updated"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == "You said Grüße"
    assert server.handshakes[-1].path == "/v1/realtime?model=gpt-realtime"
    assert server.header("Authorization") == [f"Bearer {UPSTREAM_KEY}"]


def test_the_asynchronous_one_converses(proxy: RunningProxy) -> None:
    async def converse_once() -> list[str]:
        async with (
            proxy.async_sdk(api_key="proxy-key-0001") as sdk,
            sdk.realtime.connect(model="gpt-realtime", websocket_connection_options={"proxy": None}) as connection,
        ):
            await connection.conversation.item.create(item=ITEM)
            await connection.response.create()
            types: list[str] = []
            async for event in connection:
                types.append(event.type)
                if event.type == "response.done":
                    break
            return types

    types = asyncio.run(converse_once())

    assert types == ["session.created", "response.output_text.delta", "response.output_text.delta", "response.done"]


def test_it_is_told_that_the_proxy_key_is_refused(proxy: RunningProxy) -> None:
    with (
        proxy.sdk(api_key="wrong") as sdk,
        pytest.raises((openai.OpenAIError, InvalidStatus), match="401"),
        sdk.realtime.connect(model="gpt-realtime", websocket_connection_options={"proxy": None}),
    ):
        pass
