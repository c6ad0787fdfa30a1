"""Rules for members of objects, for one upstream of several, and for a model by its plain name."""

from typing import Any

import pytest

from proxy.policy.body import read_object
from proxy.policy.params import ParameterRules
from proxy.settings.parameters import is_model_pattern, parse_drop_rules, parse_json_rules


def applied(body: bytes, **rules: Any) -> bytes:
    """Return the body as the rules want it."""
    some = ParameterRules.of(rules.get("defaults", {}), rules.get("drop", ()), rules.get("overrides", {}))
    return some.apply(body, read_object(body))[0]


EFFORT = {"reasoning.effort": "low"}


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"m"}', b'{"model":"m","reasoning":{"effort":"low"}}'),
        (b'{ "reasoning" : { "summary": "auto" } }', b'{ "reasoning" : { "summary": "auto","effort":"low" } }'),
        (b'{"reasoning":{"effort" : "high","x":[1, 2]}}', b'{"reasoning":{"effort" : "low","x":[1, 2]}}'),
        (b'{"reasoning":{}}', b'{"reasoning":{"effort":"low"}}'),
        (b'{"reasoning":null,"x":1}', b'{"reasoning":{"effort":"low"},"x":1}'),
        (b'{"reasoning":"high"}', b'{"reasoning":{"effort":"low"}}'),
        (b'{"Reasoning":{"EFFORT":"high"}}', b'{"reasoning":{"effort":"low"}}'),
        (b'{"reasoning":{"effort":"a","effort":"b"},"REASONING":{"effort":"c"}}', b'{"reasoning":{"effort":"low"}}'),
        (b'{"reasoning": {"effort": "low"} }', b'{"reasoning": {"effort": "low"} }'),
    ],
)
def test_a_member_is_forced_and_all_else_stays(body: bytes, sent: bytes) -> None:
    assert applied(body, overrides=EFFORT) == sent


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b"{}", b'{"reasoning":{"effort":"low"}}'),
        (b'{"reasoning":{"summary":"auto"}}', b'{"reasoning":{"summary":"auto","effort":"low"}}'),
        (b'{"reasoning":{"effort":null}}', b'{"reasoning":{"effort":null}}'),
        (b'{"Reasoning":{"Effort":"high"}}', b'{"Reasoning":{"Effort":"high"}}'),
        (b'{"reasoning":null}', b'{"reasoning":null}'),
        (b'{"reasoning":5}', b'{"reasoning":5}'),
    ],
)
def test_a_default_fills_a_member_that_is_absent(body: bytes, sent: bytes) -> None:
    assert applied(body, defaults=EFFORT) == sent


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"stream_options":{"include_usage":true, "x" : 1}}', b'{"stream_options":{ "x" : 1}}'),
        (b'{"streamOptions":{"includeUsage":true,"x":1}}', b'{"stream_options":{"x":1}}'),
        (b'{"stream_options":{"include_usage":true}}', b'{"stream_options":{}}'),
        (b'{"stream_options":{"include_obfuscation":true}}', b'{"stream_options":{"include_obfuscation":true}}'),
        (b'{"stream_options":null}', b'{"stream_options":null}'),
        (b'{"stream_options":[{"include_usage":true}]}', b'{"stream_options":[{"include_usage":true}]}'),
        (b'{"include_usage":true}', b'{"include_usage":true}'),
        (b"{}", b"{}"),
    ],
)
def test_a_member_is_dropped_where_it_stands(body: bytes, sent: bytes) -> None:
    assert applied(body, drop=("stream_options.include_usage",)) == sent


@pytest.mark.parametrize(
    ("rules", "body", "sent"),
    [
        ({"defaults": {"a.b.c": 1}}, b'{"a":{"b":{"d":2}}}', b'{"a":{"b":{"d":2,"c":1}}}'),
        ({"overrides": {"a.b": {"c": 1}, "a.b.d": 2}}, b'{"a":{"x":0}}', b'{"a":{"x":0,"b":{"c":1,"d":2}}}'),
        ({"defaults": {"a": {"b": 1, "c": 2}}, "drop": ("a.b",)}, b"{}", b'{"a":{"c":2}}'),
        ({"drop": ("a",), "overrides": {"a.b": 1}}, b'{"a":{"x":0}}', b'{"a":{"b":1}}'),
        ({"drop": ("a.b",), "overrides": {"a.b": 1}}, b'{"a":{"b":0}}', b'{"a":{"b":1}}'),
        ({"defaults": {"a.b": 1}, "drop": ("a.b",)}, b'{"x":0}', b'{"x":0}'),
        ({"overrides": {"a.b": 1, "m*": {"a": {"c": 2}}}}, b'{"model":"m1"}', b'{"model":"m1","a":{"c":2}}'),
        ({"overrides": {"a.b": 1, "m*": {"a.b": 2}}}, b'{"model":"m1"}', b'{"model":"m1","a":{"b":2}}'),
        ({"overrides": {"a.b": 1, "a.c": {}}}, b"{}", b'{"a":{"b":1,"c":{}}}'),
        ({"drop": ("m*:a.b.c",)}, b'{"model":"m1","a":{"b":{"c":1}}}', b'{"model":"m1","a":{"b":{}}}'),
    ],
)
def test_rules_for_wholes_and_parts_go_together(rules: dict[str, Any], body: bytes, sent: bytes) -> None:
    assert applied(body, **rules) == sent


@pytest.mark.parametrize(
    ("rules", "is_touched"),
    [
        ({"drop": ("stream_options.include_usage",)}, True),
        ({"defaults": {"stream_options.include_usage": True}}, True),
        ({"overrides": {"m*": {"stream_options.x": True}}}, True),
        ({"overrides": {"o3*": {"stream_options.x": True}}}, False),
        ({"overrides": {"reasoning.effort": "low"}}, False),
    ],
)
def test_a_rule_for_a_member_is_one_about_its_object(rules: dict[str, Any], is_touched: bool) -> None:
    some = ParameterRules.of(rules.get("defaults", {}), rules.get("drop", ()), rules.get("overrides", {}))

    assert some.touches("stream_options", {"model": "m"}) is is_touched


@pytest.mark.parametrize(
    "rules",
    [
        {"messages.x": 1},
        {"gpt-*": {"input.text": 1}},
        {"Model.name": 1},
        {"reasoning.": 1},
        {".effort": 1},
        {"a..b": 1},
        {"tools.0.name": "x"},
        {"gpt-4.1": 5},
    ],
)
def test_a_rule_for_no_member_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be set|is no parameter"):
        parse_json_rules(rules)


@pytest.mark.parametrize("entry", ["messages.0", "messages.x", "gpt-4*:input.x", "model.x", "a..b", "m:.x"])
def test_a_drop_of_no_member_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be dropped|is no parameter"):
        parse_drop_rules([entry])


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("o3", {"temperature": 1}, True),
        ("sonar", {"temperature": 1}, True),
        ("grok", {"reasoning.effort": "low"}, True),
        ("smart", {"max_tokens": 5, "top_p": 1}, True),
        ("gpt-4.1", {"temperature": 1}, True),
        ("qwen2.5", {}, True),
        ("reasoning", {"effort": "low"}, False),
        ("options", {"temperature": 1}, False),  # Ollama's
        ("metadata", {"user": "me"}, False),
        ("response_format.json_schema", {"name": "x"}, False),
        ("provider", {"order": ["x"]}, False),
        ("vendor_options", {"beam": 2}, False),
        ("sonar", {}, False),
    ],
)
def test_a_model_by_its_plain_name_is_told_from_a_parameter(name: str, value: dict[str, Any], expected: bool) -> None:
    assert is_model_pattern(name, value) is expected


@pytest.mark.parametrize("name", ["sonar", "grok", "codestral"])
def test_a_rule_under_a_models_name_is_sent_to_no_other_model(name: str) -> None:
    rules = {name: {"temperature": 0}}

    assert applied(b'{"model":"other"}', defaults=rules) == b'{"model":"other"}'
    assert applied(b'{"model":"%b"}' % name.encode(), defaults=rules).endswith(b',"temperature":0}')


NAMES = ("openai", "groq", "open-router")


@pytest.mark.parametrize(
    ("pattern", "upstream", "model", "holds"),
    [
        ("groq/*", "groq", "llama", True),
        ("groq/*", "groq", "", True),
        ("groq/*", "openai", "llama", False),
        ("groq/*", "openai", "groq/llama", False),  # a model of that name, at another one
        ("GROQ/llama-*", "groq", "Llama-3", True),
        ("groq/llama-*", "groq", "qwen", False),
        ("groq/llama", "groq", "llama", True),
        ("open-router/openai/*", "open-router", "openai/gpt-5", True),
        ("open-router/openai/*", "open-router", "google/gemini", False),
        ("openai/*", "open-router", "openai/gpt-5", False),
        ("meta/*", "open-router", "meta/llama", True),
        ("*/llama", "open-router", "meta/llama", True),
    ],
)
def test_rules_may_be_limited_to_an_upstream(pattern: str, upstream: str, model: str, holds: bool) -> None:
    fields = {"model": model, "top_p": 1} if model else {"top_p": 1}
    limited = {pattern: {"seed": 1}}

    for some in (ParameterRules.of(limited, (), {}), ParameterRules.of({}, (), limited)):
        assert ("seed" in some.for_upstream(upstream, NAMES).changes(fields)) is holds
    some = ParameterRules.of({}, (f"{pattern}:top_p",), {})
    assert ("top_p" in some.for_upstream(upstream, NAMES).changes(fields)) is holds


def test_a_rule_for_an_upstream_wins_over_the_general_one() -> None:
    some = ParameterRules.of({"temperature": 0, "groq/*": {"temperature": 1}}, (), {})

    assert some.for_upstream("groq", NAMES).changes({}) == {"temperature": 1}
    assert some.for_upstream("openai", NAMES).changes({}) == {"temperature": 0}
