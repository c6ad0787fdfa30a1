"""The filter language of the list of requests."""

import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.capture.filters import COMPARE, NAMES, NUMBERS, WORDS, WrongFilter, parse

ROW: dict[str, Any] = {
    "id": "proxy-1-1",
    "client": "zed/1.0",
    "model_asked": "fast",
    "model_sent": "gpt-5-mini",
    "upstream": "groq",
    "endpoint": "/chat/completions",
    "method": "POST",
    "status": 200,
    "outcome": "cut",
    "outcome_words": "cut by the upstream",
    "error": "It broke off [here]",
    "key": None,
    "input_tokens": 50_000,
    "output_tokens": 500,
    "cached_tokens": 0,
    "cost_usd": None,
    "duration_s": 2.5,
    "bytes_up": 10,
    "bytes_down": 20,
}
TEXT = 'He said: "out of memory" \\ twice'


def fits(written: str) -> bool:
    return parse(written).fits(ROW, lambda: TEXT)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "   ",
        "status:cut",
        "STATUS:Cut",
        "status:200",
        "status:2??",
        "status>=200",
        "model:gpt-5*",
        "model:fast model:gpt-5-mini",
        "client:zed",
        "upstream:GROQ",
        "tokens>50000",
        "tokens>50k tokens<0.1M",
        "tokens=50500",
        "tokens:50500",
        "duration>=2.5",
        "bytes=30",
        'text:"out of memory"',
        'text:"\\"out"',
        'text:"\\\\ twice"',
        "-client:aider",
        "-cost>0",  # what is unknown is not more
        "gpt",
        "-nothing",
        'error:"broke off [here]"',
        "error:*[here]",
        "status:cut  model:gpt-5*\tclient:zed upstream:groq tokens>50000 text:memory",
    ],
)
def test_a_row_fits(written: str) -> None:
    assert fits(written)


@pytest.mark.parametrize(
    "written",
    [
        "status:whole",
        "model:gpt-4*",
        "model:gpt-?",
        "tokens>51k",
        "cost>0",
        "cost<1",
        "key:work",
        "-status:cut",
        "status:cut client:aider",
        'text:"out of luck"',
        "error:[x]",
    ],
)
def test_a_row_does_not_fit(written: str) -> None:
    assert not fits(written)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("stauts:cut", "there is no 'stauts'; there are "),
        ("tokens>many", "'many' is no number"),
        ("model>5", "model is compared with a colon"),
        ("text>5", "text is compared with a colon"),
        ("status:", "there is nothing after status:"),
        ('text:"open', "is a quote missing?"),
        ('model:a"b', "is a quote missing?"),
        ("tokens>1e5", "'1e5' is no number"),
        ("a " * 51, "more than 50 terms"),
        ("a" * 2001, "longer than 2,000 characters"),
    ],
)
def test_a_wrong_filter_is_said_in_words(written: str, said: str) -> None:
    with pytest.raises(WrongFilter, match=re.escape(said)):
        parse(written)


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_in_words(written: str) -> None:
    with suppress(WrongFilter):
        assert fits(written) in (True, False)


@given(st.text(alphabet=st.sampled_from('az:<>=-"\\* \n0.9kM'), max_size=60))
@settings(max_examples=300)
def test_any_run_of_its_own_signs_is_read_or_refused(written: str) -> None:
    with suppress(WrongFilter):
        assert fits(written) in (True, False)


@given(st.text(min_size=1, max_size=60).filter(lambda text: not {"*", "?"} & set(text)), st.text(), st.text())
def test_a_quoted_value_is_found_wherever_it_stands(value: str, before: str, after: str) -> None:
    row = {**ROW, "client": before + value + after}

    assert parse(f"client:{quoted(value)}").fits(row, str)
    assert not parse(f"-client:{quoted(value)}").fits(row, str)
    assert parse(f"text:{quoted(value)}").fits(ROW, lambda: before + value + after)


@given(st.sampled_from(sorted(NUMBERS)), st.sampled_from(sorted(COMPARE)), st.integers(0, 10**9), st.integers(0, 10**9))
def test_numbers_compare_as_numbers(name: str, sign: str, held: int, wanted: int) -> None:
    first, *others = NUMBERS[name]
    row = {first: held, **dict.fromkeys(others)}

    assert parse(f"{name}{sign}{wanted}").fits(row, str) is COMPARE[sign](held, wanted)


@given(
    st.lists(st.sampled_from(["status:cut", "client:zed", "model:nothing", "-upstream:groq", "tokens>1"]), max_size=8)
)
def test_all_terms_must_fit(terms: list[str]) -> None:
    assert fits(" ".join(terms)) is all(fits(term) for term in terms)


def test_every_name_can_be_used() -> None:
    for name in NAMES:
        parse(f"{name}:5")
    assert set(WORDS) | set(NUMBERS) | {"text"} == set(NAMES)
