"""Parameter rules are not slipped: not by names twice or otherwise spelt, not by the address, not by the encoding."""

import gzip
import json
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import brotli
import pytest

from fakes.asking import CHAT
from fakes.json_readers import MISSING, READERS, last_wins, pairs_of, spelt
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.wire_client import Reply

SEED = 20240610
ENDPOINTS = (CHAT, "/v1/completions", "/v1/responses", "/v1/embeddings")
TWICE = b'{"model":"expensive","model":"cheap","messages":[],"Temperature":2,"temperature":0}'


@pytest.fixture(scope="module")
def forcing(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(
        provider.base_url,
        tmp_path_factory.mktemp("settings"),
        openai_param_overrides={"model": "cheap", "temperature": 0},
        openai_param_drop="logit_bias",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def judging(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(
        provider.base_url,
        tmp_path_factory.mktemp("settings"),
        openai_param_defaults={"user": "me"},
        openai_param_overrides={"expensive*": {"temperature": 0}},
        openai_param_drop="expensive*:logit_bias",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def flat(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    settings = {"openai_param_overrides": {"temperature": 0}}
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings"), **settings) as running:
        yield running


def post(proxy: RunningProxy, path: str, body: bytes, *lines: str) -> Reply:
    with connect(proxy) as client:
        return client.post(path, body, *lines)


# --- names twice, and in every spelling -------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"expensive","model":"cheap","messages":[],"temperature":0}',
        b'{"model":"cheap","messages":[],"Model":"expensive","temperature":0}',
        b'{"MODEL":"expensive","messages":[],"Model":"cheap"}',
        b'{"mod\\u0065l":"expensive","messages":[],"logit_bi\\u0061s":{},"\\u004dodel":"expensive"}',
        b'{"model":"cheap","temperature":2,"temperature":0,"logitBias":1,"messages":[]}',
        '{"model":"x","messages":[],"logit_bia\u017f":{"1":1},"logit_bias":{},"Temperature":null}'.encode(),
        b'{"model":["expensive"],"messages":[],"model":null}',
    ],
)
def test_whatever_an_upstream_reads_it_reads_the_forced_values(
    forcing: RunningProxy, upstream: Fresh, path: str, body: bytes
) -> None:
    assert post(forcing, path, body).status == 200

    sent = upstream.request.body
    assert [reader(sent, "model") for reader in READERS.values()] == ["cheap"] * len(READERS)
    assert [reader(sent, "temperature") for reader in READERS.values()] == [0] * len(READERS)
    assert [reader(sent, "logit_bias") for reader in READERS.values()] == [MISSING] * len(READERS)
    assert pairs_of(sent).count(("messages", [])) == 1


@pytest.mark.core
def test_a_body_that_is_right_already_arrives_byte_for_byte(forcing: RunningProxy, upstream: Fresh) -> None:
    body = (
        b' {"model" : "ch\\u0065ap","messages":[{"model":"x","Model":"y","model":"z"}] ,\n"temperature": 0, "n":1E0 }\n'
    )
    post(forcing, CHAT, body)

    assert upstream.request.body == body


MODELS: dict[str, tuple[bytes, bool]] = {
    "the last counts": (b'"model":"other","model":"expensive-1"', True),
    "the last of several": (b'"model":"expensive-1","model":"other"', False),
    "the right spelling": (b'"model":"expensive-1","Model":"other"', True),
    "another spelling alone": (b'"MODEL":"expensive-1"', True),
    "letters of the model": (b'"model":"Expensive-1"', True),
    "blanks around it": (b'"model":" expensive-1 "', True),
    "an escape in it": (b'"model":"\\u0065xpensive-1"', True),
    "no text": (b'"Model":"expensive-1","model":["expensive-1"]', False),
    "null": (b'"model":"expensive-1","model":null', False),
    "none": (b'"x":{"model":"expensive-1"}', False),
}


@pytest.mark.parametrize(("model", "fits"), MODELS.values(), ids=MODELS)
def test_one_model_is_left_and_the_rules_have_judged_by_it(
    judging: RunningProxy, upstream: Fresh, model: bytes, fits: bool
) -> None:
    assert post(judging, CHAT, b'{%b,"temperature":2,"logit_bias":{}}' % model).status == 200

    sent = upstream.request.body
    for reader in READERS.values():
        read = reader(sent, "model")
        assert fits == (isinstance(read, str) and read.strip().lower().startswith("expensive"))
        assert reader(sent, "temperature") == (0 if fits else 2)
        assert reader(sent, "logit_bias") == (MISSING if fits else {})


@pytest.mark.core
@pytest.mark.parametrize("path", ENDPOINTS)
def test_without_rules_odd_bodies_arrive_byte_for_byte(proxy: RunningProxy, upstream: Fresh, path: str) -> None:
    chance = random.Random(SEED)
    bodies = []
    for _ in range(40):
        names = [spelt(chance, chance.choice(["model", "temperature", "messages", "user", "stop"])) for _ in range(5)]
        bodies.append("{{{}}}".format(" ,".join(f"{name}:\t{chance.choice([1, 2])}" for name in names)).encode())
    with connect(proxy) as client:
        assert {client.post(path, body).status for body in bodies} == {200}

    assert [request.body for request in upstream.requests] == bodies


# --- what the proxy itself adds ---------------------------------------------------------------------------------------

STREAMED = b'{"model":"m","messages":[],"stream":true'


@pytest.mark.parametrize(
    "options",
    [
        b',"stream_options":{"include_usage":false},"stream_options":{"a":1}',
        b',"Stream_Options":{"a":1}',
        b',"stream_options":{"a":1},"streamOptions":{"b":2}',
        b',"\\u0073tream_options":{"a":1}',
        b',"stream_options":null,"STREAM_OPTIONS":{"a":1}',
    ],
)
def test_usage_is_asked_for_in_one_member(proxy: RunningProxy, upstream: Fresh, options: bytes) -> None:
    post(proxy, CHAT, STREAMED + options + b"}")

    sent = upstream.request.body
    given = {} if b":null" in options else {"a": 1}
    assert [reader(sent, "stream_options") for reader in READERS.values()] == [{**given, "include_usage": True}] * len(
        READERS
    )


@pytest.mark.parametrize("name", [b"stream_options", b"Stream_Options", b"streamOptions"])
def test_a_client_that_asks_for_usage_in_any_spelling_is_left_alone(
    proxy: RunningProxy, upstream: Fresh, name: bytes
) -> None:
    body = STREAMED + b',"%b":{"include_usage":true}}' % name
    post(proxy, CHAT, body)

    assert upstream.request.body == body


@pytest.mark.parametrize("body", [STREAMED.replace(b"stream", b"Stream") + b"}", STREAMED + b',"stream":false}'])
def test_what_is_no_stream_to_a_strict_reader_is_asked_for_no_usage(
    proxy: RunningProxy, upstream: Fresh, body: bytes
) -> None:
    post(proxy, CHAT, body)

    assert upstream.request.body == body


@pytest.mark.parametrize("rule", ["openai_param_defaults", "openai_param_overrides"])
def test_the_options_a_rule_sets_stand(upstream: Fresh, start: Callable[..., RunningProxy], rule: str) -> None:
    proxy = start(upstream.base_url, openai_api_key="sk-1", **{rule: {"Stream_Options": {"a": 1}}})
    post(proxy, CHAT, STREAMED + b"}")

    assert upstream.request.body == STREAMED + b',"Stream_Options":{"a":1}}'


# --- the address ------------------------------------------------------------------------------------------------------

WITH_MODEL = [
    "/v1/engines/expensive/completions",
    "/v1/Deployments/a%2Fb/chat/completions",
    "/v1/chat/completions?a=1&mod%65l=expensive",
    "/v1/Completions?MODEL",
]
ADDRESSES = {
    "/v1/Chat/Completions": None,
    "/v1/COMPLETIONS": None,
    "/v1/Responses/": "/v1/Responses",
    "/v1/chat%2Fcompletions": None,
    "/v1/%63hat/completions": None,
    "/v1/%2563hat/completions": None,
    "//v1//chat/completions": CHAT,
    "/v1/v1/chat/completions": CHAT,
    "/v1/chat/completions;x": None,
    "/v1/chat;a=b/completions": None,
    "/v1/chat/completions%20": None,
    "/v1/chat/completions%0a": None,
    "/v1/chat/completions%00": None,
    "/v1/chat/completions%3Fx=1": None,
    "/v1/chat/completions.json": None,
    "/v1/chat\\completions": None,
    "/v1/chat%5ccompletions": None,
    "/v1/Chat/Completions?api-version=1": None,
}


@pytest.mark.core
@pytest.mark.parametrize(("address", "target"), ADDRESSES.items())
def test_the_rules_hold_however_the_address_is_spelt(
    forcing: RunningProxy, upstream: Fresh, address: str, target: str | None
) -> None:
    assert post(forcing, address, TWICE).status == 200

    assert upstream.request.body == b'{"model":"cheap","messages":[],"temperature":0}'
    assert upstream.request.target == (target or address)


@pytest.mark.parametrize("address", [address for address in ADDRESSES if "\\" not in address])
def test_without_rules_an_address_and_its_body_arrive_as_they_came(
    proxy: RunningProxy, upstream: Fresh, address: str
) -> None:
    assert post(proxy, address, TWICE).status == 200

    assert upstream.request.body == TWICE
    assert upstream.request.target == (ADDRESSES[address] or address)


@pytest.mark.parametrize("address", ["/v1/Chat/Completions", "/v1/embeddings;x", "/v1/%2572esponses"])
def test_a_guard_of_an_endpoint_holds_however_its_address_is_spelt(
    forcing: RunningProxy, upstream: Fresh, address: str
) -> None:
    with connect(forcing) as client:
        method = client.ask("PUT", address, TWICE, "Content-Type: application/json")
        page = client.post(address, TWICE, "Content-Type: text/plain", "Origin: http://localhost:3000")

    assert (method.status, method.error["code"]) == (405, "method_not_allowed")
    assert (page.status, page.error["code"]) == (415, "unsupported_media_type")
    assert upstream.requests == []


@pytest.mark.parametrize("address", WITH_MODEL)
def test_an_address_that_names_a_model_is_refused_where_rules_look_at_the_model(
    forcing: RunningProxy, judging: RunningProxy, upstream: Fresh, address: str
) -> None:
    replies = [post(proxy, address, TWICE) for proxy in (forcing, judging)]

    assert [(reply.status, reply.error["code"]) for reply in replies] == [(400, "model_in_address")] * 2
    assert "in the body" in replies[0].error["message"]
    assert upstream.requests == []


@pytest.mark.parametrize("address", WITH_MODEL)
def test_an_address_that_names_a_model_is_taken_where_they_do_not(
    flat: RunningProxy, proxy: RunningProxy, upstream: Fresh, address: str
) -> None:
    assert [post(some, address, TWICE).status for some in (flat, proxy)] == [200, 200]

    assert [request.target for request in upstream.requests] == [address, address]
    assert [request.body for request in upstream.requests] == [TWICE.replace(b'"Temperature":2,', b""), TWICE]


@pytest.mark.parametrize("address", ["/v1/fim/completions", "/v1/responses/resp_1", "/v1/Moderations", "/v1/files"])
def test_the_rules_leave_other_addresses_alone(forcing: RunningProxy, upstream: Fresh, address: str) -> None:
    post(forcing, address, TWICE)

    assert upstream.request.body == TWICE


# --- the encoding -----------------------------------------------------------------------------------------------------


def deflated(body: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-15)
    return encoder.compress(body) + encoder.flush()


READABLE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "gzip": (gzip.compress(TWICE), ("Content-Encoding: gzip",)),
    "x-gzip in capitals": (gzip.compress(TWICE), ("Content-Encoding: X-GZIP",)),
    "gzip twice": (gzip.compress(gzip.compress(TWICE)), ("Content-Encoding: gzip, gzip",)),
    "in two headers": (gzip.compress(zlib.compress(TWICE)), ("Content-Encoding: deflate", "Content-Encoding: gzip")),
    "bare deflate": (deflated(TWICE), ("Content-Encoding: deflate",)),
    "br": (brotli.compress(TWICE), ("Content-Encoding: br",)),
    "identity": (TWICE, ("Content-Encoding: Identity",)),
}


@pytest.mark.parametrize(("body", "lines"), READABLE.values(), ids=READABLE)
def test_the_rules_hold_however_a_body_is_encoded(
    forcing: RunningProxy, upstream: Fresh, body: bytes, lines: tuple[str, ...]
) -> None:
    assert post(forcing, CHAT, body, *lines).status == 200

    assert upstream.request.body == b'{"model":"cheap","messages":[],"temperature":0}'
    assert upstream.request.header("content-encoding") is None


FORM = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nexpensive\r\n--b--\r\n'
UNREADABLE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "gzip that does not say so": (gzip.compress(TWICE), ()),
    "gzip that says identity": (gzip.compress(TWICE), ("Content-Encoding: identity",)),
    "gzip twice that says once": (gzip.compress(gzip.compress(TWICE)), ("Content-Encoding: gzip",)),
    "plain that says gzip": (TWICE, ("Content-Encoding: gzip",)),
    "an unknown encoding": (TWICE, ("Content-Encoding: compress",)),
    "with a parameter": (gzip.compress(TWICE), ("Content-Encoding: gzip;q=1",)),
    "a byte order mark": (b"\xef\xbb\xbf" + TWICE, ()),
    "UTF-16": (TWICE.decode().encode("utf-16"), ("Content-Type: application/json; charset=utf-16",)),
    "UTF-16 without a mark": (TWICE.decode().encode("utf-16-le"), ()),
    "UTF-32": (TWICE.decode().encode("utf-32-be"), ("Content-Type: application/json; charset=utf-32",)),
    "a form": (FORM, ("Content-Type: multipart/form-data; boundary=b",)),
    "fields": (b"model=expensive&messages=", ("Content-Type: application/x-www-form-urlencoded",)),
    "a list": (b"[" + TWICE + b"]", ()),
    "lines": (TWICE + b"\n" + TWICE, ("Content-Type: application/x-ndjson",)),
    "a comment": (b"/**/" + TWICE, ()),
    "nothing": (b"", ()),
}


@pytest.mark.core
@pytest.mark.parametrize("address", [CHAT, "/v1/Chat/Completions"])
@pytest.mark.parametrize(("body", "lines"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_body_that_cannot_be_read_is_refused(
    flat: RunningProxy, upstream: Fresh, body: bytes, lines: tuple[str, ...], address: str
) -> None:
    reply = post(flat, address, body, *lines)

    assert reply.status in (400, 415)
    assert reply.error["code"] in ("invalid_json", "malformed_request", "unsupported_encoding")
    assert upstream.requests == []


OTHER_TYPES = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "text/plain",
    "application/json; charset=utf-16",
    "application/json; charset=UTF-7",
    "application/json; x=y ; Charset = 'gbk'",
    "application/json, application/json; charset=utf-16",
    "application/json; charset=utf-8; charset=utf-16",
]


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_ruled_body_goes_up_as_the_json_it_was_read_as(
    forcing: RunningProxy, proxy: RunningProxy, upstream: Fresh, kind: str
) -> None:
    form = TWICE.replace(b"[]", b'["&model=expensive&"]')
    assert [post(some, CHAT, form, f"Content-Type: {kind}").status for some in (forcing, proxy)] == [200, 200]

    ruled, unruled = upstream.requests
    assert ruled.header_values("content-type") == ["application/json"]
    assert last_wins(ruled.body, "model") == "cheap"
    assert (unruled.header_values("content-type"), unruled.body) == ([kind], form)


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON;charset=utf-8", 'application/json; charset="UTF-8"', ""]
)
def test_a_type_that_says_json_stays_as_it_is(forcing: RunningProxy, upstream: Fresh, kind: str) -> None:
    assert post(forcing, CHAT, TWICE, f"Content-Type: {kind}").status == 200

    assert upstream.request.header_values("content-type") == [kind or "application/json"]


def values_of(sent: bytes, name: str) -> list[Any]:
    """Return what each reader reads."""
    return [reader(sent, name) for reader in READERS.values()]


@pytest.mark.parametrize("seed", range(3))
def test_random_spellings_are_read_as_the_rules_say(forcing: RunningProxy, upstream: Fresh, seed: int) -> None:
    chance = random.Random(SEED + seed)
    with connect(forcing) as client:
        for _ in range(100):
            names = ["model", "temperature", "logit_bias"] * 3
            members = [f"{spelt(chance, name)}:{json.dumps(chance.choice(['x', 1, None]))}" for name in names]
            chance.shuffle(members)
            assert client.post(CHAT, "{{{}}}".format(",".join(members)).encode()).status == 200

    bodies = [request.body for request in upstream.requests]
    assert len(bodies) == 100
    for sent in bodies:
        assert [values_of(sent, name)[0] for name in ("model", "temperature", "logit_bias")] == ["cheap", 0, MISSING]
        assert len(pairs_of(sent)) == 2
