"""Addresses an upstream could take for an endpoint with rules, however they are spelt."""

import time

import pytest

from proxy.policy.endpoints import JSON_ENDPOINTS, json_endpoint, names_model

CHAT = "/chat/completions"


@pytest.mark.parametrize(
    ("path", "endpoint"),
    [
        *((f"/v1{endpoint}", endpoint) for endpoint in JSON_ENDPOINTS),
        *((endpoint, endpoint) for endpoint in JSON_ENDPOINTS),
        # letter case
        ("/v1/Chat/Completions", CHAT),
        ("/v1/RESPONSES", "/responses"),
        ("/v1/embedding\u017f", "/embeddings"),
        # stray slashes, and the version twice
        ("//v1//chat//completions//", CHAT),
        ("/v1/v1/chat/completions", CHAT),
        ("/v1/V1/completions", "/completions"),
        # encoded, once and by a gateway's measure
        ("/v1/%63hat/completions", CHAT),
        ("/v1/chat%2Fcompletions", CHAT),
        ("/v1/chat%2fcompletions%2F", CHAT),
        ("/v1/%43%48%41%54/completions", CHAT),
        ("/v1/%2563hat%252Fcompletions", CHAT),
        ("/v1/embedding%C5%BF", "/embeddings"),
        # blanks, and what ends a path
        ("/v1/chat/completions%20", CHAT),
        ("/v1/chat/completions%09", CHAT),
        ("/v1/chat/completions%0A", CHAT),
        ("/v1/%20chat%20/completions", CHAT),
        ("/v1/chat/completions%00x", CHAT),
        ("/v1/chat/completions%3Fx", CHAT),
        ("/v1/chat/completions%23x", CHAT),
        # parameters, endings and backslashes
        ("/v1/chat/completions;x", CHAT),
        ("/v1/chat;a=b/completions;c=d/;e", CHAT),
        ("/v1/chat/completions%3Bx", CHAT),
        ("/v1/chat/completions.json", CHAT),
        ("/v1/chat/completions.", CHAT),
        ("/v1/chat\\completions", CHAT),
        ("/v1/chat%5Ccompletions", CHAT),
        # dots, where those of a plain path are refused elsewhere
        ("/v1/files/..;/chat/completions", CHAT),
        ("/v1/files/%252e%252e/chat/completions", CHAT),
        ("/v1/./chat/completions", CHAT),
        # the model in the address
        ("/v1/engines/davinci/completions", "/completions"),
        ("/v1/Engines/org%2Fmodel/embeddings", "/embeddings"),
        ("/v1/engines/a/b/chat/completions", CHAT),
        ("/v1/deployments/gpt-4.1/chat/completions", CHAT),
        # others
        ("/v1/chat/completions/chatcmpl-1", None),
        ("/v1/responses/resp_1", None),
        ("/v1/responses/compact", None),
        ("/v1/fim/completions", None),
        ("/v1/audio/speech", None),
        ("/v1/completionsx", None),
        ("/v1/chatcompletions", None),
        ("/v1/models/completions", None),
        ("/v1/files/%2563ompletions", None),
        ("/v1/engines/completions/x", None),
        ("/v1", None),
        ("/", None),
        ("/v1/..", None),
    ],
)
def test_the_endpoint_an_upstream_could_take_an_address_for_is_told(path: str, endpoint: str | None) -> None:
    assert json_endpoint(path) == endpoint


@pytest.mark.parametrize(
    ("path", "query", "is_named"),
    [
        ("/engines/davinci/completions", "", True),
        ("/Deployments/gpt-4%2Fx/chat/completions", "", True),
        ("/completions", "", False),
        ("/chat/completions", "api-version=1&models=x&x=model", False),
        ("/chat/completions", "api-version=1&model=m", True),
        ("/chat/completions", "%4dodel", True),
        ("/chat/completions", "a;model=m", True),
        ("/engines/davinci", "", False),
        ("/models/gpt-4", "", False),
    ],
)
def test_an_address_that_names_a_model_is_told(path: str, query: str, is_named: bool) -> None:
    assert names_model(path, query) is is_named


@pytest.mark.parametrize("piece", ["%25", "/", "/..", ";", "/engines", "/v1", "/v1/engines/x", "%2F%2e%2e", "."])
def test_the_longest_address_takes_no_time(piece: str) -> None:
    path = "/v1" + piece * (8_000 // len(piece)) + "/x"
    began = time.monotonic()

    json_endpoint(path)

    assert time.monotonic() - began < 0.5
