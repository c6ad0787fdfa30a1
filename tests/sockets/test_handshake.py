"""How a WebSocket begins: who may open one, what of the handshake reaches the upstream, and what it says instead."""

from collections.abc import Callable
from typing import Any

import pytest

from fakes.opening import HANDSHAKE, KEY_PROTOCOL, REALTIME, open_socket, refusal_of
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    CloseBeforeHeaders,
    Fin,
    Html,
    Json,
    Raw,
    RawBytes,
    Redirect,
    Script,
    ScriptedUpstream,
    SilentBeforeHeaders,
)
from fakes.shared_upstream import UPSTREAM_KEY, connect
from fakes.socket_upstream import SocketUpstream

PROXY_KEY = "proxy-key-0001"
NEEDS_KEY = {"proxy_require_api_key": True, "proxy_api_keys": PROXY_KEY}


# --- what the upstream sees -------------------------------------------------------------------------------------------


@pytest.mark.core
def test_the_upstream_is_given_the_key_this_proxy_holds(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with open_socket(proxy, additional_headers={"Authorization": "Bearer something"}):
        pass

    assert upstream.header("Authorization") == [f"Bearer {UPSTREAM_KEY}"]


def test_path_and_query_arrive_as_they_were_written(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with open_socket(proxy, "/v1/realtime/calls%2Fx?model=a+b&intent=%E4"):
        pass

    assert upstream.handshakes[-1].path == "/v1/realtime/calls%2Fx?model=a+b&intent=%E4"


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions", "/v1/models", "/v1/never/heard/of"])
def test_a_socket_can_be_opened_at_any_address_of_the_api(
    proxy: RunningProxy, upstream: SocketUpstream, path: str
) -> None:
    with open_socket(proxy, path) as client:
        client.send("hello")

        assert client.recv(timeout=5) == "hello"
    assert upstream.handshakes[-1].path == path


def test_a_base_url_without_its_version_works_too(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with open_socket(proxy, "//realtime?model=m"):
        pass

    assert upstream.handshakes[-1].path == "/v1/realtime?model=m"


def test_headers_of_the_api_travel_and_others_do_not(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    given = {"OpenAI-Beta": "realtime=v1", "Cookie": "a=b", "X-Own": "c", "X-Forwarded-For": "d", "X-Api-Key": "e"}
    given |= {"OpenAI-Safety-Identifier": "a"}
    with open_socket(proxy, additional_headers=given, origin="http://localhost:3000"):
        pass

    assert upstream.header("OpenAI-Beta") == ["realtime=v1"]
    assert [upstream.header(name) for name in ("OpenAI-Safety-Identifier", "X-Own")] == [["a"], ["c"]]
    assert [upstream.header(name) for name in ("Cookie", "Origin", "X-Forwarded-For", "X-Api-Key")] == [[], [], [], []]


def test_the_handshakes_own_nonce_goes_up_and_its_proof_comes_down(
    proxy: RunningProxy, upstream: SocketUpstream
) -> None:
    with connect(proxy) as client:
        head = client.send(client.request("GET", REALTIME, None, *HANDSHAKE)).read_head()

    assert head.status == 101
    assert head.header("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
    assert (head.header("connection"), head.header("upgrade")) == ("Upgrade", "websocket")
    assert upstream.header("Sec-WebSocket-Key") == ["dGhlIHNhbXBsZSBub25jZQ=="]


def test_a_frame_behind_the_handshake_in_the_same_packet_arrives(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    hello = bytes.fromhex("818500000000") + b"hello"  # a text frame, masked with zeros
    with connect(proxy) as client:
        client.send(client.request("GET", REALTIME, None, *HANDSHAKE) + hello)
        assert client.read_head().status == 101

        assert client.read_exactly(7) == b"\x81\x05hello"


def test_a_handshake_that_comes_byte_by_byte_is_understood(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    hello = bytes.fromhex("818500000000") + b"hello"
    with connect(proxy) as client:
        for byte in client.request("GET", REALTIME, None, *HANDSHAKE) + hello:
            client.send(bytes([byte]))
        assert client.read_head().status == 101

        assert client.read_exactly(7) == b"\x81\x05hello"


def test_a_handshake_behind_a_request_on_the_same_connection_works(
    proxy: RunningProxy, upstream: SocketUpstream
) -> None:
    with connect(proxy) as client:
        client.send(client.request("GET", "/v1/health") + client.request("GET", REALTIME, None, *HANDSHAKE))

        assert [client.read_reply().status, client.read_head().status] == [200, 101]


# --- sub-protocols ----------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize(
    ("offered", "seen", "chosen"),
    [
        (["realtime"], ["realtime"], "realtime"),
        (["other", "realtime"], ["other, realtime"], "realtime"),
        (
            ["realtime", f"{KEY_PROTOCOL}sk-any", "openai-beta.realtime-v1"],
            ["realtime, openai-beta.realtime-v1"],
            "realtime",
        ),
        ([f"{KEY_PROTOCOL}sk-any", "other"], ["other"], "other"),
        ([f"{KEY_PROTOCOL}sk-any"], [], None),
        ([], [], None),
    ],
)
def test_sub_protocols_are_agreed_on_end_to_end_and_no_key_is_among_them(
    proxy: RunningProxy, upstream: SocketUpstream, offered: Any, seen: list[str], chosen: str | None
) -> None:
    with open_socket(proxy, subprotocols=offered or None) as client:
        assert client.subprotocol == chosen
    assert upstream.header("Sec-WebSocket-Protocol") == seen
    assert "sk-any" not in str(upstream.handshakes[-1].headers)


def test_a_sub_protocol_nobody_offered_is_refused(start: Callable[..., RunningProxy]) -> None:
    with SocketUpstream(stubborn="own") as stubborn:
        status, error = refusal_of(start(stubborn.base_url), subprotocols=["realtime"])

    assert (status, error["code"]) == (502, "upstream_protocol_error")


# --- who may open one -------------------------------------------------------------------------------------------------


@pytest.mark.core
@pytest.mark.parametrize(
    "offer",
    [
        {"additional_headers": {"Authorization": f"Bearer {PROXY_KEY}"}},
        {"additional_headers": {"X-Api-Key": PROXY_KEY}},
        {"subprotocols": ["realtime", f"{KEY_PROTOCOL}{PROXY_KEY}"]},
    ],
    ids=["as bearer", "as x-api-key", "as sub-protocol"],
)
def test_a_proxy_key_lets_in_and_never_reaches_the_upstream(
    start: Callable[..., RunningProxy], upstream: SocketUpstream, offer: dict[str, Any]
) -> None:
    with open_socket(start(upstream.base_url, **NEEDS_KEY), **offer):
        pass

    assert upstream.header("Authorization") == [f"Bearer {UPSTREAM_KEY}"]
    assert PROXY_KEY not in str(upstream.handshakes[-1].headers)


@pytest.mark.core
@pytest.mark.parametrize(
    ("offer", "code"),
    [
        ({}, "missing_proxy_key"),
        ({"subprotocols": ["realtime"]}, "missing_proxy_key"),
        ({"subprotocols": ["realtime", KEY_PROTOCOL]}, "missing_proxy_key"),
        ({"subprotocols": ["realtime", f"{KEY_PROTOCOL}wrong"]}, "invalid_proxy_key"),
        ({"additional_headers": {"Authorization": "Bearer wrong"}}, "invalid_proxy_key"),
    ],
)
def test_without_the_right_proxy_key_nothing_is_asked(
    start: Callable[..., RunningProxy], upstream: SocketUpstream, offer: dict[str, Any], code: str
) -> None:
    status, error = refusal_of(start(upstream.base_url, **NEEDS_KEY), **offer)

    assert (status, error["code"]) == (401, code)
    assert upstream.handshakes == []


@pytest.mark.parametrize(
    "offer",
    [
        {"additional_headers": {"Authorization": "Bearer sk-callers-own"}},
        {"subprotocols": ["realtime", f"{KEY_PROTOCOL}sk-callers-own"]},
    ],
    ids=["as bearer", "as sub-protocol"],
)
def test_a_callers_own_key_is_the_upstreams_where_it_is_forwarded(
    start: Callable[..., RunningProxy], upstream: SocketUpstream, offer: dict[str, Any]
) -> None:
    with open_socket(start(upstream.base_url, proxy_forward_auth_header=True), **offer):
        pass

    assert upstream.header("Authorization") == ["Bearer sk-callers-own"]
    assert KEY_PROTOCOL not in str(upstream.handshakes[-1].headers)


@pytest.mark.core
def test_a_foreign_page_may_not_open_one(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    status, error = refusal_of(proxy, origin="https://evil.example")

    assert (status, error["code"]) == (403, "origin_not_allowed")
    assert upstream.handshakes == []


@pytest.mark.core
def test_a_foreign_host_is_refused(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with connect(proxy) as client:
        reply = client.ask("GET", REALTIME, None, "Host: evil.example", *HANDSHAKE)

    assert (reply.status, reply.error["code"]) == (403, "host_not_allowed")
    assert upstream.handshakes == []


def test_a_page_of_this_computer_may_open_one(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with open_socket(proxy, origin="http://localhost:3000") as client:
        client.send("hello")

        assert client.recv(timeout=5) == "hello"


MALFORMED: dict[str, tuple[str, tuple[str, ...], bytes | None]] = {
    "no nonce": ("GET", HANDSHAKE[:3], None),
    "a nonce that is none": ("GET", (*HANDSHAKE[:3], "Sec-WebSocket-Key: short"), None),
    "two nonces": ("GET", (*HANDSHAKE, HANDSHAKE[3]), None),
    "a body": ("GET", HANDSHAKE, b"body"),
}


@pytest.mark.parametrize(("method", "lines", "body"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_handshake_is_refused_and_its_connection_closed(
    proxy: RunningProxy, upstream: SocketUpstream, method: str, lines: tuple[str, ...], body: bytes | None
) -> None:
    with connect(proxy) as client:
        reply = client.ask(method, REALTIME, body, *lines)

        assert (reply.status, reply.error["code"]) == (400, "malformed_request")
        assert reply.header("connection") == "close"
        assert client.read_rest() == b""
    assert upstream.handshakes == []


def test_post_opens_no_socket(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with connect(proxy) as client:
        reply = client.ask("POST", REALTIME, None, *HANDSHAKE)

    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert upstream.handshakes == []


def test_http_1_0_opens_no_socket(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with connect(proxy) as client:
        client.send(client.request("GET", REALTIME, None, *HANDSHAKE, version="HTTP/1.0"))

        assert client.read_reply().error["code"] == "malformed_request"
    assert upstream.handshakes == []


def test_a_path_that_climbs_is_refused(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    with connect(proxy) as client:
        assert client.ask("GET", "/v1/../realtime", None, *HANDSHAKE).status == 404
    assert upstream.handshakes == []


def test_outside_the_api_there_is_no_socket(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    status, error = refusal_of(proxy, "/elsewhere")

    assert (status, error["code"]) == (404, "unknown_path")
    assert upstream.handshakes == []


def test_without_an_upstream_key_it_is_said_so(start: Callable[..., RunningProxy], upstream: SocketUpstream) -> None:
    status, error = refusal_of(start("https://gateway.example/v1", openai_api_key=None))

    assert (status, error["code"]) == (503, "no_upstream_key")
    assert upstream.handshakes == []


# --- what the upstream says instead -----------------------------------------------------------------------------------

ERROR = b'{"error":{"message":"scripted","type":"t","param":null,"code":"own"}}'


@pytest.mark.core
@pytest.mark.parametrize("status", [400, 404, 426, 429, 500, 503])
def test_a_refusal_of_the_upstream_arrives_as_it_is(proxy: RunningProxy, upstream: SocketUpstream, status: int) -> None:
    upstream.refuse(status, ERROR)

    assert refusal_of(proxy) == (status, {"message": "scripted", "type": "t", "param": None, "code": "own"})
    assert len(upstream.handshakes) == 1


@pytest.mark.core
@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (401, b"own", "upstream_invalid_api_key"),
        (403, b"invalid_api_key", "upstream_invalid_api_key"),
        (403, b"own", "own"),  # it is about the key where its own code says so: a region, a model may be the reason
        (403, b"unsupported_country_region_territory", "unsupported_country_region_territory"),
    ],
)
def test_a_refusal_of_the_key_is_explained_and_the_key_hidden(
    proxy: RunningProxy, upstream: SocketUpstream, status: int, code: bytes, expected: str
) -> None:
    upstream.refuse(status, ERROR.replace(b"scripted", b"bad key " + UPSTREAM_KEY.encode()).replace(b"own", code))
    seen, error = refusal_of(proxy)

    assert (seen, error["code"]) == (status, expected)
    assert UPSTREAM_KEY not in error["message"]


def test_the_icon_learns_of_a_refused_key(proxy: RunningProxy, upstream: SocketUpstream) -> None:
    upstream.refuse(401, ERROR)
    refusal_of(proxy)
    assert proxy.services.health.current.kind == "key refused"
    upstream.forget()
    with open_socket(proxy):
        assert proxy.services.health.current.kind == "healthy"


SWITCHED = "HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
PROOF = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"  # for the nonce of HANDSHAKE

INSTEAD: dict[str, tuple[Answer, tuple[int, str]]] = {
    "nothing": (SilentBeforeHeaders(), (504, "upstream_timeout")),
    "an end": (CloseBeforeHeaders(), (502, "upstream_protocol_error")),
    "garbage": (RawBytes(), (502, "upstream_protocol_error")),
    "a redirect": (Redirect("http://127.0.0.1:1/"), (502, "upstream_unexpected_status")),
    "101 without an upgrade": (
        Script([Raw(b"HTTP/1.1 101 Fine\r\n\r\n"), Fin()]),
        (502, "upstream_protocol_error"),
    ),
    "101 without its proof": (Script([Raw(f"{SWITCHED}\r\n".encode()), Fin()]), (502, "upstream_protocol_error")),
    "101 with the proof for another": (
        Script([Raw(f"{SWITCHED}{PROOF}\r\n".encode()), Fin()]),
        (502, "upstream_protocol_error"),
    ),
    "a page": (Html(status=502), (502, "upstream_status_502")),
}


@pytest.mark.core
@pytest.mark.parametrize(("answer", "expected"), INSTEAD.values(), ids=INSTEAD)
def test_an_upstream_that_does_not_shake_hands_is_an_error_of_the_api(
    start: Callable[..., RunningProxy], answer: Answer, expected: tuple[int, str]
) -> None:
    with ScriptedUpstream() as scripted:
        scripted.answer(answer)
        status, error = refusal_of(start(scripted.base_url, openai_timeout=0.5))

    assert (status, error["code"]) == expected


@pytest.mark.parametrize("chosen", ["Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Protocol: own"])
def test_what_nobody_offered_may_not_be_chosen(start: Callable[..., RunningProxy], chosen: str) -> None:
    with ScriptedUpstream() as scripted:
        scripted.answer(Script([Raw(f"{SWITCHED}{PROOF}{chosen}\r\n\r\n".encode()), Fin()]))
        with connect(start(scripted.base_url)) as client:
            reply = client.ask("GET", REALTIME, None, *HANDSHAKE)

    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol_error")


def test_an_upstream_that_answers_in_http_is_passed_on(start: Callable[..., RunningProxy]) -> None:
    with ScriptedUpstream() as scripted:
        scripted.answer(Json({"hello": "there"}))
        with connect(start(scripted.base_url)) as client:
            reply = client.ask("GET", REALTIME, None, *HANDSHAKE)

    assert (reply.status, reply.json(), reply.header("connection")) == (200, {"hello": "there"}, "close")


def test_an_upstream_that_cannot_be_reached_is_an_error_of_the_api(start: Callable[..., RunningProxy]) -> None:
    status, error = refusal_of(start("http://127.0.0.1:1/v1"))

    assert (status, error["code"]) == (502, "upstream_unreachable")
