"""The parameter rules, and how a body is changed without touching the rest of it."""

import json
import math
import random
from typing import Any

import pytest

from proxy.errors import InvalidJson
from proxy.policy.params import REMOVED, ParameterRules, read_object, rewrite

SEED = 20240607
SPACES = ["", "", " ", "\n  ", "\t", "\r\n", " \n\t "]
NAMES = ["model", "temperature", "top_p", "stop", "metadata", "a b", "\u00e9t\u00e9", "\U0001f600", '"', "\\", "/", ""]


def rules(
    defaults: dict[str, Any] | None = None, drop: tuple[str, ...] = (), overrides: dict[str, Any] | None = None
) -> ParameterRules:
    return ParameterRules.of(defaults or {}, drop, overrides or {})


# What the rules change


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


# How a body is rewritten


@pytest.mark.parametrize(
    ("body", "changes", "expected"),
    [
        # added at the end
        (b"{}", {"a": 1}, b'{"a":1}'),
        (b'{"a":1}', {"b": 2, "c": [3]}, b'{"a":1,"b":2,"c":[3]}'),
        (b'{"a": 1, "b": 2}', {"c": {"d": None}}, b'{"a": 1, "b": 2,"c":{"d":null}}'),
        (b'{"a":1}', {"\u00e9": "\u00fc"}, '{"a":1,"\\u00e9":"\u00fc"}'.encode()),
        # replaced where it stands
        (b'{"a":1,"b":2,"c":3}', {"b": 5}, b'{"a":1,"b":5,"c":3}'),
        (b'{ "a" :\t1,\r\n"b"\n: 2}', {"a": 5}, b'{ "a" :\t5,\r\n"b"\n: 2}'),
        (b'{"a":{"b":1},"b":2}', {"b": 3}, b'{"a":{"b":1},"b":3}'),
        (b'{"a":[1,{"b":[]}],"b":{"a":{}}}', {"b": 3}, b'{"a":[1,{"b":[]}],"b":3}'),
        # removed
        (b'{"a":1}', {"a": REMOVED}, b"{}"),
        (b'{"a":1,"b":2,"c":3}', {"a": REMOVED}, b'{"b":2,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', {"b": REMOVED}, b'{"a":1,"c":3}'),
        (b'{"a":1,"b":2,"c":3}', {"c": REMOVED}, b'{"a":1,"b":2}'),
        (b'{"a":1,"b":2}', {"a": REMOVED, "b": REMOVED}, b"{}"),
        (b'{"a":1}', {"b": REMOVED}, b'{"a":1}'),
        (b'{\n  "a": 1,\n  "b": 2\n}', {"a": REMOVED}, b'{\n  "b": 2\n}'),
        (b'{\n  "a": 1,\n  "b": 2\n}', {"b": REMOVED}, b'{\n  "a": 1\n}'),
        # before and behind the object
        (b' \r\n\t{"a":1}', {"a": 2}, b' \r\n\t{"a":2}'),
        (b'{"a":1} \r\n\t\n', {"a": 2}, b'{"a":2} \r\n\t\n'),
        # escapes and unicode stay as they were typed
        (b'{"\\u0061":1,"x":"\\u00e9\\/\\ud83d\\ude00"}', {"a": 2}, b'{"\\u0061":2,"x":"\\u00e9\\/\\ud83d\\ude00"}'),
        ('{"a":1,"\u00e9":"\U0001f600\u2028"}'.encode(), {"a": 2}, '{"a":2,"\u00e9":"\U0001f600\u2028"}'.encode()),
        (b'{"a":1,"x":"\\ud800"}', {"a": 2}, b'{"a":2,"x":"\\ud800"}'),
        (b'{"a":1,"x":"}\\",\\"a\\":3,{"}', {"a": 2}, b'{"a":2,"x":"}\\",\\"a\\":3,{"}'),
        # numbers stay as they were typed
        (b'{"a":1,"x":1e3,"y":-0.0,"z":1E+2}', {"a": 2}, b'{"a":2,"x":1e3,"y":-0.0,"z":1E+2}'),
        (b'{"a":1,"x":1.10,"y":1e999}', {"a": 2}, b'{"a":2,"x":1.10,"y":1e999}'),
        (b'{"a":1,"x":123456789012345678901234567890}', {"a": 2}, b'{"a":2,"x":123456789012345678901234567890}'),
        (b'{"a":1,"x":0.1000000000000000055511151231257827}', {}, b'{"a":1,"x":0.1000000000000000055511151231257827}'),
        (b'{"a":1,"x":NaN,"y":-Infinity}', {"a": 2}, b'{"a":2,"x":NaN,"y":-Infinity}'),
        # names that stand twice: where the rule does not touch them, both stay
        (b'{"x":1,"a":1,"x":2}', {"a": 2}, b'{"x":1,"a":2,"x":2}'),
        (b'{"a":1,"x":1,"a":2}', {"a": 3}, b'{"a":3,"x":1,"a":3}'),
        (b'{"a":1,"x":1,"a":2}', {"a": REMOVED}, b'{"x":1}'),
        # the empty name
        (b'{"":1,"a":2}', {"": 5}, b'{"":5,"a":2}'),
    ],
)
def test_only_what_a_change_touches_is_rewritten(body: bytes, changes: dict[str, Any], expected: bytes) -> None:
    assert rewrite(body, changes) == expected


@pytest.mark.parametrize(
    ("body", "changes", "expected"),
    [
        (b'{"a":1 ,"b":2}', {"b": 5}, b'{"a":1 ,"b":5}'),
        (b'{"a": 1\n, "b": 2\n, "c": 3\n}', {"c": 5}, b'{"a": 1\n, "b": 2\n, "c": 5\n}'),
        (b'{"a":1\t,"b":2 ,"c":3}', {"d": 4}, b'{"a":1\t,"b":2 ,"c":3,"d":4}'),
    ],
)
def test_white_space_before_a_comma_stays_too(body: bytes, changes: dict[str, Any], expected: bytes) -> None:
    assert rewrite(body, changes) == expected


@pytest.mark.parametrize(
    "body", [b"{}", b"{ }", b" {\n\t} ", b'{"a":1}', b' { "a" : 1 } \n', b'{"a":{"b":[1, 2]},\n"c":"\\n"}']
)
def test_without_changes_the_body_stays_as_it_is(body: bytes) -> None:
    assert rewrite(body, {}) == body


@pytest.mark.parametrize("body", [b"{ }", b"{\n}", b" {\t} "])
def test_an_object_of_white_space_can_be_filled(body: bytes) -> None:
    assert json.loads(rewrite(body, {"a": 1})) == {"a": 1}


@pytest.mark.parametrize("value", [None, True, 0, -1.5, 1e300, "", 'q"\\\n\u00e9\U0001f600', [], {}, [{"a": [None]}]])
def test_a_value_of_a_rule_arrives_as_it_is(value: object) -> None:
    assert json.loads(rewrite(b'{"a":1}', {"a": value, "b": value})) == {"a": value, "b": value}


def test_half_a_character_in_a_rule_does_not_break_the_request() -> None:
    assert json.loads(rewrite(b'{"a":1}', {"stop": "\ud800"})) == {"a": 1, "stop": "\ud800"}


def random_value(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(9 if depth < 3 else 7)
    if kind == 0:
        return None
    if kind == 1:
        return chance.random() < 0.5
    if kind == 2:
        return chance.randint(-(10 ** chance.randint(0, 25)), 10**6)
    if kind == 3:
        return chance.uniform(-1, 1) * 10.0 ** chance.randint(-300, 300)
    if kind < 7:
        return "".join(chance.choice('ab,:{}[]"\\/\n\t\u00e9\u2028\U0001f600 ') for _ in range(chance.randrange(8)))
    if kind == 7:
        return [random_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(NAMES): random_value(chance, depth + 1) for _ in range(chance.randrange(4))}


def random_text(chance: random.Random, value: object) -> str:
    """Write a value as JSON with white space and escapes where chance wants them."""

    def space() -> str:
        return chance.choice(SPACES)

    if isinstance(value, dict):
        members = [
            f"{space()}{random_text(chance, name)}{space()}:{space()}{random_text(chance, member)}{space()}"
            for name, member in value.items()
        ]
        return "{" + (",".join(members) or space()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(f"{space()}{random_text(chance, item)}{space()}" for item in value) + "]"
    return json.dumps(value, ensure_ascii=chance.random() < 0.5)


def random_changes(chance: random.Random) -> dict[str, Any]:
    return {
        chance.choice(NAMES): REMOVED if chance.random() < 0.4 else random_value(chance)
        for _ in range(chance.randrange(5))
    }


def changed(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return what the changes mean, done to a dict."""
    return {name: value for name, value in {**fields, **changes}.items() if value is not REMOVED}


def test_a_rewritten_body_means_what_the_change_means_for_thousands_of_random_ones() -> None:
    chance = random.Random(SEED)
    for number in range(3000):
        fields = {chance.choice(NAMES): random_value(chance) for _ in range(chance.randrange(6))}
        body = f"{chance.choice(SPACES)}{random_text(chance, fields)}{chance.choice(SPACES)}".encode()
        changes = random_changes(chance)

        written = rewrite(body, changes)

        assert json.loads(written) == changed(fields, changes), (number, body, changes)


def test_a_rewritten_body_keeps_the_order_of_its_members() -> None:
    chance = random.Random(SEED + 1)
    for number in range(1000):
        fields = {chance.choice(NAMES): random_value(chance) for _ in range(chance.randrange(6))}
        changes = random_changes(chance)

        written = rewrite(random_text(chance, fields).encode(), changes)

        assert list(json.loads(written)) == list(changed(fields, changes)), (number, fields, changes)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "\\ud800", "b": 1}',
        b'{"a": NaN, "b": -Infinity}',
        b'{"a": 123456789012345678901234567890, "b": 1e999}',
        b'{"a": 1, "a": [2, {"c": null}]}',
        b' {"a": "\\u0000\\/ \xc3\xbc"} \n',
    ],
)
def test_an_object_is_read_as_the_json_module_reads_it(body: bytes) -> None:
    assert repr(read_object(body)) == repr(json.loads(body))


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


# What is read


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"{}", {}),
        (b' \r\n{"a": [1, {"b": null}]}\t', {"a": [1, {"b": None}]}),
        ('{"\u00e9": "\U0001f600"}'.encode(), {"\u00e9": "\U0001f600"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": "\\ud800"}', {"a": "\ud800"}),
        (b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        (b'{"a": 1e999, "b": -1e999}', {"a": math.inf, "b": -math.inf}),
    ],
)
def test_an_object_is_read(body: bytes, fields: dict[str, Any]) -> None:
    assert read_object(body) == fields


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is empty"),
        (b" \r\n\t", "it is empty"),
        (b'{"a": "\xff"}', "it is not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "it is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "it is not UTF-8"),
        (b"[]", "it is a JSON array"),
        (b'"text"', "it is a JSON string"),
        (b"1", "it is a JSON number"),
        (b"1e3", "it is a JSON number"),
        (b"NaN", "it is a JSON number"),
        (b"true", "it is a JSON boolean"),
        (b"null", "it is a JSON null"),
        (b"{", "char 1"),
        (b"}", "char 0"),
        (b'{"a": 1', "char 7"),
        (b'{"a": 1,}', "char"),
        (b'{"a"}', "char 4"),
        (b"{'a': 1}", "char 1"),
        (b"{} {}", "char 3"),
        (b"{}\x00", "char 2"),
        (b'{"a": "\n"}', "char 7"),
        (b'{"a": 0x10}', "char 7"),
        (b'{"a": 01}', "char 7"),
        (b"a=1&b=2", "char 0"),
        (b"<html></html>", "char 0"),
        (b"\xef\xbb\xbf{}", "BOM"),
    ],
)
def test_what_is_no_object_is_refused_with_the_reason(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        read_object(body)

    assert reason in caught.value.message
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"a":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b"[" * 10_000 + b"]" * 10_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_deep_nesting_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidJson):
        read_object(body)


@pytest.mark.parametrize("depth", [10, 100, 300, 600, 900, 950, 980, 990, 1_000, 2_000, 5_000, 9_000])
def test_what_was_read_can_be_rewritten_however_deep(depth: int) -> None:
    body = b'{"a":' + b"[" * depth + b"]" * depth + b',"b":1}'
    try:
        read_object(body)
    except InvalidJson:
        assert depth >= 900  # an ordinary conversation is far from it
        return

    assert rewrite(body, {"b": 2}) == body.replace(b'"b":1', b'"b":2')


@pytest.mark.parametrize(
    "value",
    [
        *("NaN", "-NaN", "Infinity", "-Infinity", "1e999999999", "1e-999999999", "-", "+1", ".5"),
        *("9" * 4_300, "9" * 5_000, "-" + "9" * 100_000, "1" + "0" * 5_000 + ".0"),
        *('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\u00"', '"\\x"'),
    ],
)
def test_odd_values_are_read_or_refused_and_nothing_else(value: str) -> None:
    body = b'{"a":1,"x":' + value.encode() + b"}"
    try:
        fields = read_object(body)
    except InvalidJson:
        return

    assert fields["a"] == 1
    assert rewrite(body, {"a": 2}) == body.replace(b'"a":1', b'"a":2')


def test_random_garbage_is_an_object_or_refused() -> None:
    chance = random.Random(SEED + 3)
    alphabet = b'{}[]",:\\u0123456789eE+-.truefalsn \n\t\xff\xc3\xa9\x00abc'
    refused = 0
    for _ in range(5_000):
        body = bytes(chance.choice(alphabet) for _ in range(chance.randrange(24)))
        try:
            assert isinstance(read_object(b"{" + body), dict)
        except InvalidJson:
            refused += 1
    assert refused > 2_500


def test_mutated_bodies_are_read_or_refused_and_what_is_read_can_be_rewritten() -> None:
    chance = random.Random(SEED + 4)
    read = 0
    for number in range(3_000):
        fields = {chance.choice(NAMES): random_value(chance) for _ in range(3)}
        body = bytearray(random_text(chance, fields).encode())
        body[chance.randrange(len(body))] = chance.choice(b' ",:{}[]0e\\\xff')
        try:
            meant = read_object(bytes(body))
        except InvalidJson:
            continue
        read += 1
        assert json.loads(rewrite(bytes(body), {"n": 1})) == {**meant, "n": 1}, (number, bytes(body))
    assert read > 300
