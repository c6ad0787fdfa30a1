"""Connections to an upstream: which are used again, which are not, and what is asked again over another."""

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import openai
import pytest

from fakes.asking import CHAT, FILES, MODELS, ask, ask_at_once
from fakes.ports import free_port
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, Pause, Raw, Script, StaleReuse, Step, completion
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


def test_an_upstream_that_restarts_under_requests_costs_none(start: Start, upstream: Fresh) -> None:
    proxy = start(upstream.base_url, openai_max_retries=2)
    ask(proxy)
    upstream.provider.stop_listening()
    upstream.provider.drop_connections()
    again = threading.Timer(0.2, upstream.provider.listen)  # the first pause of the SDK is longer
    again.start()
    replies = ask_at_once(proxy, [CHAT, CHAT, MODELS, FILES])
    again.join()

    assert [reply.status for reply in replies] == [200] * 4


@pytest.mark.parametrize(
    "flood",
    [
        [Raw(b"HTTP/1.1 102 Processing\r\n\r\n"), Pause(0.02)],
        [Raw(b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"), Pause(0.02)],
        [Raw(b"HTTP/1.1 100 Continue\r\n"), Pause(0.02), Raw(b"X: y\r\n\r\n"), Pause(0.02)],
    ],
    ids=["processing", "hints", "in pieces"],
)
@pytest.mark.parametrize("way", [CHAT, MODELS])
def test_an_upstream_that_only_says_that_it_works_is_given_up(
    start: Start, upstream: Fresh, way: str, flood: list[Step]
) -> None:
    upstream.answer(Script(flood * 500))  # 10 s of it
    began = time.monotonic()
    reply = ask(start(upstream.base_url, openai_timeout=0.1, openai_max_retries=0), way)

    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
    assert 0.4 < time.monotonic() - began < 8  # 5 times its time


def test_a_flood_of_them_is_no_answer(start: Start, upstream: Fresh) -> None:
    upstream.answer(Script([Raw(b"HTTP/1.1 102 Processing\r\n\r\n" * 200)] * 10))
    reply = ask(start(upstream.base_url, openai_max_retries=0))

    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol_error")


# --- names ------------------------------------------------------------------------------------------------------------

NAME = "upstream.test"
NOBODYS = ("192.0.2.1", 80)  # kept for documentation: nobody has it


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes the system's resolver say where a name leads, for each time it is asked."""
    system = socket.getaddrinfo

    def set_addresses(*each_time: list[tuple[str, int]]) -> None:
        said = list(each_time)

        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            if host != NAME:
                return system(host, *args, **kwargs)
            addresses = said.pop(0) if len(said) > 1 else said[0]
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return set_addresses


@pytest.mark.parametrize("before", ["refuses", "is unknown", "works"])
def test_an_address_that_fails_is_not_remembered(
    start: Start, upstream: Fresh, resolve: Callable[..., None], before: str
) -> None:
    here = ("127.0.0.1", upstream.port)
    first = {"refuses": [("127.0.0.1", free_port())], "is unknown": [], "works": [here]}[before]
    resolve(first, [here])
    proxy = start(f"http://{NAME}/v1", proxy_allow_http_upstream=True, openai_max_retries=0)

    assert ask(proxy).status == (200 if before == "works" else 502)
    upstream.provider.drop_connections()
    assert ask(proxy).status == 200


@pytest.mark.parametrize("fails", [0, 1, 2])
def test_the_next_address_is_tried_where_one_fails(
    start: Start, upstream: Fresh, resolve: Callable[..., None], fails: int
) -> None:
    addresses = [("127.0.0.1", free_port()), NOBODYS, ("127.0.0.1", free_port())]
    resolve([*addresses[fails:], ("127.0.0.1", upstream.port)])
    proxy = start(f"http://{NAME}/v1", proxy_allow_http_upstream=True, openai_max_retries=0)

    assert ask(proxy).status == 200


# --- the SDK ----------------------------------------------------------------------------------------------------------


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
