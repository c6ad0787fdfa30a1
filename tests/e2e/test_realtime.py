"""The official SDK's realtime client through the proxy, against a provider that speaks the API's events."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import InvalidStatus

from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import UPSTREAM_KEY, proxy_before
from fakes.socket_upstream import SocketUpstream

SESSION: Any = {"type": "realtime", "output_modalities": ["text"], "instructions": "Be brief."}
ITEM: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Grüße"}]}


async def converse(connection: ServerConnection) -> None:
    """Answer as the API does: a session, then for each response its pieces and its end."""
    await connection.send(json.dumps({"type": "session.created", "event_id": "e0", "session": SESSION}))
    said = ""
    async for message in connection:
        event = json.loads(message)
        if event["type"] == "session.update":
            await connection.send(json.dumps({**event, "type": "session.updated", "event_id": "e1"}))
        elif event["type"] == "conversation.item.create":
            said = event["item"]["content"][0]["text"]
        elif event["type"] == "response.create":
            for word in ("You said ", said):
                await connection.send(
                    json.dumps({"type": "response.output_text.delta", "event_id": "e2", "delta": word, **PLACE})
                )
            await connection.send(
                json.dumps({"type": "response.done", "event_id": "e3", "response": {"id": "r", "status": "completed"}})
            )


PLACE = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}


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
