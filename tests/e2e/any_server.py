"""What holds under any server that runs the app: a test class for each kind of server inherits these tests."""

import json
import time
from typing import Protocol

import pytest

from fakes.asking import CHAT, FILES
from fakes.scripted_upstream import Content, Fin, Html, Json, SilentBeforeHeaders, Sse, completion, completion_chunks
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from fakes.wire_client import JSON_TYPE, WireClient, in_chunks

BODY = b'{"model":"m", "messages":[]}'
LIMITS = {"OPENAI_TIMEOUT": "1.5", "PROXY_MAX_BODY_MB": "4", "PROXY_MAX_UPLOAD_MB": "4"}  # as the tests expect them


class AnyServer(Protocol):
    """A running server."""

    @property
    def port(self) -> int:
        """Return where it listens."""

    def connect(self, limit_s: float = ...) -> WireClient:
        """Open a connection to it."""


class UnderAnyServer:
    """The fixture `server` is one that runs the app before the upstream of the fixture `upstream`, with LIMITS."""

    @pytest.mark.core
    def test_it_chats(self, server: AnyServer, upstream: Fresh) -> None:
        body = json.dumps(completion("Grüße")).encode()
        upstream.answer(Content(body, "application/json", headers=[("X-Request-Id", "req_1"), ("Set-Cookie", "a=1")]))
        with server.connect() as client:
            reply = client.post(CHAT, BODY)

        assert (reply.status, reply.body, reply.header("x-request-id")) == (200, body, "req_1")
        assert reply.header("set-cookie") is None
        assert upstream.request.body == BODY
        assert upstream.request.header("Authorization") == f"Bearer {UPSTREAM_KEY}"

    def test_chunks_arrive_as_they_are_made(self, server: AnyServer, upstream: Fresh) -> None:
        upstream.answer(Sse(completion_chunks("a", "b", "c"), gap_s=0.2))
        with server.connect() as client:
            client.send(client.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
            times = []
            while client.read_chunk():
                times.append(time.monotonic())

        assert len(times) == 6
        assert times[-1] - times[0] > 0.7

    def test_a_stream_comes_byte_for_byte(self, server: AnyServer, upstream: Fresh) -> None:
        chunk = b'data: {"choices":[{"index":0,"finish_reason":"stop","delta":{"content":"\xc3\xbc"}}]}'
        stream = b": comment\r\n\r\n" + chunk + b"\r\n\r\ndata: [DONE]\n\n"
        upstream.answer(Sse([stream], done=False, cut=3))
        with server.connect() as client:
            assert client.post(CHAT, BODY).body == stream

    @pytest.mark.parametrize("path", [FILES, "/files"])
    def test_3_mb_are_uploaded_byte_for_byte(self, server: AnyServer, upstream: Fresh, path: str) -> None:
        upstream.answer(Json({"id": "f"}))
        content = bytes(range(256)) * 12 * 1024
        with server.connect() as client:
            assert client.post(path, content, "Content-Type: a/b").status == 200

        assert (upstream.request.target, upstream.request.body) == (FILES, content)
        assert upstream.request.header("Content-Length") == str(len(content))
        assert upstream.request.header("Content-Type") == "a/b"

    def test_3_mb_of_unknown_length_are_uploaded_byte_for_byte(self, server: AnyServer, upstream: Fresh) -> None:
        upstream.answer(Json({"id": "f"}))
        content = bytes(range(256)) * 12 * 1024
        with server.connect() as client:
            client.send(client.request("POST", FILES, None, "Content-Type: a/b", "Transfer-Encoding: chunked"))
            client.send(in_chunks(*(content[place : place + 100_000] for place in range(0, len(content), 100_000))))
            assert client.read_reply().status == 200

        assert upstream.request.body == content

    @pytest.mark.parametrize("path", [CHAT, FILES])
    def test_a_body_that_is_too_large_is_refused(self, server: AnyServer, upstream: Fresh, path: str) -> None:
        with server.connect() as client:
            client.send(client.request("POST", path, None, JSON_TYPE, f"Content-Length: {5 * 2**20}"))

            assert client.read_reply().error["code"] == "request_too_large"
        assert upstream.requests == []

    def test_an_error_of_the_upstream_comes_back(self, server: AnyServer, upstream: Fresh) -> None:
        error = {"error": {"message": "no", "type": "t", "param": None, "code": "own"}}
        upstream.answer(Json(error, status=422))
        with server.connect() as client:
            reply = client.post(CHAT, BODY)

        assert (reply.status, reply.json()) == (422, error)

    def test_an_error_of_ours_comes_back(self, server: AnyServer, upstream: Fresh) -> None:
        upstream.answer(Html())
        with server.connect() as client:
            assert client.post(CHAT, BODY).error["code"] == "upstream_invalid_response"

    def test_a_silent_upstream_is_a_timeout(self, server: AnyServer, upstream: Fresh) -> None:
        upstream.answer(SilentBeforeHeaders())
        with server.connect() as client:
            reply = client.post(CHAT, BODY)

        assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/nothing", 404),
            ("GET", "/ui", 404),
            ("POST", "/_tray/link", 404),
            ("GET", "/v1/../ui", 404),
            ("PUT", CHAT, 405),
            ("POST", CHAT, 400),
        ],
    )
    def test_refusals_are_json(self, server: AnyServer, upstream: Fresh, method: str, path: str, status: int) -> None:
        with server.connect() as client:
            reply = client.ask(method, path, b"no json" if method != "GET" else None)

        assert (reply.status, reply.error["type"]) == (status, "invalid_request_error")
        assert upstream.requests == []

    def test_an_allowed_page_may_read_a_stream(self, server: AnyServer, upstream: Fresh) -> None:
        upstream.answer(Sse(completion_chunks("a")))
        with server.connect() as client:
            reply = client.post(CHAT, BODY, "Origin: http://localhost:3000")

        assert reply.header("access-control-allow-origin") == "http://localhost:3000"
        assert reply.body.endswith(b"data: [DONE]\n\n")

    def test_a_foreign_host_and_a_foreign_page_are_refused(self, server: AnyServer) -> None:
        for foreign in ("Host: evil.example", "Host: 127.0.0.1.evil.example:1", "Origin: https://evil.example"):
            with server.connect() as client:
                assert client.ask("GET", "/v1/health", None, foreign).status == 403
        with server.connect() as client:
            assert client.ask("GET", "/v1/health", None, f"Host: localhost:{server.port}").status == 200

    def test_a_stream_that_dies_midway_ends_with_an_error(self, server: AnyServer, upstream: Fresh) -> None:
        upstream.answer(Sse(completion_chunks("Hel", "lo", finish=None), done=False, end=Fin()))
        with server.connect(limit_s=3) as client:
            body = client.post(CHAT, BODY).body

        assert b'"code":"upstream_truncated"' in body
        assert b"[DONE]" not in body
