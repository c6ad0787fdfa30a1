"""How many values a text holds is known before it is read."""

import json

import pytest

from proxy.http import json_values
from proxy.http.json_values import MAX_VALUES, SMALL_BYTES, holds_too_many

BIG = SMALL_BYTES // 2 + 2


@pytest.mark.parametrize("unit", ["[]", "{}", "0 ", '""', "null", "[[]]", '{"a":1}', "[ ]", "\n[\t]"])
def test_many_small_values_are_too_many_whatever_they_are(unit: str) -> None:
    text = "[" + f"{unit}," * MAX_VALUES + unit + "]"

    assert holds_too_many(text.encode())
    assert not holds_too_many(text[: SMALL_BYTES // 2].encode())


@pytest.mark.parametrize(
    "text",
    [
        "[,{" * BIG,
        '\\"' * BIG + ",,,",
        "\\\\" * BIG,
        '","\\' * (BIG // 2),
        "é,[" * BIG,
    ],
)
def test_what_stands_in_a_string_is_no_value(text: str) -> None:
    body = json.dumps({"model": "m", "x": text, "y": [1, 2, 3]}).encode()

    assert len(body) > SMALL_BYTES
    assert not holds_too_many(body)


@pytest.mark.parametrize("before", ['{"a":"', '{"a":"\\\\', '{"a":"\\"', '{"a":"x\\\\\\"'])
def test_a_string_hides_nothing_that_stands_behind_it(before: str) -> None:
    body = (before + "x" * SMALL_BYTES + '","b":[' + "0," * MAX_VALUES + "0]}").encode()

    json.loads(body)
    assert holds_too_many(body)


@pytest.mark.parametrize("rest", ['"', '"' * 10, ',"'])
def test_a_text_that_breaks_off_comes_to_an_end(rest: str) -> None:
    assert holds_too_many(("," * (MAX_VALUES + 1) + " " * SMALL_BYTES + rest).encode())
    assert not holds_too_many(('"' + "," * (SMALL_BYTES + MAX_VALUES) + rest.strip('"')).encode())


def test_so_many_strings_that_counting_would_take_seconds_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "MAX_QUOTES", 1_000)
    text = "[" + ",,".join(['"a,"'] * 400_000) + "]"

    assert holds_too_many(text.encode())


@pytest.mark.parametrize("place", range(json_values.PIECE_BYTES - 4, json_values.PIECE_BYTES + 5))
@pytest.mark.parametrize("text", ['"', '\\"', "\\" * 3, '"' * 3, '\\\\"'])
def test_a_string_is_one_wherever_a_piece_of_it_ends(monkeypatch: pytest.MonkeyPatch, place: int, text: str) -> None:
    monkeypatch.setattr(json_values, "MAX_VALUES", 10)
    monkeypatch.setattr(json_values, "SMALL_BYTES", 0)
    inside = "," * (place - 8) + text + ",,"
    body = json.dumps({"a": inside, "b": [1, 2, 3]}).encode()

    assert not holds_too_many(body)
    assert holds_too_many(body[:-2] + b",0" * 10 + b"]}")
