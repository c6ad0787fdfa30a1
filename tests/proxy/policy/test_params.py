"""The parameter rules: what they change in a request, and which models they are for."""

import json
import random
from typing import Any

import pytest

from fakes.random_json import NAMES, random_text, random_value
from proxy.policy.body import REMOVED, read_object, rewrite
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
        ({"Temperature": 1}, {}),  # beside it a default would be the value that some upstreams read
        ({"temper\u0061ture": 1, "x": 1}, {}),
        ({"\u017ftop": 1}, {"temperature": 0.5}),
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
        ("GPT-5", True),  # many upstreams know their models in any letter case
        ("gPt-5\u017f", True),
        (" gpt-5 ", True),
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


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("o[13]*", ["o1", "O3-mini", "o[13]*"], ["o4"]),
        ("Claude-4[1m]", ["claude-4[1m]", "CLAUDE-4[1M]", "claude-41"], ["claude-4[2m]"]),
        ("gpt-4?", ["gpt-4o", "GPT-41"], ["gpt-4", "gpt-4.1"]),
        ("gpt-[!4]*", ["gpt-5"], ["gpt-4o", "GPT-4O"]),
        ("org/Model.v1", ["org/model.v1", "ORG/MODEL.V1"], ["org/modelxv1", "org/model.v12"]),
        ("ft:gpt-(4|5)+$*", ["ft:gpt-(4|5)+$x"], ["ft:gpt-4"]),
        ("*-mini", ["o3-mini", "\n-Mini"], ["o3-mini-high"]),
    ],
)
def test_a_pattern_fits_models_in_any_letter_case_and_its_own_text(
    pattern: str, fitting: list[str], others: list[str]
) -> None:
    some = rules(overrides={pattern: {"seed": 1}})

    assert [model for model in (*fitting, *others) if some.changes({"model": model})] == fitting


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


# Names in every spelling, and bodies that name several models


@pytest.mark.parametrize("spelling", ["TOP_P", "Top_p", "topP", "top_p\0", "top\u005fp"])
def test_a_rule_is_about_a_parameter_in_every_spelling(spelling: str) -> None:
    assert rules(drop=("top_p",)).changes({spelling: 1}) == {"top_p": REMOVED}
    assert rules({"top_p": 0.5}).changes({spelling: 1}) == {}
    assert rules(overrides={spelling: 0}).changes({"top_p": 1}) == {spelling: 0}


def test_of_rules_that_name_a_parameter_in_two_spellings_one_is_left() -> None:
    some = rules({"Top_P": 0.5, "seed": 1}, ("SEED",), {"top_p": 0, "gpt-*": {"TOP_P": 1}})

    assert some.changes({"model": "gpt-5"}) == {"TOP_P": 1}
    assert some.changes({"model": "o3", "Seed": 5}) == {"top_p": 0, "SEED": REMOVED}


LOOKING = [rules({"o3*": {"seed": 1}}), rules(drop=("o3*:top_p",)), rules(overrides={"o3*": {"seed": 1}})]


@pytest.mark.parametrize("some", LOOKING)
@pytest.mark.parametrize(
    ("body", "model", "left"),
    [
        (b'{"model":"gpt-4o","model":"o3"}', "o3", b'"model":"o3"'),
        (b'{"model":"o3","model":"gpt-4o"}', "gpt-4o", b'"model":"gpt-4o"'),
        (b'{"Model":"o3","model":"gpt-4o"}', "gpt-4o", b'"model":"gpt-4o"'),
        (b'{"model":"o3","MODEL":"gpt-4o"}', "o3", b'"model":"o3"'),
        (b'{"Model":"o3"}', "o3", b'"model":"o3"'),
        (b'{"Model":"gpt-4o","MODEL":5,"Model":"o3"}', "o3", b'"model":"o3"'),
        (b'{"MODEL":null,"Model":"o3","MODEL":[]}', "o3", b'"model":"o3"'),
        (b'{"mod\\u0065l": "o3" }', "o3", b'"model": "o3" '),
        (b'{"Model":"o3","model": null}', "", b'"model": null'),  # Go reads over a null
        (b'{"model":"o3","model":["o3"]}', "", b'"model":["o3"]'),
        (b'{"model":"o3","model":1e400}', "", b'"model":1e400'),
        (b'{"Model":5,"MODEL":6.0}', "", b'"model":6.0'),
        (b'{"model":"o3","model":""}', "", b'"model":""'),
    ],
)
def test_where_rules_look_at_the_model_the_one_they_judge_by_is_left(
    some: ParameterRules, body: bytes, model: str, left: bytes
) -> None:
    plain = read_object(b'{"model":"%b","top_p":1}' % model.encode())
    rest = rewrite(b'{%b,"top_p":1}' % left, some.changes(plain))

    assert some.apply(body[:-1] + b',"top_p":1}', read_object(body[:-1] + b',"top_p":1}'))[0] == rest


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"gpt-4o"}',
        b'{ "x":{"model":"o3","Model":"o3"}, "model" : "gpt\\u002d4o" }',
        b'{"messages":[{"model":"\\u006f3"}],"model":"gpt-4o"}',
        b'{"model":null}',
        b'{"model":{"model":"o3"}}',
        b"{}",
    ],
)
@pytest.mark.parametrize("some", [*LOOKING, rules(drop=("top_k",))])
def test_a_body_that_is_right_already_stays_as_it_is(some: ParameterRules, body: bytes) -> None:
    content, changes = some.apply(body, read_object(body))

    assert content is body
    assert not changes


@pytest.mark.parametrize("some", [rules({"seed": 1}), rules(drop=("top_p",)), rules({"model": "o3"})])
def test_rules_that_do_not_look_at_the_model_leave_several_of_them(some: ParameterRules) -> None:
    body = b'{"model":"a","Model":"b","model":"c","seed":1}'

    assert some.apply(body, read_object(body)) == (body, {})


@pytest.mark.parametrize("body", [b'{"model":"a","model":"cheap"}', b'{"model":"cheap","Model":"a"}', b'{"MODEL":"a"}'])
def test_a_forced_model_is_left_alone_even_where_the_last_is_right(body: bytes) -> None:
    assert rules(overrides={"model": "cheap"}).apply(body, read_object(body))[0] == b'{"model":"cheap"}'


@pytest.mark.parametrize(
    ("body", "touched"),
    [
        ({"stream_options": {}}, [True, False, True, True]),
        ({}, [True, True, True, True]),
        ({"model": "o3"}, [True, True, True, True]),
        ({"model": "gpt-5", "Stream_Options": {}}, [True, False, True, False]),
    ],
)
def test_whether_the_rules_touch_a_parameter_can_be_asked(body: dict[str, Any], touched: list[bool]) -> None:
    asked = [
        rules(drop=("Stream_Options",)),
        rules({"stream_options": {}}),
        rules(overrides={"stream_options": None}),
        rules({"model": "o3"}, overrides={"o3*": {"stream_options": None}}),
    ]

    assert [some.touches("stream_options", body) for some in asked] == touched
    assert not any(some.touches("seed", body) for some in asked)
