"""A small request that would become gigabytes of objects is refused unread, and others do not wait for it."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from fakes.asking import CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE

VALUES = 2_000_000
GROWTH_BYTES = 150_000_000  # read, the smallest of these would take more

Encode = Callable[[bytes], bytes]
ENCODINGS: dict[str, Encode] = {"gzip": gzip.compress, "deflate": zlib.compress}


def unfolding(unit: bytes, count: int = VALUES) -> bytes:
    """Return a chat that holds a value many times."""
    return b'{"model":"m","messages":[],"x":[' + (unit + b",") * count + unit + b"]}"


@pytest.fixture(scope="module")
def ruled(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy that reads every body: rules, tools and usage are on."""
    folder = tmp_path_factory.mktemp("settings")
    with proxy_before(provider.base_url, folder, openai_param_overrides={"temperature": 0}) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        (CHAT, b"[]"),
        (CHAT, b"{}"),
        (CHAT, b'{"a":[]}'),
        ("/v1/responses", b"[[]]"),
        ("/v1/responses", b"1.5"),
        ("/v1/embeddings", b"null"),
        ("/v1/embeddings", b'[{"a":1}]'),
    ],
)
def test_a_body_that_unfolds_into_too_many_values_is_refused(
    ruled: RunningProxy, upstream: Fresh, unit: bytes, path: str
) -> None:
    body = gzip.compress(unfolding(unit), 1)
    before = psutil.Process().memory_info().rss

    with connect(ruled) as client:
        reply = client.post(path, body, "Content-Encoding: gzip")

    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert psutil.Process().memory_info().rss - before < GROWTH_BYTES
    assert upstream.requests == []


@pytest.mark.parametrize("name", ["gzip", "deflate", "identity"])
def test_it_is_refused_however_it_is_encoded(ruled: RunningProxy, upstream: Fresh, name: str) -> None:
    body = ENCODINGS.get(name, bytes)(unfolding(b"[]"))
    lines = () if name == "identity" else (f"Content-Encoding: {name}",)

    with connect(ruled) as client:
        assert client.post(CHAT, body, *lines).status == 413
    assert upstream.requests == []


def test_while_several_are_looked_at_others_are_answered(ruled: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    body = gzip.compress(unfolding(b"{}", 4 * VALUES), 1)

    def refused() -> int:
        with connect(ruled) as client:
            return client.post(CHAT, body, "Content-Encoding: gzip").status

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(refused) for _ in range(4)]
        answers = []
        with connect(ruled) as client:
            while not all(each.done() for each in waiting):
                answers += [client.ask("GET", "/v1/health").status]
            answers += [client.post(CHAT, b'{"model":"m","messages":[]}').status]

    assert [each.result() for each in waiting] == [413] * 4
    assert len(answers) > 4
    assert set(answers) == {200}


@pytest.mark.parametrize(
    "text", [b"[,{" * 700_000, b"0," * 700_000 + b"\\\\", b'\\"' * 700_000], ids=["brackets", "commas", "quotes"]
)
def test_a_long_text_is_no_heap_of_values(ruled: RunningProxy, upstream: Fresh, text: bytes) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"' + text + b'"}],"temperature":0}'

    with connect(ruled) as client:
        client.send(client.request("POST", CHAT, gzip.compress(body, 1), JSON_TYPE, "Content-Encoding: gzip"))
        reply = client.read_reply()

    assert reply.status == 200
    assert upstream.request.body == body
