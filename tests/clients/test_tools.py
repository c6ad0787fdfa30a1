"""Real clients before a proxy that runs tools: each has one coherent answer in hand, whatever went on behind it."""

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from clients.bench import NODE_SDKS, available_sdks
from clients.node_sdks import NodeSdks
from clients.outcome import Outcome
from clients.python_sdks import run_async, run_sync
from clients.scenario import Call
from fakes.scripted_upstream import ScriptedUpstream
from fakes.shared_upstream import proxy_before
from fakes.tool_model import PlayedTurn, ToolModel
from fakes.tool_turns import TOOLS_FILE

WEATHER = ("weather", {"city": "Ulm"})
LAST = PlayedTurn("It rains.")
CALLS: tuple[Call, ...] = ("chat", "chat stream", "responses", "responses stream")
WAIT_S = 25.0


@dataclass(frozen=True)
class Story:
    """What the model does, and what every client must have in hand in the end."""

    turns: tuple[PlayedTurn, ...]
    text: str = "It rains."
    calls: list[list[str]] = field(default_factory=list)
    results: tuple[str, ...] = ()  # beginnings of what the model was told of our calls


STORIES = {
    "no round": Story((LAST,)),
    "one round": Story((PlayedTurn(calls=[WEATHER]), LAST), results=("It rains in Ulm.",)),
    "three rounds": Story((PlayedTurn(calls=[WEATHER]),) * 3 + (LAST,), results=("It rains in Ulm.",) * 3),
    "text on the way": Story((PlayedTurn("I look.", [WEATHER]), LAST), text="I look.\n\nIt rains."),
    "parallel calls": Story(
        (PlayedTurn(calls=[WEATHER, ("weather", {"city": "Bonn"})]), LAST),
        results=("It rains in Ulm.", "It rains in Bonn."),
    ),
    "mixed calls": Story(
        (PlayedTurn(calls=[WEATHER, ("get_weather", {"city": "Bonn"})]),),
        text="",
        calls=[["get_weather", '{"city": "Bonn"}']],
    ),
    "failing tools": Story(
        (PlayedTurn(calls=[("fail", {"reason": "closed"}), ("weather", {}), ("no_such", {})]), LAST),
        results=("Error: The tool failed: RuntimeError: closed", "Error: The arguments do not", "Error: There is no"),
    ),
    "a slow tool": Story((PlayedTurn(calls=[("slow_async", {})]), LAST), results=("Error: The tool did not finish",)),
}


class Stage:
    """A scripted upstream, a proxy that runs tools before it, and all clients."""

    def __init__(self, stack: ExitStack) -> None:
        self.upstream = stack.enter_context(ScriptedUpstream())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        file = folder / "function_tools.py"
        file.write_text(TOOLS_FILE, encoding="utf-8")
        self.proxy = stack.enter_context(
            proxy_before(
                self.upstream.base_url,
                folder,
                enable_tool_execution=True,
                function_tools_file=str(file),
                tool_timeout=0.7,
            )
        )
        self.runs: dict[str, Any] = {"openai-python": run_sync, "openai-python async": run_async}
        if set(NODE_SDKS) <= set(available_sdks()):
            node = stack.enter_context(NodeSdks())
            self.runs |= {sdk: partial(node.run, sdk) for sdk in NODE_SDKS}
        self._pool = stack.enter_context(ThreadPoolExecutor(len(self.runs)))

    def play(self, story: Story, call: Call) -> dict[str, Outcome]:
        """Let every client that has this call ask, all at the same time."""
        self.upstream.answer(ToolModel(story.turns))
        asked = {
            sdk: self._pool.submit(run, self.proxy.base_url, call, asks_usage=True, timeout_s=WAIT_S)
            for sdk, run in self.runs.items()
            if sdk != "AI SDK" or call.startswith("chat")
        }
        return {sdk: outcome.result() for sdk, outcome in asked.items()}


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with ExitStack() as stack:
        yield Stage(stack)


def results_in(body: Any) -> list[str]:
    """Return what a request tells of our calls."""
    items = body.get("messages") or body["input"]
    if isinstance(items, str):
        return []
    told = [item.get("content") if item.get("role") == "tool" else item.get("output") for item in items]
    return [text for text in told if text]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", STORIES)
def test_every_client_has_one_coherent_answer(stage: Stage, name: str, call: Call) -> None:
    story, requests_before = STORIES[name], len(stage.upstream.requests)

    outcomes = stage.play(story, call)

    for sdk, outcome in outcomes.items():
        assert outcome.end == "complete", f"{sdk}: {outcome}"
        # In a response what was said on the way is an item of its own, and no space is put between items.
        assert outcome.text == (story.text if call.startswith("chat") else story.text.replace("\n\n", "")), sdk
        assert [[one, arguments.replace(" ", "")] for one, arguments in outcome.tool_calls] == [
            [one, arguments.replace(" ", "")] for one, arguments in story.calls
        ], sdk
        assert outcome.usage, sdk
    bodies = [request.json() for request in stage.upstream.requests[requests_before:]]
    assert len(bodies) == len(outcomes) * (1 if story.calls else len(story.turns))
    told = [results for body in bodies if len(results := results_in(body)) == len(story.results)]
    assert len(told) >= len(outcomes)
    for results in told:
        assert all(result.startswith(begun) for result, begun in zip(results, story.results, strict=True))


def test_finish_and_usage_are_those_of_the_whole(stage: Stage) -> None:
    for call in ("chat", "chat stream"):
        for sdk, outcome in stage.play(STORIES["three rounds"], call).items():
            assert outcome.finish == "stop", sdk
            total = (outcome.usage or {}).get("total_tokens", (outcome.usage or {}).get("totalTokens"))
            assert total == (48 if call == "chat" else 3 * 13 + 24), (sdk, outcome)
