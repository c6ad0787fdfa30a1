"""Open WebSockets to a proxy, or be refused."""

import json
from typing import Any, Protocol

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fakes.socket_upstream import LIMIT_BYTES

REALTIME = "/v1/realtime?model=gpt-realtime&a=%2F"
KEY_PROTOCOL = "openai-insecure-api-key."
HANDSHAKE = (
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class Listening(Protocol):
    """A proxy, whoever runs it."""

    @property
    def port(self) -> int:
        """Return where it listens."""


def url(proxy: Listening, path: str = REALTIME) -> str:
    """Return a WebSocket's address at the proxy."""
    return f"ws://127.0.0.1:{proxy.port}{path}"


def open_socket(proxy: Listening, path: str = REALTIME, **options: Any) -> ClientConnection:
    """Open a WebSocket through the proxy; it closes with its block."""
    return connect(url(proxy, path), **{"max_size": LIMIT_BYTES, "proxy": None, "close_timeout": 5, **options})


def refusal_of(proxy: Listening, path: str = REALTIME, **options: Any) -> tuple[int, Any]:
    """Try to open one; return the status and the error it was refused with."""
    with pytest.raises(InvalidStatus) as caught:
        open_socket(proxy, path, **options)
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"{}").get("error")
