"""Why the prompt cache missed: a sentence where money was lost, and none where nothing was."""

import json
from typing import Any

import pytest

from proxy.capture.cache_miss import explain
from proxy.capture.record import Record
from proxy.flow.flow import Flow, Outcome, Usage
from proxy.http.headers import Headers

PRICES = {"m": {"input": 10.0, "cached": 1.0, "output": 0.0}}
SYSTEM = "You are a careful assistant. " * 40
TOOLS = [{"type": "function", "function": {"name": name, "description": "", "parameters": {}}} for name in "abc"]
FIRST = [{"role": "user", "content": "first question"}]
SECOND = [*FIRST, {"role": "assistant", "content": "an answer"}, {"role": "user", "content": "next"}]


def body(messages: list[Any], *, system: str = SYSTEM, tools: list[Any] = TOOLS) -> dict[str, Any]:
    return {"model": "m", "tools": tools, "messages": [{"role": "system", "content": system}, *messages]}


class Client:
    """A client's requests, one after the other."""

    def __init__(self, **flow: Any) -> None:
        self.held: list[Record] = []
        self.flow = {
            "path": "/chat/completions",
            "client": "zed",
            "upstream": "openai",
            "upstream_host": "api.openai.com",
            **flow,
        }

    def ask(
        self, fields: dict[str, Any], cached: int, *, after_s: float = 1.0, tokens: int = 40_000, **flow: Any
    ) -> Any:
        """Add a request; return why its cache missed."""
        made = Flow("POST", **{**self.flow, **flow}, model_asked="m", model_sent="m")
        made.began = self.held[-1].flow.began + after_s if self.held else 1000.0
        made.outcome, made.usage, made.last_byte_s = Outcome.WHOLE, Usage(tokens, 10, cached_tokens=cached), 0.5
        record = Record(made, lambda *_: None)
        record.came(Headers(), "")
        record.body_came(json.dumps(fields).encode())
        self.held.append(record)
        return explain(record, self.held, PRICES)


def test_a_changed_tool_list_is_told_with_what_it_cost() -> None:
    client = Client()
    client.ask(body(FIRST), 0)

    missed = client.ask(body(SECOND, tools=[*TOOLS, {"type": "function", "function": {"name": "d"}}]), 0)

    assert missed["kind"] == "tools"
    assert missed["sentence"] == "The tool list changed (1 added): 40 k tokens at full price, $0.36 more."
    assert (missed["lost_tokens"], missed["lost_usd"]) == (40_000, 0.36)
    assert missed["earlier"] == client.held[0].flow.id


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        (TOOLS[:2], "(1 removed)"),
        ([TOOLS[0], {"type": "function", "function": {"name": "z"}}], "(1 added, 2 removed)"),
        (TOOLS[::-1], "(the order)"),
        (
            [{"type": "function", "function": {**TOOLS[0]["function"], "description": "x"}}, *TOOLS[1:]],
            "(a description)",
        ),  # type: ignore[dict-item]
    ],
)
def test_what_became_of_the_tools_is_told(tools: list[Any], words: str) -> None:
    client = Client()
    client.ask(body(FIRST), 0)

    assert words in client.ask(body(SECOND, tools=tools), 0)["sentence"]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("It is 10:04 now.", "It is 10:05 now.", "at byte 1,170 (a time?)"),
        ("Today is 2026-01-02.", "Today is 2026-01-03.", "at byte 1,178 (a time?)"),
        ("Use tabs.", "Use spaces.", "at byte 1,164:"),
    ],
)
def test_where_the_system_text_differs_is_told(before: str, after: str, words: str) -> None:
    client = Client()
    client.ask(body(FIRST, system=SYSTEM + before), 0)

    missed = client.ask(body(SECOND, system=SYSTEM + after), 0)

    assert missed["kind"] == "system"
    assert words in missed["sentence"]


def test_a_message_that_was_changed_is_told() -> None:
    client = Client()
    client.ask(body(SECOND), 0)
    changed = [FIRST[0], {"role": "assistant", "content": "another answer"}, *SECOND[2:], *FIRST]

    missed = client.ask(body(changed), 0)

    assert missed["kind"] == "history"
    assert "Message 2 of the conversation was changed" in missed["sentence"]


def test_a_long_pause_is_told_where_the_upstream_is_known_to_cache() -> None:
    client = Client()
    client.ask(body(FIRST), 0)
    assert client.ask(body(SECOND), 30_000) is None

    missed = client.ask(body([*SECOND, *SECOND]), 0, after_s=660)

    assert missed["kind"] == "idle"
    assert missed["sentence"].startswith("11 minutes have passed since the last request: 40 k tokens")


def test_an_upstream_that_missed_the_same_beginning_is_told() -> None:
    client = Client()
    client.ask(body(FIRST), 0)
    client.ask(body(SECOND), 30_000)

    assert client.ask(body([*SECOND, *SECOND]), 0)["kind"] == "missed"


def test_marks_of_where_a_cache_ends_are_no_change() -> None:
    client = Client(path="/messages")
    marked = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
    plain = {"type": "text", "text": "hi"}
    client.ask({"model": "m", "system": SYSTEM, "messages": [{"role": "user", "content": [marked]}]}, 0)

    messages = [{"role": "user", "content": [plain]}, *SECOND]
    assert client.ask({"model": "m", "system": SYSTEM, "messages": messages}, 0) is None  # nobody knows that it caches


@pytest.mark.parametrize(
    ("second", "cached", "flow"),
    [
        (body([{"role": "user", "content": "another conversation"}], tools=[]), 0, {}),
        (body(SECOND, tools=[]), 39_000, {}),  # it was served all the same
        (body(SECOND, tools=[]), 0, {"client": "aider"}),
        (body(SECOND, tools=[]), 0, {"key_name": "other"}),
        (body(SECOND, tools=[]), 0, {"upstream": "groq"}),
        (body(SECOND), 0, {}),  # the same beginning, at an upstream that never said that it caches
        ({"model": "m", "messages": "none"}, 0, {}),
        ({"model": "m"}, 0, {}),
    ],
)
def test_there_is_no_alarm_without_a_loss(second: dict[str, Any], cached: int, flow: dict[str, Any]) -> None:
    client = Client()
    assert client.ask(body(FIRST), 0) is None

    assert client.ask(second, cached, **flow) is None


def test_a_short_prompt_and_a_local_upstream_are_no_loss() -> None:
    short, local = Client(), Client(upstream_host="127.0.0.1:11434")
    short.ask(body(FIRST), 0, tokens=900)
    local.ask(body(FIRST), 0)

    assert short.ask(body(SECOND, tools=[]), 0, tokens=950) is None
    assert local.ask(body(SECOND, tools=[]), 0) is None


def test_it_is_told_of_responses_and_where_the_bodies_have_gone() -> None:
    client = Client(path="/responses")
    client.ask({"model": "m", "instructions": SYSTEM, "input": FIRST}, 0)
    assert client.ask({"model": "m", "instructions": SYSTEM, "input": SECOND}, 0, tokens=50_000) is None
    client.held[-1].drop()

    missed = client.ask({"model": "m", "instructions": "x" + SYSTEM, "input": SECOND}, 0)

    assert missed["sentence"] == "The system prompt differs: 50 k tokens at full price, $0.45 more."
