"""Encoded request bodies: decoded before anything looks at them, and never beyond the limit of a body."""

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import pytest

from fakes.asking import CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE, Reply, in_chunks
from proxy.errors.request import BodyTooLarge
from proxy.exchange.encodings import DECODERS, decode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SMALL = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
LARGE = SMALL.replace(b"Hi", b"long " * 100_000)


def bare_deflate(body: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(body) + encoder.flush()


def brotlied(body: bytes) -> bytes:
    encoded: bytes = brotli.compress(body, quality=4)
    return encoded


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotlied,
    "zstd": zstd.compress,
}
WAYS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    **{name: (name, encode) for name, encode in ENCODERS.items()},
    "deflate without its frame": ("deflate", bare_deflate),
    "another letter case": ("GZip", gzip.compress),
    "two members": ("gzip", lambda body: gzip.compress(body[:20]) + gzip.compress(body[20:])),
    "two frames": ("zstd", lambda body: zstd.compress(body[:20]) + zstd.compress(body[20:])),
    "two encodings": ("zstd, br", lambda body: brotlied(zstd.compress(body))),
    "identity": ("identity", lambda body: body),
}


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as server:
        server.answer(Json(completion("Hello")))
        yield server


@pytest.fixture(scope="module")
def proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings"), proxy_max_body_mb=1) as running:
        yield running


def post(proxy: RunningProxy, body: bytes, encoding: str, path: str = CHAT) -> Reply:
    with connect(proxy) as client:
        return client.post(path, body, f"Content-Encoding: {encoding}")


@pytest.mark.core
@pytest.mark.parametrize("plain", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("encoding", "encode"), WAYS.values(), ids=WAYS)
def test_q26_an_encoded_body_goes_up_decoded(
    proxy: RunningProxy, upstream: Fresh, encoding: str, encode: Callable[[bytes], bytes], plain: bytes
) -> None:
    assert post(proxy, encode(plain), encoding).status == 200

    assert upstream.request.body == plain
    assert upstream.request.header("content-encoding") is None
    assert upstream.request.header_values("content-length") == [str(len(plain))]


def test_q26_an_encoded_body_in_chunks_goes_up_decoded(proxy: RunningProxy, upstream: Fresh) -> None:
    body = in_chunks(*(bytes([byte]) for byte in zstd.compress(SMALL)))
    with connect(proxy) as client:
        lines = (JSON_TYPE, "Content-Encoding: zstd", "Transfer-Encoding: chunked")
        client.send(client.request("POST", CHAT, None, *lines) + body)
        assert client.read_reply().status == 200

    assert upstream.request.body == SMALL


def test_an_encoded_body_of_an_address_that_is_only_passed_on_stays_as_it_is(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    body = gzip.compress(SMALL)
    post(proxy, body, "gzip", "/v1/files")

    assert (upstream.request.body, upstream.request.header("content-encoding")) == (body, "gzip")


@pytest.mark.parametrize("encoding", ["compress", "gzip, nothing", "gzip,gzip,gzip,gzip", "snappy"])
def test_an_encoding_nobody_can_read_is_a_415_that_names_those_it_can(
    proxy: RunningProxy, upstream: Fresh, encoding: str
) -> None:
    reply = post(proxy, SMALL, encoding)

    assert (reply.status, reply.error["code"]) == (415, "unsupported_encoding")
    assert "zstd" in reply.error["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("break_it", [lambda body: body[:-5], lambda _: SMALL, lambda body: body[:20] + b"\0" * 9])
def test_a_broken_encoding_is_a_400(
    proxy: RunningProxy, upstream: Fresh, name: str, break_it: Callable[[bytes], bytes]
) -> None:
    reply = post(proxy, break_it(ENCODERS[name](LARGE)), name)

    assert reply.status == 400
    assert reply.error["code"] in ("malformed_request", "invalid_json")
    assert upstream.requests == []


@pytest.mark.core
@pytest.mark.parametrize("name", ENCODERS)
def test_a_body_that_grows_over_the_limit_is_a_413(proxy: RunningProxy, upstream: Fresh, name: str) -> None:
    reply = post(proxy, ENCODERS[name](SMALL.replace(b"Hi", b"x" * 2**21)), name)

    assert (reply.status, reply.error["code"]) == (413, "request_too_large")
    assert upstream.requests == []


@pytest.mark.parametrize("name", ENCODERS)
def test_a_bomb_is_not_unpacked_beyond_the_limit(name: str) -> None:
    bomb = ENCODERS[name](bytes(2**26))
    tracemalloc.start()
    try:
        with pytest.raises(BodyTooLarge):
            decode(name, bomb, 2**20)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < 6 * 2**20


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_a_body_of_just_the_limit_is_taken(name: str, size: int) -> None:
    assert decode(name, ENCODERS[name](b"x" * size), size) == b"x" * size


def test_every_encoding_has_its_test() -> None:
    assert ENCODERS.keys() == DECODERS.keys()


def test_letters_of_any_kind_survive(proxy: RunningProxy, upstream: Fresh) -> None:
    value: Any = '{"model":"m","messages":[{"role":"user","content":"Grüße 😀"}]}'.encode()
    post(proxy, zstd.compress(value), "zstd")

    assert upstream.request.body == value
