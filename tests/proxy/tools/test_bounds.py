"""What the loop remembers is bounded, and makes room by forgetting the oldest, not everything."""

from proxy.tools.loop.mixed_turns import FORGOTTEN_AFTER_S, MixedTurns
from proxy.tools.loop.models_without_tools import MAX_MODELS, ModelsWithoutTools
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
