"""The ways clients misspell our addresses, and the one address each of them means."""

import random
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest

from fakes.raw_client import RawClient
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh
from proxy.policy.endpoints import json_endpoint
from proxy.web.addresses import API_ROOTS, OneAddress, leaves_its_folder, one_address

SEED = 20240608


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        # the right address
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/models", "/v1/models"),
        ("/v1/models/gpt-5", "/v1/models/gpt-5"),
        ("/v1/chat/completions/chatcmpl-1/messages", "/v1/chat/completions/chatcmpl-1/messages"),
        ("/v1/responses/resp_1/input_items", "/v1/responses/resp_1/input_items"),
        ("/v1/files/models", "/v1/files/models"),
        # /v1 is missing
        ("/chat/completions", "/v1/chat/completions"),
        ("/models", "/v1/models"),
        ("/models/gpt-5", "/v1/models/gpt-5"),
        ("/embeddings", "/v1/embeddings"),
        ("/fim/completions", "/v1/fim/completions"),
        ("/rerank", "/v1/rerank"),
        ("/health", "/v1/health"),
        ("/responses", "/v1/responses"),
        ("/audio/speech", "/v1/audio/speech"),
        # /v1 is doubled
        ("/v1/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/v1/v1/models", "/v1/models"),
        ("/v1/v1", "/v1"),
        # the whole endpoint was pasted as a base URL
        ("/v1/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/models", "/v1/models"),
        ("/v1/chat/completions/embeddings", "/v1/embeddings"),
        ("/v1/embeddings/embeddings", "/v1/embeddings"),
        ("/v1/completions/completions", "/v1/completions"),
        ("/v1/responses/responses", "/v1/responses"),
        ("/v1/rerank/rerank", "/v1/rerank"),
        ("/v1/moderations/chat/completions", "/v1/chat/completions"),
        ("/v1/images/generations/images/edits", "/v1/images/edits"),
        ("/v1/models/chat/completions", "/v1/chat/completions"),
        ("/v1/models/models", "/v1/models"),
        ("/models/embeddings", "/v1/embeddings"),
        ("/v1/models/audio/speech", "/v1/audio/speech"),
        # as services in the net have it
        ("/openai/v1/chat/completions", "/v1/chat/completions"),
        ("/api/v1/models", "/v1/models"),
        ("/API/V1/models", "/v1/models"),
        ("/V1/models", "/v1/models"),
        ("/V1/v1/embeddings", "/v1/embeddings"),
        ("/openai/v1/v1/models/chat/completions", "/v1/chat/completions"),
        ("/api/v1/rerank/rerank", "/v1/rerank"),
        # the name of a model is none of these
        ("/v1/models/rerank-english-v3", "/v1/models/rerank-english-v3"),
        ("/v1/models/completions/versions", "/v1/models/completions/versions"),
        ("/v1/models/files", "/v1/models/files"),
        # stray slashes
        ("//v1//chat/completions", "/v1/chat/completions"),
        ("//models", "/v1/models"),
        ("///v1///models///", "/v1/models"),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/models/", "/v1/models"),
        ("/v1/", "/v1"),
        ("//", "/"),
        # all of it together
        ("//v1/v1//chat/completions//chat/completions/", "/v1/chat/completions"),
    ],
)
def test_a_misspelt_address_is_brought_back_to_the_one_that_is_meant(asked: str, meant: str) -> None:
    assert one_address(asked) == meant


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("/v1/chat/completions/chat/completions/chat/completions", "/v1/chat/completions"),
        ("/v1/completions/chat/completions/embeddings", "/v1/embeddings"),
        ("/v1/embeddings/chat/completions/chat/completions", "/v1/chat/completions"),
    ],
)
def test_endpoints_that_were_pasted_more_than_once_are_taken_off_too(asked: str, meant: str) -> None:
    assert one_address(asked) == meant


@pytest.mark.parametrize("path", ["/v1/chat/completionsmodels", "/v1/chat/completionsfiles/1"])
def test_a_longer_word_is_not_taken_for_a_pasted_endpoint(path: str) -> None:
    assert one_address(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/favicon.ico",
        "/api/tags",
        "/ui/settings",
        "/v2/models",
        "/v10/models",
        "/v1beta/models",
        "/v1models",
        "/API/tags",
        "/openai",
        "/openai/models",
        "/openai/v1beta/models",
        "/myapi/v1/models",
        "/v1/api/v1x/models",
        "/modelsx",
        "/chatter/completions",
        "/healthz",
        "/metrics",
        "/v1/unknown/endpoint",
        "/v1/unknown/chat/completions",
        "/foo/v1/models",
    ],
)
def test_nothing_outside_the_api_is_rewritten(path: str) -> None:
    assert one_address(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/org%2Fmodel",
        "/v1/models/ft%3Agpt-4o%3Aorg",
        "/v1/files/%E2%82%AC",
        "/v1/files/a%20b",
        "/v1/files/%2F%2F",
        "/%76%31/models",
        "/%63hat/completions",
        "/v1/models/a;b=c,d",
    ],
)
def test_an_encoded_path_stays_encoded(path: str) -> None:
    assert one_address(path) == path


def random_path(chance: random.Random) -> str:
    segments = [
        *("", "v1", "v1", "chat", "completions", "chat/completions", "embeddings", "responses", "models", "fim"),
        *("files", "x", "V1", "v10", "a%2Fb", "%76%31", "..", "completionsmodels", "modelsx"),
    ]
    path = "".join("/" + chance.choice(segments) for _ in range(chance.randint(1, 7)))
    return path + chance.choice(["", "", "/", "//"])


def random_paths() -> Iterable[str]:
    chance = random.Random(SEED)
    return [random_path(chance) for _ in range(5_000)]


def test_the_one_address_of_any_path_is_its_own() -> None:
    addresses = {one_address(path) for path in random_paths()}

    assert {address: one_address(address) for address in addresses if one_address(address) != address} == {}


def test_the_one_address_of_any_path_has_no_stray_slash() -> None:
    for path in random_paths():
        address = one_address(path)
        assert address.startswith("/"), path
        assert "//" not in address, path
        assert address == "/" or not address.endswith("/"), path


def test_any_path_outside_the_api_keeps_all_its_segments() -> None:
    outside = 0
    for path in random_paths():
        segments = [segment for segment in path.split("/") if segment]
        beyond = segments[:]
        while beyond and beyond[0].lower() == "v1":
            beyond.pop(0)
        if beyond and beyond[0] not in API_ROOTS:
            outside += 1
            one = [segment for segment in one_address(path).split("/") if segment]
            assert one in (segments, ["v1", *beyond]), path
    assert outside > 500


def test_any_path_of_the_api_ends_under_v1() -> None:
    inside = 0
    for path in random_paths():
        segments = [segment for segment in path.split("/") if segment]
        while segments and segments[0] == "v1":
            segments.pop(0)
        if segments and segments[0] in API_ROOTS:
            inside += 1
            _, version, *rest = one_address(path).split("/")
            assert version == "v1", path
            assert rest[0] in API_ROOTS, path
    assert inside > 500


@pytest.mark.parametrize(
    "path",
    [
        "/v1/..",
        "/v1/../admin",
        "/v1/./models",
        "/v1/files/../../admin",
        "/..",
        "/.",
        "/v1/%2e%2e/admin",
        "/v1/%2E%2E/admin",
        "/v1/.%2e/admin",
        "/v1/%2e./admin",
        "/v1/%2e/models",
        "/v1/files%2F..%2Fadmin",
        "/v1/..;/admin",
        "/v1/..;a=b/admin",
        "/v1/%2e%2e;/admin",
        "/v1/..%3b/admin",
        "/v1/%252e%252e/admin",
        "/v1/%25252e%25252e%25252fadmin",
        "/v1/..%255cadmin",
        "/v1/.%00./..%00/admin",
        "/v1/..%3fx/admin",
        "/v1/..%23/admin",
        "/v1/..%20/admin",
        "/v1/%c0%ae%c0%ae/admin",
        "/v1/a%c0%af..%c0%afadmin",
        "/v1/files%2f%2e%2e%2fadmin",
        "/v1/files\\..\\admin",
        "/v1/files%5C..%5Cadmin",
        "/v1/files%5c%2e%2e",
    ],
)
def test_a_path_with_dot_segments_leaves_its_folder(path: str) -> None:
    assert leaves_its_folder(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/models",
        "/v1/models/gpt-4.1",
        "/v1/files/...",
        "/v1/files/..a",
        "/v1/files/a..",
        "/v1/files/a..b",
        "/v1/files/.hidden",
        "/v1/files/%2e%2e%2e",
        "/v1/files/report%2Epdf",
        "/v1/models/org%2Fmodel",
        "/v1/files/100%25",
        "/v1/files/..a;b",
        "/v1/files/;..",
        "/v1/files/what%3F",
        "/v1/files/%E2%80%A6",
    ],
)
def test_dots_within_a_name_stay_in_their_folder(path: str) -> None:
    assert not leaves_its_folder(path)


# The WSGI layer


class Seen:
    """A WSGI app that keeps the environment it was called with."""

    environ: dict[str, Any]

    def __call__(self, environ: dict[str, Any], start_response: object) -> list[bytes]:
        self.environ = dict(environ)
        return [b"answered"]


def ask(environ: dict[str, Any]) -> dict[str, Any]:
    """Return the environment the app sees for a request."""
    seen = Seen()
    assert list(OneAddress(seen)(environ, lambda *_: None)) == [b"answered"]
    return seen.environ


@pytest.mark.parametrize(
    ("target", "raw_uri", "path_info"),
    [
        ("/v1/models", "/v1/models", "/v1/models"),
        ("//models/", "/v1/models", "/v1/models"),
        ("/models/org%2Fmodel", "/v1/models/org%2Fmodel", "/v1/models/org/model"),
        ("/v1/files/a%20b%3F", "/v1/files/a%20b%3F", "/v1/files/a b?"),
        ("/v1/files/%E2%82%AC", "/v1/files/%E2%82%AC", "/v1/files/\xe2\x82\xac"),  # bytes as Latin-1: PEP 3333
        ("/v1/files/%FF", "/v1/files/%FF", "/v1/files/\xff"),
        ("/v1/files/%", "/v1/files/%", "/v1/files/%"),
        ("/v1/files/%zz", "/v1/files/%zz", "/v1/files/%zz"),
        ("/%63hat/completions", "/%63hat/completions", "/chat/completions"),
        # what an upstream could take for an endpoint with rules is routed there, and asked for as it was spelt
        ("/v1/Chat/Completions", "/v1/Chat/Completions", "/v1/chat/completions"),
        ("//responses;x", "/responses;x", "/responses;x"),
        ("/v1/responses;x", "/v1/responses;x", "/v1/responses"),
        ("/v1/%2563hat/completions", "/v1/%2563hat/completions", "/v1/chat/completions"),
        ("/v1/engines/m/completions", "/v1/engines/m/completions", "/v1/completions"),
        ("/Chat/Completions", "/Chat/Completions", "/Chat/Completions"),
        ("/V1/chat/completions", "/v1/chat/completions", "/v1/chat/completions"),
    ],
)
def test_the_app_sees_the_decoded_path_and_the_encoded_one_is_kept(target: str, raw_uri: str, path_info: str) -> None:
    seen = ask({"RAW_URI": target, "PATH_INFO": "/wrong", "QUERY_STRING": ""})

    assert (seen["RAW_URI"], seen["PATH_INFO"]) == (raw_uri, path_info)


@pytest.mark.parametrize("query", ["a=1", "after=x&limit=2", "path=//v1//models/", "q=%2F..%2F", "a?b", "a=%zz"])
def test_a_query_is_never_touched(query: str) -> None:
    seen = ask({"RAW_URI": f"//models/?{query}", "PATH_INFO": "//models/", "QUERY_STRING": query})

    assert (seen["RAW_URI"], seen["QUERY_STRING"]) == (f"/v1/models?{query}", query)


@pytest.mark.parametrize(
    ("environ", "raw_uri"),
    [
        ({"RAW_URI": "/models/a%2Fb"}, "/v1/models/a%2Fb"),  # gunicorn, our own server
        ({"REQUEST_URI": "/models/a%2Fb?x=1", "QUERY_STRING": "x=1"}, "/v1/models/a%2Fb?x=1"),  # uWSGI, mod_wsgi
        ({"PATH_INFO": "/models/a b"}, "/v1/models/a%20b"),  # no server's own variable
        ({"PATH_INFO": "/files/\xe2\x82\xac"}, "/v1/files/%E2%82%AC"),
        ({"PATH_INFO": "/files/100%"}, "/v1/files/100%25"),
        ({"RAW_URI": "http://evil.example/v1/files", "PATH_INFO": "/v1/models"}, "/v1/models"),
        ({"RAW_URI": "*", "PATH_INFO": "/v1/models"}, "/v1/models"),
    ],
)
def test_every_wsgi_server_tells_the_path_in_its_own_variable(environ: dict[str, Any], raw_uri: str) -> None:
    assert ask({"PATH_INFO": "/wrong", "QUERY_STRING": "", **environ})["RAW_URI"] == raw_uri


def test_the_decoded_path_is_the_encoded_one_decoded_for_any_path_but_an_endpoint_with_rules() -> None:
    ruled = 0
    for path in random_paths():
        seen = ask({"RAW_URI": path, "PATH_INFO": "/wrong", "QUERY_STRING": ""})
        decoded, endpoint = unquote_to_bytes(seen["RAW_URI"]).decode("latin-1"), json_endpoint(seen["RAW_URI"])
        if endpoint and decoded.startswith("/v1/"):
            ruled += 1
            assert seen["PATH_INFO"] == f"/v1{endpoint}", path
        else:
            assert decoded == seen["PATH_INFO"], path
    assert ruled > 200


# Through the running proxy


def test_every_spelling_reaches_the_one_endpoint_without_a_redirect(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion()), path="/v1/chat/completions")
    spellings = [
        "/v1/chat/completions",
        "/chat/completions",
        "/v1/v1/chat/completions",
        "//v1//chat/completions",
        "/v1/chat/completions/",
        "/v1/chat/completions/chat/completions",
    ]

    statuses = {spelling: proxy.http.post(spelling, json={"model": "m"}).status_code for spelling in spellings}

    assert statuses == dict.fromkeys(spellings, 200)
    assert [request.target for request in upstream.requests] == ["/v1/chat/completions"] * len(spellings)


def test_an_encoded_path_and_its_query_go_upstream_as_they_came(
    upstream: Fresh, start_proxy: Callable[..., RunningProxy]
) -> None:
    upstream.answer(Json({}))
    proxy = start_proxy(openai_base_url=f"{upstream.base_url}beta/openai", openai_api_key="sk-1")
    targets = [
        "/v1/models/org%2Fmodel?after=x&limit=2",
        "/v1/files/org%2Ffile?x=%2F&y=a+b",
        "/v1/files/%E2%82%AC%20x?",
        "/v1/files/a;b,c:d@e!$&'()*+=~",
    ]

    for target in targets:
        with closing(RawClient(proxy.address.port)) as client:
            head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{proxy.address.port}\r\nConnection: close\r\n\r\n"
            assert client.send(head.encode()).read_to_fin().startswith(b"HTTP/1.1 200")

    wanted = [target.replace("/v1/", "/v1beta/openai/").removesuffix("?") for target in targets]
    assert [request.target for request in upstream.requests] == wanted


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/v1%2fmodels", "/v1/models"),
        ("/%76%31%2Fmodels", "/v1/models"),
        ("/%761/models/x", "/v1/models/x"),
        ("/v%31%2Ffiles?after=%2F", "/v1/files?after=%2F"),
    ],
)
def test_a_version_may_be_encoded_too(upstream: Fresh, proxy: RunningProxy, asked: str, sent: str) -> None:
    with closing(RawClient(proxy.address.port)) as client:
        head = f"GET {asked} HTTP/1.1\r\nHost: 127.0.0.1:{proxy.address.port}\r\nConnection: close\r\n\r\n"
        assert client.send(head.encode()).read_to_fin().startswith(b"HTTP/1.1 200")

    assert upstream.request.target == sent


def test_a_path_that_climbs_never_reaches_the_upstream(upstream: Fresh, proxy: RunningProxy) -> None:
    for target in ("/v1/../admin", "/v1/files/../../admin", "/v1/%2e%2e/admin", "/v1/files%2F..%2F..%2Fadmin"):
        with closing(RawClient(proxy.address.port)) as client:
            head = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{proxy.address.port}\r\nConnection: close\r\n\r\n"
            assert client.send(head.encode()).read_to_fin().startswith(b"HTTP/1.1 404"), target
    assert upstream.requests == []
