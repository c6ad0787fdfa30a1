"""Which address of the upstream is asked: path and query as the client encoded them, and never beyond the base URL."""

from urllib.parse import parse_qsl, unquote

import pytest

from fakes.asking import BODY, CHAT
from fakes.shared_upstream import Fresh
from fakes.wire_client import WireClient

QUERIES = [
    "limit=2&after=file-abc",
    "q=a%20b+c%2Bd%26e%3Df",
    "include[]=a&include[]=b",
    "include%5B%5D=a&include%5B%5D=b",
    "u=%C3%BC&lower=%c3%bc",
    "empty=&bare&=nameless",
    "path=%2Fv1%2F..%2F",
    "a=1&a=2&a=1",
    "semi;colon=1,2|3",
]


@pytest.mark.core
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_arrives_as_it_was_encoded(client: WireClient, upstream: Fresh, query: str) -> None:
    client.ask("GET", f"/v1/files?{query}")

    assert upstream.request.target == f"/v1/files?{query}"


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_for_models_keeps_its_meaning(client: WireClient, upstream: Fresh, query: str) -> None:
    # The SDK asks for the models, and brings what may be encoded in several ways into one.
    client.ask("GET", f"/v1/models?{query}")

    path, _, arrived = upstream.request.target.partition("?")
    assert path == "/v1/models"
    assert parse_qsl(arrived, keep_blank_values=True) == parse_qsl(query, keep_blank_values=True)


IDS = [
    "org%2Fmodel",
    "org%2fmodel",
    "ft:gpt-4o:me::abc",
    "ft%3Agpt",
    "a%20b",
    "%C3%BC",
    "a%25b",
    "a%252Fb",
    "a%3Fb%23c",
    "(a)'b'!c*d;e=f,g~h@i&j$k+l",
]


@pytest.mark.core
@pytest.mark.parametrize("file_id", IDS)
def test_a_path_arrives_as_it_was_encoded(client: WireClient, upstream: Fresh, file_id: str) -> None:
    client.ask("GET", f"/v1/files/{file_id}/content")

    assert upstream.request.target == f"/v1/files/{file_id}/content"


@pytest.mark.parametrize("model", IDS)
def test_the_id_of_a_model_stays_one_segment_of_the_path(client: WireClient, upstream: Fresh, model: str) -> None:
    client.ask("GET", f"/v1/models/{model}")

    *before, arrived = upstream.request.target.split("/")
    assert before == ["", "v1", "models"]
    assert unquote(arrived) == unquote(model)


def test_the_id_of_a_model_to_delete_arrives_as_it_was_encoded(client: WireClient, upstream: Fresh) -> None:
    client.ask("DELETE", "/v1/models/org%2Fmodel%3Ax")

    assert upstream.request.target == "/v1/models/org%2Fmodel%3Ax"


@pytest.mark.core
@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/../../admin",
        "/v1/files/%2e%2e/%2E%2E/admin",
        "/v1/files/..%2f..%2fadmin",
        "/v1/models/..",
        "/v1/models/%2e%2e%2fadmin",
        "/v1/./files",
        "/v1/files/..%5cadmin",
    ],
)
def test_a_path_that_climbs_is_refused(client: WireClient, upstream: Fresh, path: str) -> None:
    reply = client.ask("GET", path)

    assert (reply.status, reply.error["code"]) == (404, "unknown_path")
    assert upstream.requests == []


MISSPELT = {
    "/chat/completions": CHAT,
    "//v1//chat/completions": CHAT,
    "/v1/v1/chat/completions": CHAT,
    "/v1/chat/completions/": CHAT,
    "/v1/chat/completions/chat/completions": CHAT,
    "/chat/completions/chat/completions": CHAT,
    "/embeddings": "/v1/embeddings",
    "/v1/chat/completions/embeddings": "/v1/embeddings",
    "//responses": "/v1/responses",
}


@pytest.mark.parametrize(("path", "meant"), MISSPELT.items())
def test_a_misspelt_address_is_understood_without_a_redirect(
    client: WireClient, upstream: Fresh, path: str, meant: str
) -> None:
    assert client.post(path, BODY).status == 200
    assert upstream.request.target == meant
