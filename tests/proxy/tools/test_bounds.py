"""What the loop remembers is bounded, and makes room by forgetting the oldest, not everything."""

import json

import pytest

from proxy.errors.upstream import UpstreamInvalidEvent
from proxy.tools.loop.deltas import MAX_CALLS_BYTES, MAX_SAID_BYTES, MAX_UNREAD_BYTES, GrowingCalls, SaidSoFar
from proxy.tools.loop.mixed_turns import FORGOTTEN_AFTER_S, MixedTurns
from proxy.tools.loop.models_without_tools import MAX_MODELS, ModelsWithoutTools
from proxy.tools.loop.request import Offer
from proxy.tools.tool import Tool


def test_the_oldest_of_the_mixed_turns_makes_room_and_not_all_of_them() -> None:
    turns = MixedTurns(max_turns=3)
    for number in range(4):
        turns.keep(str(number), [{"n": number}])

    assert turns.look_up("0") is None
    assert [turns.look_up(str(number)) for number in (1, 2, 3)] == [({"n": 1},), ({"n": 2},), ({"n": 3},)]


def test_mixed_turns_are_bounded_in_bytes_and_one_that_is_too_large_is_not_kept() -> None:
    turns = MixedTurns(max_bytes=100)
    turns.keep("small", [{"text": "x"}])
    turns.keep("huge", [{"text": "x" * 200}])

    assert turns.look_up("small") == ({"text": "x"},)
    assert turns.look_up("huge") is None


def test_a_mixed_turn_that_is_looked_up_lives_as_long_again() -> None:
    now = [0.0]
    turns = MixedTurns(lambda: now[0])
    turns.keep("key", [{"n": 1}])
    for _ in range(3):
        now[0] += FORGOTTEN_AFTER_S - 1
        assert turns.look_up("key") is not None
    now[0] += FORGOTTEN_AFTER_S + 1

    assert turns.look_up("key") is None


def test_the_model_that_refused_longest_ago_makes_room_for_another() -> None:
    models, tools = ModelsWithoutTools(), {"one": Tool("one", "", {}, str)}
    for number in range(MAX_MODELS + 1):
        models.note("upstream", number, None, b"no tools")

    assert models.allowed("upstream", 0, tools, beside_others=False) == tools
    assert models.allowed("upstream", 1, tools, beside_others=False) == {}
    assert len(models.sentences()) == MAX_MODELS


def test_of_what_a_stream_says_its_beginning_alone_is_kept() -> None:
    said = SaidSoFar()
    chunk = json.dumps({"choices": [{"delta": {"content": "x" * 1000}}]}).encode()
    for _ in range(20_000):
        said.note(chunk)

    assert MAX_SAID_BYTES <= len(said.message()["content"]) < MAX_SAID_BYTES + 2 * MAX_UNREAD_BYTES


@pytest.mark.parametrize("part", [{"index": 0, "function": {"arguments": "x" * 1000}}, {"index": 0, "id": "a"}])
def test_the_calls_of_a_turn_are_bounded(part: dict[str, object]) -> None:
    calls = GrowingCalls(Offer({}, frozenset(), (), is_forced=False))

    def flood() -> None:
        for number in range(MAX_CALLS_BYTES // 1000 + 2):
            calls.add({**part, **({"id": f"c{number}"} if "id" in part else {})}, 1000)

    with pytest.raises(UpstreamInvalidEvent):
        flood()
