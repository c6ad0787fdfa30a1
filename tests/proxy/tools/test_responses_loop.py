"""The Responses API, whole and streamed: the model asks for tools, the client sees one response."""

import asyncio
import json
from typing import Any

import pytest

from fakes.response_turns import call, events, message, raw, response, streamed, thought
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Fin, Json, Script, Sse
from fakes.shared_upstream import Fresh

PATH = "/v1/responses"
WEATHER = call("call_1", "weather", '{"city": "Ulm"}')
LIMIT = "[No answer: the limit of rounds of tool calls was reached (TOOL_MAX_ROUNDS=3).]"
OWN: dict[str, Any] = {"type": "function", "name": "open_file", "parameters": {"type": "object"}, "strict": False}
OWN_CALL = call("call_own", "open_file", '{"path":"a"}')
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "It rains in Ulm."}


def post(proxy: RunningProxy, **fields: Any) -> Any:
    answer = proxy.http.post(PATH, json={"model": "m", "input": "Hi", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def stream(proxy: RunningProxy, **fields: Any) -> list[dict[str, Any]]:
    """Ask for a stream and return its events, whose names must be their types."""
    answer = proxy.http.post(PATH, json={"model": "m", "input": "Hi", "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    told = []
    for block in answer.text.split("\n\n"):
        lines = [line for line in block.splitlines() if not line.startswith(":")]
        if lines:
            assert len(lines) == 2
            value = json.loads(lines[1].removeprefix("data: "))
            assert lines[0] == f"event: {value['type']}"
            told.append(value)
    return told


def check_coherent(told: list[dict[str, Any]]) -> None:
    """Hold a stream against what clients rely on."""
    kinds = [event["type"] for event in told]
    assert kinds.count("response.created") == kinds.count("response.in_progress") == 1
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert sum(kind in ("response.completed", "response.failed", "response.incomplete") for kind in kinds) == 1
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert len({event["response"]["id"] for event in told if "response" in event}) == 1
    added = [event for event in told if event["type"] == "response.output_item.added"]
    assert [event["output_index"] for event in added] == list(range(len(added)))
    output = told[-1]["response"]["output"]
    assert [item["id"] for item in output] == [event["item"]["id"] for event in added]
    assert "weather" not in json.dumps(told)


def outputs(body: Any) -> list[str]:
    return [item["output"] for item in body["input"] if item.get("type") == "function_call_output"]


def test_our_tools_are_offered_and_not_named_in_the_answer(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(response(message("Hello."), tools=[OWN, {"type": "function", "name": "weather"}])))

    answer = post(tool_proxy, tools=[OWN])

    sent = upstream.request.json()
    assert [tool["name"] for tool in sent["tools"]][:2] == ["open_file", "weather"]
    assert sent["tools"][1]["strict"] is False
    assert answer == response(message("Hello."), tools=[OWN])


def test_one_round_gives_one_finished_response(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(response(WEATHER)), Json(response(message("Rain."), response_id="resp_2"))])

    answer = post(tool_proxy)

    assert answer["output"] == [message("Rain.")]
    assert answer["id"] == "resp_2"
    assert answer["usage"]["total_tokens"] == 30
    assert answer["usage"]["output_tokens_details"]["reasoning_tokens"] == 4
    assert upstream.requests[1].json()["input"] == [{"role": "user", "content": "Hi"}, WEATHER, OUTPUT]


def test_what_the_model_says_and_thinks_on_the_way_is_part_of_the_answer(
    tool_proxy: RunningProxy, upstream: Fresh
) -> None:
    first = [thought(), message("I look.", "msg_0"), WEATHER]
    upstream.answers([Json(response(*first)), Json(response(message("Rain.")))])

    answer = post(tool_proxy)

    assert [item["id"] for item in answer["output"]] == ["rs_1", "msg_0", "msg_1"]
    assert upstream.requests[1].json()["input"][1:] == [*first, OUTPUT]


def test_thoughts_nobody_has_stored_do_not_go_back(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    sealed = {**thought("rs_2"), "encrypted_content": "abc"}
    upstream.answers([Json(response(thought(), sealed, WEATHER)), Json(response(message("Rain.")))])

    post(tool_proxy, store=False)

    assert upstream.requests[1].json()["input"][1:] == [sealed, WEATHER, OUTPUT]


def test_a_conversation_the_upstream_holds_is_sent_the_results_alone(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(response(WEATHER)), Json(response(message("Rain.")))])

    post(tool_proxy, conversation="conv_1")

    assert upstream.requests[1].json()["input"] == [OUTPUT]


def test_after_the_last_round_the_model_must_do_without(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(response(message("Again."), WEATHER)))

    answer = post(tool_proxy)

    assert [request.json().get("tool_choice") for request in upstream.requests] == [None, None, None, "none"]
    assert {item["type"] for item in answer["output"]} == {"message"}
    assert answer["tool_choice"] == "auto"


@pytest.mark.parametrize(
    "fields",
    [
        {"background": True},
        {"tool_choice": "required", "tools": [OWN]},
        {"tool_choice": {"type": "function", "name": "open_file"}, "tools": [OWN]},
        {"tool_choice": {"type": "web_search"}, "tools": [{"type": "web_search"}]},
        {"tool_choice": "none"},
    ],
    ids=str,
)
def test_what_the_client_has_settled_is_left_alone(
    tool_proxy: RunningProxy, upstream: Fresh, fields: dict[str, Any]
) -> None:
    upstream.answer(Json(response(WEATHER)))
    body = json.dumps({"model": "m", "input": "Hi", **fields}).encode()

    answer = tool_proxy.http.post(PATH, content=body, headers={"content-type": "application/json"})

    assert upstream.request.body == body
    assert answer.json() == response(WEATHER)


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("chains", [False, True])
def test_a_mixed_turn_hands_over_the_clients_calls_and_puts_our_results_back(
    tool_proxy: RunningProxy, upstream: Fresh, is_streamed: bool, chains: bool
) -> None:
    turn_items = [thought(), WEATHER, OWN_CALL]
    turns: list[Any] = [response(*turn_items), response(message("Done."))]
    if is_streamed:
        upstream.answers([streamed(*turn_items), streamed(message("Done."))])
        told = stream(tool_proxy, tools=[OWN])
        check_coherent(told)
        shown = told[-1]["response"]
    else:
        upstream.answers(list(map(Json, turns)))
        shown = post(tool_proxy, tools=[OWN])

    assert [item["id"] for item in shown["output"]] == ["rs_1", "fc_call_own"]
    own_output = {"type": "function_call_output", "call_id": "call_own", "output": "x"}
    if chains:
        fields: dict[str, Any] = {"previous_response_id": shown["id"], "input": [own_output]}
    else:
        fields = {"input": [{"role": "user", "content": "Hi"}, *shown["output"], own_output]}
    stream(tool_proxy, tools=[OWN], **fields) if is_streamed else post(tool_proxy, tools=[OWN], **fields)

    sent = upstream.requests[1].json()["input"]
    if chains:
        assert sent == [OUTPUT, own_output]
    else:
        assert sent == [{"role": "user", "content": "Hi"}, thought(), WEATHER, OUTPUT, OWN_CALL, own_output]


def test_a_stream_without_calls_keeps_its_events(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(streamed(thought(), message("Hel lo")))

    assert stream(tool_proxy) == events(thought(), message("Hel lo"))


@pytest.mark.core
@pytest.mark.parametrize("rounds", [1, 3])
def test_rounds_of_tools_give_one_coherent_stream(tool_proxy: RunningProxy, upstream: Fresh, rounds: int) -> None:
    turns = [
        streamed(thought(f"rs_{n}"), call(f"c{n}", "weather", '{"city": "Ulm"}'), response_id=f"resp_{n}")
        for n in range(rounds)
    ]
    upstream.answers([*turns, streamed(message("It rains."), response_id="resp_last")])

    told = stream(tool_proxy)

    check_coherent(told)
    final = told[-1]["response"]
    assert final["id"] == "resp_0"
    assert final["created_at"] == told[0]["response"]["created_at"]
    assert [item["id"] for item in final["output"]] == [*(f"rs_{n}" for n in range(rounds)), "msg_1"]
    assert final["usage"]["total_tokens"] == 15 * (rounds + 1)
    assert "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta") == "It rains."
    assert outputs(upstream.requests[-1].json()) == ["It rains in Ulm."] * rounds


def test_the_next_request_goes_on_from_where_the_upstream_ended(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([streamed(WEATHER, response_id="resp_a"), streamed(message("Rain."), response_id="resp_b")])
    shown = stream(tool_proxy)[-1]["response"]["id"]

    upstream.answer(streamed(message("More.")))
    stream(tool_proxy, previous_response_id=shown)

    assert shown == "resp_a"
    assert upstream.requests[-1].json()["previous_response_id"] == "resp_b"


def test_upstreams_that_count_from_1_are_counted_from_1(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    def from_1(turn: Sse) -> Sse:
        told = [json.loads(piece.split(b"data: ")[1]) for piece in turn._pieces()]
        return Sse(raw([{**event, "sequence_number": event["sequence_number"] + 1} for event in told]), done=False)

    upstream.answers([from_1(streamed(message("I look."), WEATHER)), from_1(streamed(message("Rain.", "msg_2")))])

    told = stream(tool_proxy)

    assert [event["sequence_number"] for event in told] == list(range(1, len(told) + 1))


def test_events_cut_anywhere_are_understood(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    whole = b"".join(streamed(WEATHER)._pieces())
    upstream.answers([Sse([whole], done=False, cut=5), streamed(message("Rain."))])

    check_coherent(stream(tool_proxy))


def test_calls_of_an_incomplete_response_are_not_run(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(streamed(WEATHER, status="incomplete"))

    told = stream(tool_proxy)

    assert told[-1]["type"] == "response.incomplete"
    assert told[-1]["response"]["output"] == []
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (Json({"error": {"message": "no", "type": "t", "param": None, "code": "own"}}, status=400), "own"),
        (Script([Fin()]), "upstream_protocol_error"),
        (Sse(streamed(message("Half"))._pieces()[:3], done=False, end=Fin()), "upstream_truncated"),
    ],
)
def test_an_upstream_that_fails_in_round_two_is_told_in_the_stream(
    tool_proxy: RunningProxy, upstream: Fresh, second: Any, code: str
) -> None:
    upstream.answers([streamed(message("I look."), WEATHER), second])

    told = stream(tool_proxy)

    assert told[-1]["type"] == "error"
    assert told[-1]["code"] == code
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    assert "response.completed" not in [event["type"] for event in told]


def test_a_plain_request_whose_second_round_fails_gets_the_real_status(
    tool_proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answers([Json(response(WEATHER)), Json({"error": {"message": "no", "code": "own"}}, status=422)])

    answer = tool_proxy.http.post(PATH, json={"model": "m", "input": "Hi"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "own")


def test_the_sdks_see_one_response(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(response(WEATHER)), Json(response(message("Rain.")))])
    with tool_proxy.sdk() as sdk:
        assert sdk.responses.create(model="m", input="Hi").output_text == "Rain."

    upstream.answers([streamed(WEATHER), streamed(message("Rain."))])
    with tool_proxy.sdk() as sdk, sdk.responses.stream(model="m", input="Hi") as helper:
        assert helper.get_final_response().output_text == "Rain."

    async def ask() -> list[str]:
        async with tool_proxy.async_sdk() as sdk:
            return [event.type async for event in await sdk.responses.create(model="m", input="Hi", stream=True)]

    upstream.answers([streamed(WEATHER), streamed(message("Rain."))])
    kinds = asyncio.run(ask())
    assert kinds.count("response.created") == kinds.count("response.completed") == 1


@pytest.mark.parametrize("last", [(WEATHER,), (), (thought(),)])
@pytest.mark.parametrize("streamed_too", [False, True])
def test_the_limit_is_told_to_the_user_who_would_be_left_without_an_answer(
    tool_proxy: RunningProxy, upstream: Fresh, last: tuple[Any, ...], streamed_too: bool
) -> None:
    turns = [*[(WEATHER,)] * 3, last]
    ids = [f"resp_{number}" for number in range(4)]
    if streamed_too:
        upstream.answers([streamed(*turn, response_id=name) for turn, name in zip(turns, ids, strict=True)])
        told = stream(tool_proxy)
        check_coherent(told)
        answer = told[-1]["response"]
        assert "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta") == LIMIT
        kinds = [event["type"] for event in told[-7:]]
        assert kinds[0] == "response.output_item.added"
    else:
        upstream.answers([Json(response(*turn, response_id=name)) for turn, name in zip(turns, ids, strict=True)])
        answer = post(tool_proxy)

    assert answer["output"][-1]["content"][0]["text"] == LIMIT
    assert not any(item["type"] == "function_call" for item in answer["output"])
