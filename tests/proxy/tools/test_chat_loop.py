"""Whole chat completions: the model asks for tools, the client sees one answer."""

import json
from typing import Any

import httpx2
import openai
import pytest

from fakes.asking import CHAT
from fakes.flows import Flows
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Fin, Json, Raw, Script, completion
from fakes.shared_upstream import Fresh
from fakes.streaming import MESSAGES
from fakes.tool_turns import called
from proxy.flow.flow import Outcome
from waiting import wait_for

WEATHER = ("call_1", "weather", '{"city": "Ulm"}')
LIMIT = "[No answer: the limit of rounds of tool calls was reached (TOOL_MAX_ROUNDS=3).]"
OWN: dict[str, Any] = {"type": "function", "function": {"name": "open_file", "parameters": {"type": "object"}}}


def post(proxy: RunningProxy, **fields: Any) -> Any:
    """Ask the proxy, and return the answer's JSON."""
    answer = proxy.http.post(CHAT, json={"model": "m", "messages": MESSAGES, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def offered(body: Any) -> list[str]:
    """Return the names of the tools a request offers."""
    return [tool["function"]["name"] for tool in body.get("tools", ())]


def results(body: Any) -> list[str]:
    """Return the results of tools in a request, in their order."""
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


def test_a_model_that_calls_nothing_is_answered_byte_for_byte(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello.")))

    answer = tool_proxy.http.post(CHAT, json={"model": "m", "messages": MESSAGES})

    assert answer.content == json.dumps(completion("Hello.")).encode()
    assert "weather" in offered(upstream.request.json())


@pytest.mark.core
def test_one_round_gives_one_finished_answer(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(WEATHER)), Json(completion("Take an umbrella."))])

    answer = post(tool_proxy)

    assert answer["choices"][0]["message"]["content"] == "Take an umbrella."
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert "tool_calls" not in answer["choices"][0]["message"]
    assert answer["id"] == "chatcmpl-turn"
    assert answer["usage"] == {"prompt_tokens": 10, "completion_tokens": 14, "total_tokens": 24}
    follow_up = upstream.requests[1].json()
    assert follow_up["messages"][1]["tool_calls"][0]["id"] == "call_1"
    assert follow_up["messages"][2] == {"role": "tool", "tool_call_id": "call_1", "content": "It rains in Ulm."}
    assert offered(follow_up) == offered(upstream.requests[0].json())
    assert "tool_choice" not in follow_up


def test_what_the_model_says_on_the_way_is_part_of_the_answer(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(WEATHER, text="I look.")), Json(completion("It rains."))])

    assert post(tool_proxy)["choices"][0]["message"]["content"] == "I look.\n\nIt rains."


def test_an_answer_in_a_format_is_the_last_turn_alone(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(WEATHER, text="I look.")), Json(completion('{"rain": true}'))])

    answer = post(tool_proxy, response_format={"type": "json_object"})

    assert answer["choices"][0]["message"]["content"] == '{"rain": true}'


def test_after_the_last_round_the_model_must_do_without(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([*[Json(called(WEATHER))] * 3, Json(completion("Enough."))])

    answer = post(tool_proxy)

    assert answer["choices"][0]["message"]["content"] == "Enough."
    choices = [request.json().get("tool_choice") for request in upstream.requests]
    assert choices == [None, None, None, "none"]


def test_a_model_that_calls_on_regardless_is_cut_short(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(called(WEATHER, text="Again.")))

    choice = post(tool_proxy)["choices"][0]

    assert len(upstream.requests) == 4
    assert choice["finish_reason"] == "stop"
    assert "tool_calls" not in choice["message"]
    assert choice["message"]["content"] == "\n\n".join([*["Again."] * 4, LIMIT])


@pytest.mark.parametrize(
    "last",
    [called(WEATHER), completion(""), completion(None), called(WEATHER, ("b", "nothing_known", ""))],
)
def test_the_limit_is_told_to_the_user_who_would_be_left_without_an_answer(
    tool_proxy: RunningProxy, upstream: Fresh, last: dict[str, Any]
) -> None:
    upstream.answers([*[Json(called(WEATHER))] * 3, Json(last)])

    choice = post(tool_proxy)["choices"][0]

    assert (choice["message"]["content"], choice["finish_reason"]) == (LIMIT, "stop")


@pytest.mark.core
def test_parallel_calls_run_in_parallel(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(("a", "meet", "{}"), ("b", "meet", "{}"))), Json(completion("Both."))])

    post(tool_proxy)

    assert results(upstream.requests[1].json()) == ["met", "met"]


def test_more_calls_than_the_limit_are_told_so(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    calls = [(f"c{number}", "weather", '{"city": "Ulm"}') for number in range(6)]
    upstream.answers([Json(called(*calls)), Json(completion("Done."))])

    post(tool_proxy)

    told = results(upstream.requests[1].json())
    assert told[:4] == ["It rains in Ulm."] * 4
    assert told[4:] == ["Error: Only 4 calls a turn are run; ask for this one again."] * 2


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("fail", '{"reason": "closed"}', "Error: The tool failed: RuntimeError: closed"),
        ("weather", "{}", "Error: The arguments do not fit. city: Field required"),
        ("weather", "", "Error: The arguments do not fit. city: Field required"),
        (
            "weather",
            '{"city": ',
            "Error: The arguments of weather cannot be read, so it was not run: they are not valid",
        ),
        ("no_such", "{}", "Error: There is no tool named 'no_such'."),
    ],
)
def test_every_failure_is_the_tools_result(
    tool_proxy: RunningProxy, upstream: Fresh, name: str, arguments: str, told: str
) -> None:
    upstream.answers([Json(called(("c", name, arguments))), Json(completion("I see."))])

    answer = post(tool_proxy)

    assert answer["choices"][0]["message"]["content"] == "I see."
    [result] = results(upstream.requests[1].json())
    assert result.startswith(told)
    assert "Traceback" not in result


def test_a_mixed_turn_hands_the_client_its_own_calls_and_keeps_the_results_of_ours(
    tool_proxy: RunningProxy, upstream: Fresh
) -> None:
    own_call = ("call_own_1", "open_file", '{"path":"a"}')
    upstream.answers([Json(called(WEATHER, own_call)), Json(completion("Both done."))])

    first = post(tool_proxy, tools=[OWN])

    message = first["choices"][0]["message"]
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    assert [call["id"] for call in message["tool_calls"]] == ["call_own_1"]

    message["tool_calls"][0]["function"]["arguments"] = '{ "path": "a" }'  # clients write it anew
    result = {"role": "tool", "tool_call_id": "call_own_1", "content": "text of a"}
    second = post(tool_proxy, tools=[OWN], messages=[*MESSAGES, message, result])

    assert second["choices"][0]["message"]["content"] == "Both done."
    sent = upstream.requests[1].json()["messages"]
    assert [call["id"] for call in sent[1]["tool_calls"]] == ["call_1", "call_own_1"]
    assert sent[2] == {"role": "tool", "tool_call_id": "call_1", "content": "It rains in Ulm."}
    assert sent[3] == result


def test_a_round_before_a_mixed_turn_is_put_back_too(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    own_call = ("call_own_2", "open_file", "{}")
    upstream.answers(
        [Json(called(("r1", *WEATHER[1:]))), Json(called(("r2", *WEATHER[1:]), own_call)), Json(completion())]
    )

    message = post(tool_proxy, tools=[OWN])["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": "call_own_2", "content": "x"}
    post(tool_proxy, tools=[OWN], messages=[*MESSAGES, message, result])

    sent = upstream.requests[2].json()["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "assistant", "tool", "tool"]
    assert [message.get("tool_call_id") for message in sent] == [None, None, "r1", None, "r2", "call_own_2"]


def test_the_same_calls_of_another_conversation_get_nothing_of_it(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    own_call = ("call_0", "open_file", "{}")
    upstream.answers([Json(called(WEATHER, own_call)), Json(completion())])
    message = post(tool_proxy, tools=[OWN])["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": "call_0", "content": "x"}
    other = [{"role": "user", "content": "Something else"}, message, result]

    post(tool_proxy, tools=[OWN], messages=other)

    assert upstream.requests[1].json()["messages"] == other


def test_calls_of_the_client_alone_are_passed_on_untouched(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(called(("c", "open_file", "{}"))))

    answer = tool_proxy.http.post(CHAT, json={"model": "m", "messages": MESSAGES, "tools": [OWN]})

    assert answer.content == json.dumps(called(("c", "open_file", "{}"))).encode()
    assert offered(upstream.request.json())[0] == "open_file"


def test_the_clients_tool_wins_where_both_have_a_name(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    own = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    upstream.answer(Json(called(WEATHER)))

    answer = post(tool_proxy, tools=[own])

    assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "weather"
    assert offered(upstream.request.json()).count("weather") == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"tool_choice": "none", "tools": [OWN]},
        {"tool_choice": "required", "tools": [OWN]},
        {"tool_choice": {"type": "function", "function": {"name": "open_file"}}, "tools": [OWN]},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, "tools": [OWN]},
        {"n": 2},
        {"functions": [{"name": "old"}]},
        {"modalities": ["text", "audio"]},
    ],
    ids=str,
)
def test_what_the_client_has_settled_is_left_alone(
    tool_proxy: RunningProxy, upstream: Fresh, fields: dict[str, Any]
) -> None:
    upstream.answer(Json(called(WEATHER)))
    body = json.dumps({"model": "m", "messages": MESSAGES, **fields}).encode()

    answer = tool_proxy.http.post(CHAT, content=body, headers={"content-type": "application/json"})

    assert upstream.request.body == body
    assert answer.content == json.dumps(called(WEATHER)).encode()


def test_a_tool_of_ours_that_is_forced_is_forced_once(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    forced = {"type": "function", "function": {"name": "weather"}}
    upstream.answers([Json(called(WEATHER)), Json(completion("Rain."))])

    post(tool_proxy, tool_choice=forced)

    assert [request.json()["tool_choice"] for request in upstream.requests] == [forced, "auto"]


def test_parallel_tool_calls_and_unknown_fields_go_up_in_every_round(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(WEATHER)), Json(completion())])

    post(tool_proxy, parallel_tool_calls=False, x_own={"a": [1]})

    for request in upstream.requests:
        assert (request.json()["parallel_tool_calls"], request.json()["x_own"]) == (False, {"a": [1]})


def test_a_key_that_means_one_body_does_not_go_up_with_several(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(WEATHER)), Json(completion())])
    headers = {"idempotency-key": "one", "x-title": "two"}

    tool_proxy.http.post(CHAT, json={"model": "m", "messages": MESSAGES}, headers=headers)

    assert [request.header("idempotency-key") for request in upstream.requests] == [None, None]
    assert [request.header("x-title") for request in upstream.requests] == ["two", "two"]


def test_thoughts_and_signatures_go_back_with_the_results(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    turn = called(WEATHER)
    message = turn["choices"][0]["message"]
    message["reasoning_content"] = "Let me see."
    message["tool_calls"][0]["extra_content"] = {"signature": "abc"}
    upstream.answers([Json(turn), Json(completion())])

    post(tool_proxy)

    sent = upstream.requests[1].json()["messages"][1]
    assert sent["reasoning_content"] == "Let me see."
    assert sent["tool_calls"][0]["extra_content"] == {"signature": "abc"}


def test_calls_cut_off_by_the_token_limit_are_not_run(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    turn = called(("c", "weather", '{"ci'), text="I")
    turn["choices"][0]["finish_reason"] = "length"
    upstream.answer(Json(turn))

    choice = post(tool_proxy)["choices"][0]

    assert (choice["finish_reason"], choice["message"]["content"]) == ("length", "I")
    assert "tool_calls" not in choice["message"]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("second", "status", "code"),
    [
        (Json({"error": {"message": "too much", "type": "t", "code": "own"}}, status=400), 400, "own"),
        (Script([Fin()]), 502, "upstream_protocol_error"),
        (
            Script([Raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 900\r\n\r\n{"), Fin()]),
            502,
            "upstream_truncated",
        ),
        (Json(["no completion"]), 200, None),
    ],
)
def test_an_upstream_that_fails_in_round_two_is_told_with_its_status(
    tool_proxy: RunningProxy, upstream: Fresh, second: Any, status: int, code: str | None
) -> None:
    upstream.answers([Json(called(WEATHER)), second])

    answer = tool_proxy.http.post(CHAT, json={"model": "m", "messages": MESSAGES})

    assert answer.status_code == status
    assert code is None or answer.json()["error"]["code"] == code


NO_TOOLS = Json({"error": {"message": "llama does not support tools", "type": "t", "code": None}}, status=400)


def test_a_model_that_takes_no_tools_is_asked_without_them(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([NO_TOOLS, Json(completion("Hello.")), Json(completion("Again."))])

    assert [post(tool_proxy, model="llama")["choices"][0]["message"]["content"] for _ in range(2)] == [
        "Hello.",
        "Again.",
    ]

    assert ["tools" in request.json() for request in upstream.requests] == [True, False, False]


BAD_SCHEMA = Json(
    {"error": {"message": "Invalid schema for function 'book': no", "param": "tools[1].function.parameters"}},
    status=400,
)


@pytest.mark.parametrize("own", [[], [OWN]])
def test_a_tool_that_is_refused_is_left_out_alone_and_named(
    tool_proxy: RunningProxy, upstream: Fresh, own: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    upstream.answers([BAD_SCHEMA, Json(completion("Hello.")), Json(completion("Again."))])

    for _ in range(2):
        post(tool_proxy, model=f"picky-{len(own)}", **({"tools": own} if own else {}))

    offered = [{tool["function"]["name"] for tool in request.json()["tools"]} for request in upstream.requests]
    assert [("book" in names, "weather" in names) for names in offered] == [(True, True), (False, True), (False, True)]
    assert any("refuses the tools book" in sentence for sentence in tool_proxy.services.tools.toolbox().problems())
    assert any("refuses the tools book" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "refusal",
    [
        {"message": "maximum context length is 8192 tokens (500 in the functions)", "code": "context_length_exceeded"},
        {"message": "The model `my-tool` does not exist: unknown", "code": "model_not_found"},
        {"message": "messages with role 'tool' must follow 'tool_calls'", "param": "messages.[3].role"},
    ],
)
def test_a_refusal_that_merely_mentions_tools_is_passed_on_and_turns_none_off(
    tool_proxy: RunningProxy, upstream: Fresh, refusal: dict[str, Any]
) -> None:
    upstream.answers([Json({"error": refusal}, status=400), Json(completion("Hello."))])

    answer = tool_proxy.http.post(CHAT, json={"model": "mention", "messages": MESSAGES})
    post(tool_proxy, model="mention")

    assert (answer.status_code, answer.json()["error"]["message"]) == (400, refusal["message"])
    assert ["tools" in request.json() for request in upstream.requests] == [True, True]


def test_what_still_fails_without_our_tools_was_not_their_fault(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([NO_TOOLS, Json({"error": {"message": "no"}}, status=400), Json(completion("Hello."))])

    answer = tool_proxy.http.post(CHAT, json={"model": "not-their-fault", "messages": MESSAGES})
    post(tool_proxy, model="not-their-fault")

    assert answer.json()["error"]["message"] == "no"
    assert ["tools" in request.json() for request in upstream.requests] == [True, False, True]


def test_a_refusal_of_the_clients_own_tools_is_the_clients_to_see(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(NO_TOOLS)

    answer = tool_proxy.http.post(CHAT, json={"model": "other", "messages": MESSAGES, "tools": [OWN]})

    assert (answer.status_code, len(upstream.requests)) == (400, 1)


def test_a_client_that_leaves_while_a_tool_runs_ends_the_loop(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(("c", "slow_async", "{}"))), Json(completion())])

    with pytest.raises(httpx2.ReadTimeout):
        tool_proxy.http.post(CHAT, json={"model": "m", "messages": MESSAGES}, timeout=0.5)

    wait_for(lambda: tool_proxy.services.observers.running == 0, "the end of the request")
    assert tool_proxy.services.observers.running == 0
    assert len(upstream.requests) == 1


def test_a_flow_holds_rounds_calls_outcomes_and_durations(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(WEATHER, ("f", "fail", "{}"))), Json(completion())])
    flows = Flows(tool_proxy)

    post(tool_proxy)

    [flow] = flows.finished()
    [done] = flow.tool_rounds
    assert (flow.path, flow.outcome) == ("/chat/completions", Outcome.WHOLE)
    assert [(call.name, call.outcome) for call in done.calls] == [("weather", "ok"), ("fail", "failed")]
    assert done.calls[0].arguments == '{"city": "Ulm"}'
    assert done.calls[0].result == "It rains in Ulm."
    assert done.seconds >= max(call.seconds for call in done.calls) >= 0


def test_the_sdk_sees_an_ordinary_completion(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(called(WEATHER)), Json(completion("Rain."))])

    with tool_proxy.sdk() as sdk:
        answer = sdk.chat.completions.create(model="m", messages=MESSAGES)

    assert answer.choices[0].message.content == "Rain."
    assert answer.choices[0].message.tool_calls is None
    assert isinstance(answer, openai.types.chat.ChatCompletion)


def test_with_tools_off_nothing_is_added(upstream: Any, proxy: RunningProxy) -> None:
    upstream.answer(Json(called(WEATHER)))
    body = json.dumps({"model": "m", "messages": MESSAGES}).encode()

    answer = proxy.http.post(CHAT, content=body, headers={"content-type": "application/json"})

    assert upstream.requests[0].body == body
    assert answer.json() == called(WEATHER)
    assert proxy.services.tools._toolbox is None


def test_the_switch_works_while_the_proxy_runs(upstream: Any, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion()))

    for is_on in (False, True, False):
        proxy.services.store.update(enable_tool_execution=is_on)
        post(proxy)

    assert ["tools" in request.json() for request in upstream.requests] == [False, True, False]


def test_a_tool_that_is_never_to_run_is_not_offered(upstream: Any, proxy: RunningProxy) -> None:
    upstream.answers([Json(called(("c", "calculate", '{"expression": "1"}'))), Json(completion())])
    proxy.services.store.update(enable_tool_execution=True, tool_consent={"calculate": "never"})

    post(proxy)

    assert "calculate" not in offered(upstream.requests[0].json())
    assert results(upstream.requests[1].json()) == ["Error: There is no tool named 'calculate'."]
