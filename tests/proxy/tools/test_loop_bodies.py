"""The bodies of the rounds: what the loop writes stands there once, for whichever member an upstream reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.asking import CHAT
from fakes.json_readers import READERS
from fakes.response_turns import call, message, response, streamed
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh, connect, proxy_before
from fakes.tool_turns import called

WEATHER = ("call_1", "weather", '{"city": "Ulm"}')
HI: Any = {"role": "user", "content": "Hi"}
TWICE = (
    b'{"model":"m","Messages":[],"messages":[{"role":"user","content":"Hi"}],"Input":"Ho","input":"Hi",'
    b'"Tools":[{"type":"x"}],"tools":[],"tools":[],"TOOL_CHOICE":"required","toolChoice":"required",'
    b'"tool_choice":"auto","Previous_Response_Id":"resp_x","previous_response_id":"resp_1"}'
)


def read(body: bytes, name: str) -> Any:
    """Return what all readers read alike."""
    values = {json.dumps(reader(body, name)) for reader in READERS.values()}
    assert len(values) == 1, (name, values)
    return json.loads(values.pop())


def test_the_rounds_of_a_chat_are_read_alike(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([*[Json(called(WEATHER))] * 3, Json(completion("It rains."))])
    with connect(tool_proxy) as client:
        assert client.post(CHAT, TWICE).status == 200

    bodies = [request.body for request in upstream.requests]
    assert len(bodies) == 4
    assert all("weather" in [tool["function"]["name"] for tool in read(body, "tools")] for body in bodies)
    assert [len(read(body, "messages")) for body in bodies[1:]] == [3, 5, 7]
    assert [read(body, "messages")[0] for body in bodies[1:]] == [HI] * 3
    assert read(bodies[-1], "tool_choice") == "none"


def test_the_rounds_of_a_response_are_read_alike(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    calling = [response(call(*WEATHER), response_id=f"resp_{number}") for number in range(3)]
    upstream.answers([*map(Json, calling), Json(response(message("It rains.")))])
    with connect(tool_proxy) as client:
        assert client.post("/v1/responses", TWICE).status == 200

    bodies = [request.body for request in upstream.requests]
    assert len(bodies) == 4
    assert all("weather" in [tool.get("name") for tool in read(body, "tools")] for body in bodies)
    assert [read(body, "input")[0] for body in bodies[1:]] == [HI] * 3
    assert read(bodies[-1], "tool_choice") == "none"


def test_the_response_a_request_goes_on_from_is_read_alike(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    turns = [streamed(call(*WEATHER), response_id="resp_1"), streamed(message("Rain."), response_id="resp_2")]
    upstream.answers([*turns, Json(response(message("More.")))])
    with connect(tool_proxy) as client:
        assert client.post("/v1/responses", b'{"model":"m","input":"Hi","stream":true}').status == 200
        assert client.post("/v1/responses", TWICE).status == 200

    assert read(upstream.requests[-1].body, "previous_response_id") == "resp_2"


def test_a_body_nested_as_deeply_as_can_be_read_is_answered_or_refused(
    tool_proxy: RunningProxy, upstream: Fresh
) -> None:
    told = {}
    with connect(tool_proxy) as client:
        for depth in range(900, 1_000, 3):
            upstream.answers([Json(called(WEATHER)), Json(completion("It rains."))])
            body = b'{"messages":[{"role":"user","content":"Hi"}],"x":' + b"[" * depth + b"]" * depth + b"}"
            told[depth] = client.post(CHAT, body).status

    assert set(told.values()) <= {200, 400}, told


@pytest.mark.parametrize(
    ("rules", "read_as"),
    [
        ({"openai_param_drop": "tools"}, '"missing"'),
        ({"openai_param_drop": "m*:Tools"}, '"missing"'),
        ({"openai_param_overrides": {"tools": [{"type": "x"}]}}, '[{"type": "x"}]'),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/responses"])
def test_tools_that_a_rule_drops_or_forces_are_not_added_to(
    tmp_path: Path, upstream: Fresh, rules: dict[str, Any], read_as: str, path: str
) -> None:
    upstream.answers([Json(completion("Hi.")), Json(completion("Hi."))])
    with (
        proxy_before(upstream.base_url, tmp_path, enable_tool_execution=True, **rules) as proxy,
        connect(proxy) as client,
    ):
        assert client.post(path, TWICE).status == 200
        assert client.post(path, b'{"model":"m","messages":[],"input":"Hi"}').status == 200

    assert [json.dumps(read(request.body, "tools")) for request in upstream.requests] == [read_as] * 2


def test_tools_that_a_rule_fills_in_are_added_to(tmp_path: Path, upstream: Fresh) -> None:
    upstream.answers([Json(completion("Hi."))])
    defaults = {"tools": [{"type": "x"}]}
    with (
        proxy_before(upstream.base_url, tmp_path, enable_tool_execution=True, openai_param_defaults=defaults) as proxy,
        connect(proxy) as client,
    ):
        assert client.post(CHAT, b'{"model":"m","messages":[]}').status == 200

    types = [tool["type"] for tool in read(upstream.request.body, "tools")]
    assert types == ["x", *["function"] * (len(types) - 1)]
    assert len(types) > 1
