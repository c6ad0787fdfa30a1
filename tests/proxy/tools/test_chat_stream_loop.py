"""Streamed chat completions: text flows as it comes, the tools stay unseen, and there is one of everything."""

import asyncio
import json
import logging
import statistics
import time
from pathlib import Path
from typing import Any

import openai
import pytest

from fakes.asking import CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Chunk as WireChunk
from fakes.scripted_upstream import (
    EndHead,
    Fin,
    Header,
    Json,
    Pause,
    Script,
    ScriptedUpstream,
    Sse,
    Stall,
    Status,
    completion,
)
from fakes.shared_upstream import Fresh, proxy_before
from fakes.streaming import MESSAGES
from fakes.tool_turns import called, called_chunks, chunk, text_chunks, usage_chunk
from proxy.tools.loop import streamed
from waiting import wait_for

WEATHER = ("call_1", "weather", '{"city": "Ulm"}')
LIMIT = "[No answer: the limit of rounds of tool calls was reached (TOOL_MAX_ROUNDS=3).]"
OWN: dict[str, Any] = {"type": "function", "function": {"name": "open_file", "parameters": {"type": "object"}}}
WITH_USAGE = {"stream_options": {"include_usage": True}}
SSE_HEAD = [Status(200), Header("Content-Type", "text/event-stream"), EndHead(chunked=True)]


def stream(proxy: RunningProxy, **fields: Any) -> bytes:
    """Ask the proxy for a stream, and return all of it."""
    answer = proxy.http.post(CHAT, json={"model": "m", "messages": MESSAGES, "stream": True, **fields})
    assert answer.status_code == 200, answer.text
    return answer.content


def events(raw: bytes) -> list[str]:
    """Return what the data lines say."""
    return [line[6:] for line in raw.decode().splitlines() if line.startswith("data: ")]


def chunks(raw: bytes) -> list[dict[str, Any]]:
    """Return the chunks before the end, which must be there once."""
    told = events(raw)
    assert told.count("[DONE]") == 1
    assert told[-1] == "[DONE]"
    return [json.loads(event) for event in told[:-1]]


def text_of(parts: list[dict[str, Any]]) -> str:
    return "".join(part["choices"][0]["delta"].get("content") or "" for part in parts if part["choices"])


def check_coherent(parts: list[dict[str, Any]]) -> None:
    """Hold a stream against what clients rely on: one of everything, and none of our calls."""
    choices = [part["choices"][0] for part in parts if part["choices"]]
    assert len({(part["id"], part["created"]) for part in parts}) == 1
    assert [choice["delta"]["role"] for choice in choices if "role" in choice["delta"]] == ["assistant"]
    assert "role" in choices[0]["delta"]
    assert "content" in choices[0]["delta"]
    finishes = [choice["finish_reason"] for choice in choices]
    assert finishes[-1]
    assert not any(finishes[:-1])
    assert all(finish is None or finish for finish in finishes)
    assert sum(1 for part in parts if part.get("usage")) <= 1
    indices = [call["index"] for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert indices == sorted(indices)
    assert not indices or indices[0] == 0


def results(body: Any) -> list[str]:
    return [message["content"] for message in body["messages"] if message["role"] == "tool"]


def test_a_stream_without_calls_passes_byte_for_byte(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    answer = Sse(text_chunks("Hel", "lo", usage=True))
    upstream.answer(answer)

    assert stream(tool_proxy, **WITH_USAGE) == b"".join(answer._pieces())


@pytest.mark.core
@pytest.mark.parametrize("rounds", [1, 3])
def test_rounds_of_tools_give_one_coherent_stream(tool_proxy: RunningProxy, upstream: Fresh, rounds: int) -> None:
    turns = [
        Sse(called_chunks((f"c{n}", "weather", '{"city": "Ulm"}'), usage=True, answer_id=f"chatcmpl-{n}"))
        for n in range(rounds)
    ]
    upstream.answers([*turns, Sse(text_chunks("It ", "rains.", usage=True))])

    parts = chunks(stream(tool_proxy, **WITH_USAGE))

    check_coherent(parts)
    assert parts[0]["id"] == "chatcmpl-0"
    assert text_of(parts) == "It rains."
    assert parts[-2]["choices"][0]["finish_reason"] == "stop"
    assert parts[-1]["usage"]["prompt_tokens"] == 10 * rounds + 20
    assert parts[-1]["usage"]["total_tokens"] == 13 * rounds + 24
    last = upstream.requests[-1].json()
    assert results(last) == ["It rains in Ulm."] * rounds
    assert last["messages"][1]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "Ulm"}'}
    assert last["stream"] is True


def test_rounds_that_come_whole_though_a_stream_was_asked_for_give_one_stream_too(
    tool_proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answers([Json(called(WEATHER, text="I look.")), Json(completion("Rain."))])

    parts = chunks(stream(tool_proxy))

    check_coherent(parts)
    assert text_of(parts) == "I look.\n\nRain."


def test_usage_nobody_asked_for_is_not_shown_and_stands_in_the_log(
    tool_proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.answers([Sse(called_chunks(WEATHER, usage=True)), Sse(text_chunks("Rain.", usage=True))])

    with caplog.at_level(logging.INFO):
        parts = chunks(stream(tool_proxy))
        wait_for(
            lambda: any("30+7 tokens" in record.getMessage() for record in caplog.records), "the tokens in the log"
        )

    check_coherent(parts)
    assert not any(part.get("usage") for part in parts)
    assert any("30+7 tokens" in record.getMessage() for record in caplog.records)


def test_usage_in_the_last_chunk_of_a_round_is_summed_too(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    def ending(parts: list[dict[str, Any]], prompt: int) -> list[dict[str, Any]]:
        return [*parts[:-1], {**parts[-1], "usage": usage_chunk(prompt, 1)["usage"]}]

    upstream.answers([Sse(ending(called_chunks(WEATHER), 5)), Sse(ending(text_chunks("Rain."), 7))])

    parts = chunks(stream(tool_proxy))

    check_coherent(parts)
    assert parts[-1]["usage"]["prompt_tokens"] == 12


def test_text_before_a_call_flows_and_stands_apart_from_what_follows(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Sse(called_chunks(WEATHER, words=["I ", "look."])), Sse(text_chunks("It ", "rains."))])

    parts = chunks(stream(tool_proxy))

    check_coherent(parts)
    assert text_of(parts) == "I look.\n\nIt rains."
    assert upstream.requests[1].json()["messages"][1]["content"] == "I look."


def test_events_cut_anywhere_are_understood(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    for cut in (1, 7, 100):
        upstream.answers([Sse(called_chunks(WEATHER), cut=cut), Sse(text_chunks("Räin."), cut=cut)])

        parts = chunks(stream(tool_proxy))

        check_coherent(parts)
        assert text_of(parts) == "Räin."


@pytest.mark.parametrize("framing", ["\r\n\r\n", "\n\n"])
def test_line_ends_of_either_kind_are_understood(tool_proxy: RunningProxy, upstream: Fresh, framing: str) -> None:
    upstream.answers([Sse(called_chunks(WEATHER), framing=framing), Sse(text_chunks("Rain."), framing=framing)])

    assert text_of(chunks(stream(tool_proxy))) == "Rain."


def test_parallel_calls_run_in_parallel(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Sse(called_chunks(("a", "meet", "{}"), ("b", "meet", "{}"))), Sse(text_chunks("Both."))])

    check_coherent(chunks(stream(tool_proxy)))

    assert results(upstream.requests[1].json()) == ["met", "met"]


def test_failing_tools_are_told_to_the_model(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    calls = [("a", "fail", "{}"), ("b", "no_such", "{}"), ("c", "weather", "{"), ("d", "slow", "{}")]
    upstream.answers([Sse(called_chunks(*calls)), Sse(text_chunks("I see."))])

    raw = stream(tool_proxy)

    check_coherent(chunks(raw))
    assert [result.split(".")[0][:25] for result in results(upstream.requests[1].json())] == [
        "Error: The tool failed: R",
        "Error: There is no tool n",
        "Error: The arguments of w",
        "Error: The tool did not f",
    ]


def test_comments_are_sent_while_a_tool_runs(
    tool_proxy: RunningProxy, upstream: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed, "KEEP_ALIVE_EVERY_S", 0.05)
    upstream.answers([Sse(called_chunks(("a", "slow", '{"seconds": 0.5}'))), Sse(text_chunks("Late."))])

    raw = stream(tool_proxy)

    assert raw.count(b": keep-alive\n\n") >= 2
    assert b": ping" not in raw
    check_coherent(chunks(raw))
    assert results(upstream.requests[1].json()) == ["late"]


@pytest.mark.core
def test_a_mixed_turn_hands_the_client_its_own_calls_counted_from_0(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    own = [("call_own_a", "open_file", '{"path":"a"}'), ("call_own_b", "open_file", '{"path":"b"}')]
    upstream.answers([Sse(called_chunks(WEATHER, own[0], own[1], usage=True)), Sse(text_chunks("Done."))])

    parts = chunks(stream(tool_proxy, tools=[OWN], **WITH_USAGE))

    check_coherent(parts)
    calls = [call for part in parts if part["choices"] for call in part["choices"][0]["delta"].get("tool_calls", ())]
    assert [(call["index"], call["id"]) for call in calls if call.get("id")] == [(0, "call_own_a"), (1, "call_own_b")]
    assert "".join(call["function"]["arguments"] for call in calls if call["index"] == 1) == '{"path":"b"}'
    assert parts[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert len(upstream.requests) == 1

    raw_calls = [
        {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
        for call_id, name, arguments in own
    ]
    history = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": raw_calls},
        *({"role": "tool", "tool_call_id": call_id, "content": "x"} for call_id, _, _ in own),
    ]
    check_coherent(chunks(stream(tool_proxy, tools=[OWN], messages=history)))

    sent = upstream.requests[1].json()["messages"]
    assert [call["id"] for call in sent[1]["tool_calls"]] == ["call_1", "call_own_a", "call_own_b"]
    assert sent[2] == {"role": "tool", "tool_call_id": "call_1", "content": "It rains in Ulm."}


def test_calls_of_the_client_alone_pass_byte_for_byte(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    answer = Sse(called_chunks(("c", "open_file", '{"path":"a"}'), words=["Now."], usage=True))
    upstream.answer(answer)

    assert stream(tool_proxy, tools=[OWN], **WITH_USAGE) == b"".join(answer._pieces())


def odd(*deltas: dict[str, Any], finish: str = "tool_calls") -> Sse:
    """Return a turn of these deltas."""
    return Sse([*(chunk(delta) for delta in deltas), chunk({}, finish)])


def call_delta(**part: Any) -> dict[str, Any]:
    return {"tool_calls": [part]}


HALF = '{"city"'
ULM = '{"city": "Ulm"}'
WHOLE: dict[str, Any] = call_delta(index=0, id="a", function={"name": "weather", "arguments": ULM})
REFUSAL = {"error": {"message": "too much", "type": "t", "param": None, "code": "own"}}
HALF_STREAM = Script([*SSE_HEAD, WireChunk(b"".join(Sse(text_chunks("Hel", "lo"))._pieces()[:2])), Stall()])
ODD_TURNS = {
    "a call in the first delta": odd(
        {
            "role": "assistant",
            "content": None,
            **WHOLE,
        }
    ),
    "a name in pieces": odd(
        {"role": "assistant", "content": ""},
        call_delta(index=0, id="a", type="function", function={"name": "wea"}),
        call_delta(index=0, function={"name": "ther"}),
        call_delta(index=0, function={"arguments": HALF}),
        call_delta(index=0, function={"arguments": ': "Ulm"}'}),
    ),
    "the name again in every piece": odd(
        {"role": "assistant", "content": ""},
        call_delta(index=0, id="a", function={"name": "weather", "arguments": HALF}),
        call_delta(index=0, id="a", function={"name": "weather", "arguments": ': "Ulm"}'}),
    ),
    "no index": odd(
        {"role": "assistant", "content": ""},
        call_delta(id="a", function={"name": "weather", "arguments": HALF}),
        call_delta(function={"arguments": ': "Ulm"}'}),
    ),
    "an end called stop": odd(
        {"role": "assistant", "content": ""},
        call_delta(index=0, id="a", function={"name": "weather", "arguments": ULM}),
        finish="stop",
    ),
    "no id": odd(
        {"role": "assistant", "content": ""},
        call_delta(index=0, function={"name": "weather", "arguments": ULM}),
    ),
    "everything in one chunk": Sse(
        [
            chunk(
                {
                    "role": "assistant",
                    "content": "",
                    **WHOLE,
                },
                "tool_calls",
            )
        ]
    ),
}


@pytest.mark.parametrize("turn", ODD_TURNS.values(), ids=ODD_TURNS)
def test_calls_are_understood_in_every_form_upstreams_send(
    tool_proxy: RunningProxy, upstream: Fresh, turn: Sse
) -> None:
    upstream.answers([turn, Sse(text_chunks("Rain."))])

    parts = chunks(stream(tool_proxy))

    check_coherent(parts)
    assert text_of(parts) == "Rain."
    assert results(upstream.requests[1].json()) == ["It rains in Ulm."]


def test_a_prelude_without_choices_gives_the_stream_no_name(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    prelude = {**chunk({}), "id": "", "created": 0, "choices": [], "prompt_filter_results": []}
    upstream.answers([Sse([prelude, *called_chunks(WEATHER)]), Sse(text_chunks("Rain."))])

    parts = chunks(stream(tool_proxy))

    check_coherent(parts[1:])
    assert parts[1]["id"] == "chatcmpl-turn"


def test_two_calls_under_one_index_are_two_calls(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers(
        [
            odd(
                {"role": "assistant", "content": ""},
                call_delta(index=0, id="a", function={"name": "weather", "arguments": '{"city": "Ulm"}'}),
                call_delta(index=0, id="b", function={"name": "weather", "arguments": '{"city": "Bonn"}'}),
            ),
            Sse(text_chunks("Rain.")),
        ]
    )

    check_coherent(chunks(stream(tool_proxy)))

    assert results(upstream.requests[1].json()) == ["It rains in Ulm.", "It rains in Bonn."]


def test_what_upstreams_send_empty_is_left_out(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    def empty_ends(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for part in parts[:-1]:
            part["choices"][0]["finish_reason"] = ""
            part["choices"][0]["delta"].setdefault("role", "")
        return parts

    own_call = [
        {"role": "assistant", "content": ""},
        call_delta(index=3, id="b", type="function", function={"name": "open_file", "arguments": ""}),
        call_delta(index=3, id="", type="", function={"name": "", "arguments": "{}"}),
    ]
    upstream.answers(
        [
            Sse(empty_ends(called_chunks(WEATHER))),
            Sse(empty_ends([*(chunk(delta) for delta in own_call), chunk({}, "tool_calls")])),
        ]
    )

    parts = chunks(stream(tool_proxy, tools=[OWN]))

    check_coherent(parts)
    calls = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", ())]
    assert calls == [
        {"index": 0, "id": "b", "type": "function", "function": {"name": "open_file", "arguments": ""}},
        {"index": 0, "function": {"arguments": "{}"}},
    ]


def test_a_name_that_could_become_the_clients_is_waited_for(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    own = {"type": "function", "function": {"name": "weather_map", "parameters": {"type": "object"}}}
    upstream.answer(
        odd(
            {"role": "assistant", "content": ""},
            call_delta(index=0, id="a", type="function", function={"name": "weather"}),
            call_delta(index=0, function={"name": "_map", "arguments": ""}),
            call_delta(index=0, function={"arguments": "{}"}),
        )
    )

    parts = chunks(stream(tool_proxy, tools=[own]))

    check_coherent(parts)
    calls = [call for part in parts for call in part["choices"][0]["delta"].get("tool_calls", ())]
    assert calls[0]["function"]["name"] == "weather_map"
    assert calls[0]["id"] == "a"
    assert "".join(call["function"].get("arguments") or "" for call in calls) == "{}"


def test_after_the_last_round_the_model_must_do_without(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(called_chunks(WEATHER, words=["Again."])))

    parts = chunks(stream(tool_proxy))

    check_coherent(parts)
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    assert [request.json().get("tool_choice") for request in upstream.requests] == [None, None, None, "none"]
    said = "".join(part["choices"][0]["delta"].get("content") or "" for part in parts if part["choices"])
    assert said == "\n\n".join([*["Again."] * 4, LIMIT])


@pytest.mark.parametrize("last", [called_chunks(WEATHER), text_chunks(), text_chunks(""), [chunk({}, "stop")]])
def test_the_limit_is_told_to_the_user_who_would_be_left_without_an_answer(
    tool_proxy: RunningProxy, upstream: Fresh, last: list[dict[str, Any]]
) -> None:
    upstream.answers([*[Sse(called_chunks(WEATHER))] * 3, Sse(last)])

    parts = chunks(stream(tool_proxy))

    check_coherent(parts)
    assert parts[-1]["choices"][0]["finish_reason"] == "stop"
    assert "".join(part["choices"][0]["delta"].get("content") or "" for part in parts) == LIMIT


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (
            Json(REFUSAL, status=429, headers=[("X-Should-Retry", "false")]),
            "own",
        ),
        (Script([Fin()]), "upstream_protocol_error"),
        (Json(["nothing"]), "upstream_invalid_response"),
    ],
)
def test_an_upstream_that_fails_in_round_two_is_told_in_the_stream(
    tool_proxy: RunningProxy, upstream: Fresh, second: Any, code: str
) -> None:
    upstream.answers([Sse(called_chunks(WEATHER, words=["I look."])), second])

    told = events(stream(tool_proxy))

    assert json.loads(told[-1])["error"]["code"] == code
    assert "[DONE]" not in told
    assert not any('"finish_reason":"' in event for event in told)


def test_an_error_before_the_stream_keeps_its_status(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json({"error": {"message": "no", "type": "t", "param": None, "code": "own"}}, status=400))

    answer = tool_proxy.http.post(CHAT, json={"model": "m", "messages": MESSAGES, "stream": True})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "own")


def test_an_error_event_in_a_round_ends_the_stream_and_runs_nothing(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    turn = called_chunks(WEATHER)[:-1]
    upstream.answer(Sse([*turn, {"error": {"message": "overloaded", "type": "t", "code": "own"}}], done=False))

    told = events(stream(tool_proxy))

    assert json.loads(told[-1])["error"]["code"] == "own"
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("rounds_before", [0, 1])
def test_calls_that_break_off_are_not_run(tool_proxy: RunningProxy, upstream: Fresh, rounds_before: int) -> None:
    broken = Sse(called_chunks(WEATHER)[:-2], done=False, end=Fin())
    upstream.answers([*[Sse(called_chunks(WEATHER))] * rounds_before, broken])

    with pytest.raises(openai.APIError), tool_proxy.sdk() as sdk:
        list(sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True))

    assert len(upstream.requests) == rounds_before + 1


def leave_after_its_first_text(tool_proxy: RunningProxy) -> None:
    """Ask for a stream, and leave once the first text of HALF_STREAM is there."""
    with tool_proxy.http.stream("POST", CHAT, json={"model": "m", "messages": MESSAGES, "stream": True}) as answer:
        seen = b""
        for piece in answer.iter_raw():
            seen += piece
            if b"Hel" in seen:
                return
    pytest.fail(f"the text never came: {seen!r}")


def test_the_first_text_is_there_before_the_turn_ends(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(HALF_STREAM)

    leave_after_its_first_text(tool_proxy)

    upstream.wait_for_hangup()


def test_a_client_that_leaves_while_a_tool_runs_ends_the_loop(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Sse(called_chunks(("a", "slow_async", "{}"), words=["I wait."])), Sse(text_chunks("Late."))])

    with tool_proxy.http.stream("POST", CHAT, json={"model": "m", "messages": MESSAGES, "stream": True}) as answer:
        next(answer.iter_raw())

    wait_for(lambda: tool_proxy.services.observers.running == 0, "the end of the request")
    assert tool_proxy.services.observers.running == 0
    assert len(upstream.requests) == 1


def test_a_client_that_leaves_in_round_two_ends_the_upstream(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers(
        [
            Sse(called_chunks(WEATHER)),
            HALF_STREAM,
        ]
    )

    leave_after_its_first_text(tool_proxy)

    upstream.wait_for_hangup()


def test_a_lingering_upstream_does_not_hold_up_the_next_round(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    turn = b"".join(Sse(called_chunks(WEATHER))._pieces())
    upstream.answers([Script([*SSE_HEAD, WireChunk(turn), Pause(30)]), Sse(text_chunks("Rain."))])

    assert text_of(chunks(stream(tool_proxy))) == "Rain."


def test_the_sdks_see_one_completion(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    turns = [Sse(called_chunks(WEATHER, words=["I look."], usage=True)), Sse(text_chunks("Rain.", usage=True))]
    upstream.answers([*turns, *turns])

    with tool_proxy.sdk() as sdk, sdk.chat.completions.stream(model="m", messages=MESSAGES) as helper:
        final = helper.get_final_completion()

    async def ask() -> list[Any]:
        async with tool_proxy.async_sdk() as sdk:
            parts = await sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True)
            return [part async for part in parts]

    parts = asyncio.run(ask())
    assert final.choices[0].message.content == "I look.\n\nRain."
    assert final.choices[0].message.tool_calls is None
    assert final.choices[0].finish_reason == "stop"
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == "I look.\n\nRain."


def test_tools_that_are_not_called_cost_a_stream_next_to_nothing(
    provider: ScriptedUpstream, tool_proxy: RunningProxy, upstream: Fresh, tmp_path: Path
) -> None:
    upstream.answer(Sse(text_chunks("Hello")))
    body = {"model": "m", "messages": MESSAGES, "stream": True}

    def first_byte_s(proxy: RunningProxy) -> float:
        began = time.perf_counter()
        with proxy.http.stream("POST", CHAT, json=body) as answer:
            next(answer.iter_raw())
        return time.perf_counter() - began

    with proxy_before(provider.base_url, tmp_path) as without:
        pairs = [(first_byte_s(without), first_byte_s(tool_proxy)) for _ in range(40)][10:]

    off, on = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert on - off < 0.01  # measured on an idle machine it is a third of a millisecond
