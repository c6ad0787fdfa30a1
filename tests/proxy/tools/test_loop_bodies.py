"""The bodies of the rounds: what the loop writes stands there once, for whichever member an upstream reads."""

import json
from typing import Any

from fakes.asking import CHAT
from fakes.json_readers import READERS
from fakes.response_turns import call, message, response, streamed
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh, connect
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
