"""The parameter rules: what they change in a request, and which models they are for."""

import json
import random
from typing import Any

import pytest

from fakes.random_json import NAMES, random_text, random_value
from proxy.policy.body import REMOVED, rewrite
from proxy.policy.params import ParameterRules

SEED = 20240607


def rules(
    defaults: dict[str, Any] | None = None, drop: tuple[str, ...] = (), overrides: dict[str, Any] | None = None
) -> ParameterRules:
    return ParameterRules.of(defaults or {}, drop, overrides or {})


def test_no_rules_change_nothing() -> None:
    assert rules().changes({"model": "gpt-5", "temperature": 1}) == {}


def test_no_rules_are_no_rules() -> None:
    assert not rules()


@pytest.mark.parametrize("some", [rules({"a": 1}), rules(drop=("a",)), rules(overrides={"gpt-*": {"a": 1}})])
def test_any_rule_makes_rules(some: ParameterRules) -> None:
    assert some


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ({}, {"temperature": 0.5}),
        ({"temperature": 1}, {}),
        ({"temperature": None}, {}),  # null is a choice too
        ({"temperature": 0.5}, {}),
        ({"Temperature": 1}, {"temperature": 0.5}),
    ],
)
def test_a_default_fills_only_what_is_absent(body: dict[str, Any], changes: dict[str, Any]) -> None:
    assert rules({"temperature": 0.5}).changes(body) == changes


@pytest.mark.parametrize(("body", "changes"), [({"top_p": 1}, {"top_p": REMOVED}), ({"top_k": 1}, {}), ({}, {})])
def test_a_dropped_parameter_is_removed_where_it_stands(body: dict[str, Any], changes: dict[str, Any]) -> None:
    assert rules(drop=("top_p",)).changes(body) == changes


@pytest.mark.parametrize("body", [{}, {"temperature": 1}, {"temperature": None}])
def test_an_override_is_forced_on_every_request(body: dict[str, Any]) -> None:
    assert rules(overrides={"temperature": 0}).changes(body) == {"temperature": 0}


@pytest.mark.parametrize(("body", "changes"), [({}, {}), ({"temperature": 1}, {"temperature": REMOVED})])
def test_a_drop_wins_over_a_default(body: dict[str, Any], changes: dict[str, Any]) -> None:
    assert rules({"temperature": 0.5}, ("temperature",)).changes(body) == changes


@pytest.mark.parametrize("body", [{}, {"temperature": 1}])
def test_an_override_wins_over_a_drop(body: dict[str, Any]) -> None:
    assert rules({"temperature": 0.5}, ("temperature",), {"temperature": 0}).changes(body) == {"temperature": 0}


@pytest.mark.parametrize("value", [None, False, 0, "", [], {}, {"type": "text"}, ["a", {"b": None}]])
def test_a_rule_may_hold_any_json_value(value: object) -> None:
    assert rules({"stop": value}).changes({}) == {"stop": value}
    assert rules(overrides={"stop": value}).changes({"stop": "x"}) == {"stop": value}


@pytest.mark.parametrize(
    ("model", "filled"),
    [
        ("gpt-5", True),
        ("gpt-5-mini", True),
        ("gpt-4", False),
        ("GPT-5", False),
        ("my-gpt-5", False),
        ("", False),
    ],
)
def test_a_limited_rule_looks_at_the_model(model: str, filled: bool) -> None:
    limited = {"gpt-5*": {"temperature": 1}}
    body = {"model": model, "top_p": 1}

    assert rules(limited).changes(body) == ({"temperature": 1} if filled else {})
    assert rules(overrides=limited).changes(body) == ({"temperature": 1} if filled else {})
    assert rules(drop=("gpt-5*:top_p",)).changes(body) == ({"top_p": REMOVED} if filled else {})


def test_a_model_with_a_colon_can_be_named_in_a_drop_rule() -> None:
    some = rules(drop=("llama3:8b:top_p",))

    assert some.changes({"model": "llama3:8b", "top_p": 1}) == {"top_p": REMOVED}
    assert some.changes({"model": "llama3:70b", "top_p": 1}) == {}


def test_a_limited_rule_wins_over_the_general_one_wherever_it_stands() -> None:
    some = rules({"gpt-5*": {"temperature": 1}, "temperature": 0.5})

    assert some.changes({"model": "gpt-5"}) == {"temperature": 1}
    assert some.changes({"model": "gpt-4"}) == {"temperature": 0.5}


def test_of_two_limited_rules_the_later_wins() -> None:
    some = rules(overrides={"gpt-*": {"seed": 1, "n": 1}, "gpt-5*": {"seed": 2}})

    assert some.changes({"model": "gpt-5"}) == {"seed": 2, "n": 1}


@pytest.mark.parametrize("model", [None, 5, ["gpt-5"], {"name": "gpt-5"}])
def test_a_model_that_is_no_text_fits_no_pattern(model: object) -> None:
    assert rules({"gpt-*": {"temperature": 1}}, ("gpt-*:top_p",)).changes({"model": model, "top_p": 1}) == {}


def test_the_model_of_the_overrides_decides_which_rules_fit() -> None:
    some = rules({"gpt-5*": {"temperature": 1}}, ("gpt-5*:top_p",), {"model": "gpt-5", "gpt-5*": {"seed": 1}})

    changes = some.changes({"model": "gpt-4", "top_p": 1})

    assert changes == {"model": "gpt-5", "temperature": 1, "top_p": REMOVED, "seed": 1}


def test_the_model_of_the_defaults_decides_where_the_request_names_none() -> None:
    some = rules({"model": "gpt-5", "gpt-5*": {"temperature": 1}})

    assert some.changes({}) == {"model": "gpt-5", "temperature": 1}
    assert some.changes({"model": "gpt-4"}) == {}


def test_a_model_can_be_replaced_by_its_pattern() -> None:
    some = rules(overrides={"gpt-3*": {"model": "gpt-5-mini"}})

    assert some.changes({"model": "gpt-3.5-turbo"}) == {"model": "gpt-5-mini"}
    assert some.changes({"model": "gpt-4"}) == {}


def test_a_model_of_the_defaults_can_be_replaced_like_any_other() -> None:
    some = rules({"model": "gpt-5"}, overrides={"gpt-5*": {"model": "gpt-6"}, "gpt-6*": {"seed": 1}})

    assert some.changes({}) == {"model": "gpt-6", "seed": 1}


def test_a_model_is_replaced_once_and_not_in_turns() -> None:
    some = rules(overrides={"a": 1, "gpt-a*": {"model": "gpt-b"}, "gpt-b*": {"model": "gpt-c"}})

    assert some.changes({"model": "gpt-a"})["model"] == "gpt-b"


def test_a_model_that_is_already_right_is_not_touched() -> None:
    assert rules(overrides={"model": "gpt-5"}).changes({"model": "gpt-5"}) == {}


def test_rules_do_not_change_the_body_they_look_at() -> None:
    body = {"model": "gpt-4", "top_p": 1}

    rules({"n": 1}, ("top_p",), {"model": "gpt-5"}).changes(body)

    assert body == {"model": "gpt-4", "top_p": 1}


def test_rules_and_rewriting_together_do_what_defaults_drop_and_overrides_say() -> None:
    chance = random.Random(SEED + 2)
    names = [name for name in NAMES if name != "model"]  # it has rules of its own
    for number in range(1000):
        fields = {chance.choice(names): random_value(chance) for _ in range(chance.randrange(6))}
        defaults = {chance.choice(names): chance.randrange(9) for _ in range(chance.randrange(3))}
        overrides = {chance.choice(names): chance.randrange(9) for _ in range(chance.randrange(3))}
        drop = {chance.choice(names) for _ in range(chance.randrange(3))}

        changes = rules(defaults, tuple(sorted(drop)), overrides).changes(fields)
        written = rewrite(random_text(chance, fields).encode(), changes)

        filled = {**defaults, **fields}
        kept = {name: value for name, value in filled.items() if name not in drop}
        assert json.loads(written) == {**kept, **overrides}, (number, fields, defaults, drop, overrides)
