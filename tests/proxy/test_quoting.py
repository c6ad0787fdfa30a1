"""Words quoted for the shells of Windows come out as they went in, whatever is in them."""

import pytest

from fakes.windows_shell import read_by_cmd, read_by_program
from proxy.quoting import for_cmd, for_powershell

WORDS = [
    "plain",
    "",
    'with "quotes" and spaces',
    '{"a": "b & c | d > e"}',
    "%PATH% !x! ^ (y) 100%",
    'back\\slash \\" and \\\\" and at the end \\',
    "& calc.exe",
    '" & calc.exe & "',
    "it's `x` $(calc) $env:PATH",
    "\u2018curly\u2019 \u201alow\u201b",
    "'; calc; '",
    "two\nlines",
]


@pytest.mark.parametrize("word", WORDS)
def test_cmd_hands_on_what_was_meant(word: str) -> None:
    assert read_by_program(read_by_cmd(for_cmd(word))) == word


@pytest.mark.parametrize("word", WORDS)
def test_powershell_reads_one_text_with_nothing_replaced(word: str) -> None:
    quoted = for_powershell(word)
    inner = quoted[1:-1]
    for quote in "'\u2018\u2019\u201a\u201b":
        assert inner.count(quote) == 2 * word.count(quote)
        inner = inner.replace(quote * 2, quote)

    assert (quoted[0], quoted[-1], inner) == ("'", "'", word)
