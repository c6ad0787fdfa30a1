"""Connections to an upstream: which are used again, which are not, and what is asked again over another."""

import time
from collections.abc import Callable
from typing import Any

import openai
import pytest

from fakes.asking import CHAT, FILES, ask
from fakes.ports import free_port
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, StaleReuse, completion
from fakes.shared_upstream import Fresh, connect, proxy_before

Start = Callable[..., RunningProxy]


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("size", [2 * 2**20, 300_000, 10])
def test_an_upload_does_not_die_of_a_stale_connection(
    proxy: RunningProxy, upstream: Fresh, size: int, reset: bool
) -> None:
    upstream.provider.drop_connections()
    upstream.answer(StaleReuse(Json({"id": "file"}), reset=reset))
    ask(proxy, CHAT)
    with connect(proxy) as client:
        reply = client.post(FILES, bytes(size), "Content-Type: a/b")

    assert (reply.status, reply.json()) == (200, {"id": "file"})


@pytest.mark.parametrize("retries", [0, 2])
def test_a_refused_connection_is_tried_again_as_the_sdk_does(start: Start, retries: int) -> None:
    proxy = start(f"http://127.0.0.1:{free_port()}/v1", openai_max_retries=retries)
    began = time.monotonic()
    reply = ask(proxy)
    took_s = time.monotonic() - began

    assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
    assert reply.header("x-should-retry") == ("false" if retries else None)
    assert (1.1 if retries else 0) < took_s < (3.0 if retries else 0.5)  # 0.5 s and 1 s, each up to a quarter shorter


class ChangedSdk(openai.AsyncOpenAI):
    """An SDK of another version: it sends a header more, and another user agent."""

    @property
    def default_headers(self) -> dict[str, Any]:
        return {**super().default_headers, "X-Of-Tomorrow": "1", "X-Stainless-Lang": "changed"}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/batches"])
def test_what_another_sdk_sends_is_sent_without_a_change_here(
    upstream: Fresh, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(openai, "AsyncOpenAI", ChangedSdk)
    upstream.answer(Json(completion("Hello")))
    with proxy_before(upstream.base_url, tmp_path) as proxy, connect(proxy) as client:
        for _ in range(2):  # by the SDK, and like it
            if path.endswith("models"):
                client.ask("GET", path)
            else:
                client.post(path, b'{"model":"m","messages":[]}')

    assert len(upstream.requests) == 2
    for request in upstream.requests:
        assert request.header("X-Of-Tomorrow") == "1"
        assert request.header("X-Stainless-Lang") == "changed"
