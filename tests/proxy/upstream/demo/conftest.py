"""The demo upstream, served by uvicorn, and the official SDK to drive it."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
import uvicorn

from proxy.upstream.demo.app import create_demo_app

START_S = 10.0


class DemoServer(uvicorn.Server):
    """Serve the demo in a thread, from `with` to the end of its block."""

    def __init__(self, pace_s: float) -> None:
        super().__init__(uvicorn.Config(create_demo_app(pace_s=pace_s), log_level="warning", lifespan="on"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self.run, args=([self._listener],), name="demo-server")
        self.base_url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def __enter__(self) -> "DemoServer":
        self._thread.start()
        deadline = time.monotonic() + START_S
        while not self.started and time.monotonic() < deadline:
            self._thread.join(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.should_exit = True
        self._thread.join(START_S)
        self._listener.close()


@pytest.fixture(scope="session")
def demo_url() -> Iterator[str]:
    with DemoServer(pace_s=0) as server:
        yield server.base_url


@pytest.fixture
def client(demo_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=demo_url, api_key="anything", max_retries=0, timeout=10) as sdk:
        yield sdk


@pytest.fixture
def check_shape() -> Callable[[Any], None]:
    """Return a check that an answer has every field its SDK type demands; the SDK itself never looks."""
    return lambda answer: type(answer).model_validate(answer.to_dict())
