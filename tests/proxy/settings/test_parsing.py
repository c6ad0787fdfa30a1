"""The forms settings are written in: URLs, origins, lists, rules."""

import math

import pytest

from proxy.settings.parameters import is_model_pattern, parse_drop_rules, parse_json_rules
from proxy.settings.parsing import (
    fold_name,
    is_loopback,
    parse_level,
    parse_origin,
    parse_upstream_url,
    split_commas,
    stays_on_this_computer,
)


@pytest.mark.parametrize(
    ("typed", "base_url"),
    [
        # /v1 is appended where no version stands
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("https://api.openai.com/", "https://api.openai.com/v1"),
        ("https://api.openai.com///", "https://api.openai.com/v1"),
        ("https://gateway.example/openai", "https://gateway.example/openai/v1"),
        ("http://127.0.0.1:1234", "http://127.0.0.1:1234/v1"),
        ("https://[::1]:8443/", "https://[::1]:8443/v1"),
        # never twice
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/v1/v1/", "https://api.openai.com/v1"),
        ("https://gateway.example//openai//v1//", "https://gateway.example/openai/v1"),
        # whole endpoints that were pasted
        ("https://api.openai.com/v1/chat/completions", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/chat/completions/", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/completions", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/embeddings", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/responses", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/models", "https://api.openai.com/v1"),
        ("https://api.openai.com/chat/completions", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/rerank", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/Chat/Completions", "https://api.openai.com/v1"),
        ("https://gateway.example/openai/v1/models", "https://gateway.example/openai/v1"),
        ("https://gateway.example/api/v1/audio/speech", "https://gateway.example/api/v1"),
        ("https://gateway.example/v1/models/chat/completions", "https://gateway.example/v1"),
        ("https://gateway.example/V1", "https://gateway.example/v1"),
        ("https://gateway.example/V1/", "https://gateway.example/v1"),
        # without a version the endpoint is believed, which some upstreams serve there
        ("https://gateway.example/inference/chat/completions", "https://gateway.example/inference"),
        ("https://gateway.example/chat/completions", "https://gateway.example"),
        ("https://gateway.example/models/chat/completions", "https://gateway.example/models"),
        ("https://gateway.example/api/embeddings/", "https://gateway.example/api"),
        # and so is who says that it is whole
        ("https://gateway.example/inference#", "https://gateway.example/inference"),
        ("https://gateway.example/models/#", "https://gateway.example/models"),
        ("https://gateway.example#", "https://gateway.example"),
        # which a list of models does not
        ("https://gateway.example/models", "https://gateway.example/v1"),
        ("https://gateway.example/inference/", "https://gateway.example/inference/v1"),
        ("https://gateway.example/v1beta/openai/chat/completions", "https://gateway.example/v1beta/openai"),
        # other versions are kept
        ("https://gateway.example/v2", "https://gateway.example/v2"),
        ("https://gateway.example/api/v3/", "https://gateway.example/api/v3"),
        ("https://gateway.example/v1beta/openai/", "https://gateway.example/v1beta/openai"),
        ("https://gateway.example/v1/account/openai", "https://gateway.example/v1/account/openai"),
        # a word that only begins like a version is none
        ("https://gateway.example/video", "https://gateway.example/video/v1"),
        ("https://gateway.example/very1", "https://gateway.example/very1/v1"),
        # white space and letter case
        ("  https://api.openai.com/v1 \n", "https://api.openai.com/v1"),
        ("HTTPS://API.OpenAI.com/v1", "https://api.openai.com/v1"),
        ("https://gateway.example/Team-A/v1", "https://gateway.example/Team-A/v1"),
    ],
)
def test_a_base_url_is_brought_into_its_one_form(typed: str, base_url: str) -> None:
    assert parse_upstream_url(typed) == base_url


def test_an_endpoint_that_was_pasted_and_then_appended_again_is_taken_off_whole() -> None:
    assert parse_upstream_url("https://api.openai.com/v1/chat/completions/chat/completions") == (
        "https://api.openai.com/v1"
    )


@pytest.mark.parametrize(
    "typed",
    [
        "https://api.openai.com",
        "https://gateway.example/v2/models",
        "http://localhost:11434/v1/v1",
        "https://gateway.example/v1beta/openai/",
    ],
)
def test_the_one_form_of_a_base_url_stays_as_it_is(typed: str) -> None:
    once = parse_upstream_url(typed)

    assert parse_upstream_url(once) == once


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "api.openai.com",
        "api.openai.com/v1",
        "ftp://api.openai.com",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///v1",
        "https://:8080/v1",
        "https://user:password@gateway.example/v1",
        "https://user@gateway.example/v1",
        "https://@gateway.example/v1",
        "https://gateway.example/v1?api-version=1",
        "https://gateway.example/v1#part",
        "https://gateway.example:port/v1",
        "https://gateway.example:99999/v1",
        "https://[::1/v1",
    ],
)
def test_what_is_no_base_url_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        parse_upstream_url(typed)


@pytest.mark.parametrize("typed", ["https://api openai.com", "https://api.openai.com\\v1", "https://a\x00b.example"])
def test_a_host_with_a_character_no_host_has_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        parse_upstream_url(typed)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost", "127.0.0.1", "127.1.2.3", "::1", "[::1]", "0:0:0:0:0:0:0:1", "::ffff:127.0.0.1"],
)
def test_this_computers_own_names_are_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "0.0.0.0",
        "::",
        "192.168.1.5",
        "10.0.0.1",
        "128.0.0.1",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example",
        "mylocalhost",
        "2130706433",
        "::ffff:8.8.8.8",
        "::ffff:0.0.0.0",
        "localhost.",
        "app.localhost",
        "127.1",
        "0127.0.0.1",
    ],
)
def test_no_other_name_is_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "app.localhost", "App.LocalHost."),
        *("127.0.0.1", "127.255.255.254", "127.0.0.1.", "[::1]", "::1", "::1%lo", "0:0:0:0:0:0:0:1"),
        *("::ffff:127.0.0.1", "::FFFF:7f00:1", "0.0.0.0", "[::]", "::ffff:0.0.0.0"),
        *("127.1", "127.0.1", "2130706433", "0x7f000001", "0X7F.1", "0177.0.0.1", "017700000001", "0"),
    ],
)
def test_a_connection_to_these_stays_on_this_computer(host: str) -> None:
    assert stays_on_this_computer(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "localhost.evil.example", "127.0.0.1.evil.example", "evil-localhost", "localhost..", "mylocalhost"),
        *("api.openai.com", "8.8.8.8", "128.0.0.1", "10.0.0.1", "192.168.1.5", "169.254.0.1", "::2", "fe80::1"),
        *(
            "::ffff:8.8.8.8",
            "134744072",
            "0x08080808",
            "8.1",
            "0127.0.0.1",
            "127.0.0.1 x",
            "127.0.0.256",
            "127.0.0.1:80",
        ),
        *("beef", "face.fade", "x", "127.0.0.1/8", "user@127.0.0.1"),
    ],
)
def test_a_connection_to_any_other_host_may_leave_it(host: str) -> None:
    assert not stays_on_this_computer(host)


@pytest.mark.parametrize("host", ["localhost", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_what_is_loopback_stays_on_this_computer(host: str) -> None:
    assert is_loopback(host)
    assert stays_on_this_computer(host)


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("", ()),
        (" , ,", ()),
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        (" a , b c ,, d ", ("a", "b c", "d")),
        (["a", "b"], ["a", "b"]),
        (5, 5),
    ],
)
def test_a_list_is_separated_by_commas(typed: object, parts: object) -> None:
    assert split_commas(typed) == parts


@pytest.mark.parametrize(
    ("typed", "level"), [("debug", "DEBUG"), (" Info ", "INFO"), ("warn", "WARNING"), ("WARNING", "WARNING"), (5, 5)]
)
def test_a_log_level_is_read_in_any_letter_case(typed: object, level: object) -> None:
    assert parse_level(typed) == level


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("https://app.example", "https://app.example"),
        (" https://App.Example/ ", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("https://app.example:80", "https://app.example:80"),
        ("http://app.example:8080", "http://app.example:8080"),
        ("http://app.example:8443", "http://app.example:8443"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
        ("app://obsidian.md", "app://obsidian.md"),
        ("tauri://localhost", "tauri://localhost"),
        ("chrome-extension://abcdefghijklmnop", "chrome-extension://abcdefghijklmnop"),
        (
            "moz-extension://00000000-0000-4000-8000-000000000000",
            "moz-extension://00000000-0000-4000-8000-000000000000",
        ),
    ],
)
def test_an_origin_is_held_as_browsers_send_it(typed: str, origin: str) -> None:
    assert parse_origin(typed) == origin


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "null",
        "*",
        "file://",
        "file:///home",
        "FILE://host",
        "app.example",
        "https://",
        "https://*.example",
        "https://*",
        "https://app.example/path",
        "https://app.example?query",
        "https://app.example#part",
        "https://user@app.example",
        "https://a.example https://b.example",
        "http:/app.example",
    ],
)
def test_what_is_no_exact_origin_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="not one exact origin"):
        parse_origin(typed)


@pytest.mark.parametrize("typed", ["://app.example", "ht tp://app.example", "<b>://app.example", "1://app.example"])
def test_an_origin_without_a_proper_scheme_is_refused(typed: str) -> None:
    with pytest.raises(ValueError, match="not one exact origin"):
        parse_origin(typed)


@pytest.mark.parametrize(
    ("typed", "rules"),
    [
        ("{}", {}),
        ('{"temperature": 0.5}', {"temperature": 0.5}),
        ('{"model": "gpt-5"}', {"model": "gpt-5"}),
        ('{"metadata": {"messages": "as a value"}}', {"metadata": {"messages": "as a value"}}),
        ('{"gpt-*": {"temperature": 1}}', {"gpt-*": {"temperature": 1}}),
        ({"top_p": 1}, {"top_p": 1}),
    ],
)
def test_parameter_rules_are_a_json_object_or_a_table(typed: object, rules: object) -> None:
    assert parse_json_rules(typed) == rules


@pytest.mark.parametrize("typed", ["", "{", "temperature=1", "[]", "1", "null", '"text"', '{"a": 1} x', 5, ["a"], None])
def test_rules_that_are_no_object_are_refused(typed: object) -> None:
    with pytest.raises(ValueError, match="JSON"):
        parse_json_rules(typed)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_rule_cannot_hold_a_number_that_json_has_not(number: str) -> None:
    with pytest.raises(ValueError):
        parse_json_rules(f'{{"temperature": {number}}}')


def test_a_rule_from_the_file_cannot_hold_a_number_that_json_has_not() -> None:
    with pytest.raises(ValueError):
        parse_json_rules({"temperature": math.nan})


@pytest.mark.parametrize(
    "typed",
    [
        *('{"messages": []}', '{"input": "x"}', '{"temperature": 1, "input": null}', '{"gpt-*": {"messages": []}}'),
        *('{"Messages": []}', '{"me\\u017f\\u017fages": []}', '{"gpt-*": {"INPUT": "x"}}'),
    ],
)
def test_no_rule_may_set_the_conversation_itself(typed: str) -> None:
    with pytest.raises(ValueError, match="the conversation itself"):
        parse_json_rules(typed)


@pytest.mark.parametrize(
    ("typed", "entries"),
    [
        ("", ()),
        ("temperature", ("temperature",)),
        ("temperature, gpt-5*:top_p", ("temperature", "gpt-5*:top_p")),
        (["temperature", "llama3:8b:top_p"], ["temperature", "llama3:8b:top_p"]),
    ],
)
def test_parameters_to_drop_are_names_and_limited_names(typed: object, entries: object) -> None:
    assert parse_drop_rules(typed) == entries


@pytest.mark.parametrize(
    "typed",
    [
        *("messages", "input", "model", "temperature, gpt-*:messages", ["gpt-*:model"]),
        *("Messages", "me\u017f\u017fages", "MODEL", "gpt-*:Input"),
    ],
)
def test_what_no_request_works_without_cannot_be_dropped(typed: object) -> None:
    with pytest.raises(ValueError, match="cannot be dropped"):
        parse_drop_rules(typed)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("gpt-*", {}, True),
        ("gpt-4o", {"temperature": 1}, True),
        ("*", {}, True),
        ("response_format", {"type": "json_object"}, False),  # a parameter whose value is an object
        ("o3", {"reasoning_effort": "low"}, True),
        ("gpt4o", {}, True),
        ("llama3", {"temperature": 1}, True),
        ("o3", 5, False),
        ("gpt-*", 5, False),
        ("temperature", 1, False),
    ],
)
def test_a_model_pattern_is_an_object_under_a_name_no_parameter_has(name: str, value: object, expected: bool) -> None:
    assert is_model_pattern(name, value) is expected


@pytest.mark.parametrize(
    ("name", "spellings"),
    [
        ("stream", ["STREAM", "Stream", "\u017ftream", "stream\0", "stream\0x"]),
        ("top_k", ["TOP_K", "topK", "top_\u212a", "topk"]),
        ("logit_bias", ["LOGIT_BIAS", "log\u0131t_b\u0131as", "LOG\u0130T_B\u0130AS", "logitBias", "LogitBias"]),
        ("\u00fc", ["\u00dc"]),
        ("_a", ["_A"]),
        ("__", ["__", "__\0"]),
        ("", ["\0model"]),
    ],
)
def test_all_spellings_of_a_name_fold_to_one(name: str, spellings: list[str]) -> None:
    assert {fold_name(spelling) for spelling in spellings} == {fold_name(name)}


def test_other_names_fold_to_others() -> None:
    names = ["a", "_a", "a_", "__a", " a", "a ", "aa", "a.b", "a-b", "a_b", "", "_", "\ufeffa", "\uff41", "\ud800a"]

    assert len({fold_name(name) for name in names}) == len(names)


def test_names_go_folds_are_folded_too() -> None:
    # Go folds two runes where either's simple case leads to the other: letters whose upper or lower case is one letter.
    letters = map(chr, range(0x110000))
    pairs = [(one, other) for one in letters for other in {one.lower(), one.upper()} - {one} if len(other) == 1]
    dotless = {"\u0131", "\u0130"}  # Go takes neither for an i; here they are

    assert len(pairs) > 2_000
    assert [pair for pair in pairs if not dotless & {*pair} and fold_name(pair[0]) != fold_name(pair[1])] == []
