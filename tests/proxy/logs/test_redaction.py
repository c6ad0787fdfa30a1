"""What is a key, or looks like one, is in no text."""

import logging
import sys

import pytest

from fakes.log_file import KEY
from proxy.logs.redaction import redact

log = logging.getLogger("proxy.test")
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("nothing to hide", "nothing to hide"),
        ("the key plain-stored-key.", "the key [key]."),
        ("plain-stored-key and plain-stored-key", "[key] and [key]"),
        ("xplain-stored-keyx", "x[key]x"),
        (f"the key {KEY} is wrong", "the key sk-pr[key] is wrong"),
        ("sk-abcdefgh", "sk-ab[key]"),
        ("SK-ABCDEFGH", "SK-AB[key]"),
        ("'sk-abcdefgh'", "'sk-ab[key]'"),
        ("key=sk-svcacct-A_b-C", "key=sk-sv[key]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [key]"),
        ("{'authorization': 'bearer abc'}", "{'authorization': 'bearer [key]'}"),
        ('"Bearer   abc", "x"', '"Bearer   [key]", "x"'),
        ("risk-assessment of a desk-chair", "risk-assessment of a desk-chair"),
        ("sk-short", "sk-short"),
        ("op-" + "a" * 43, "op-[key]"),
        ("op-eration", "op-eration"),
        ("forbearers are no Bearers", "forbearers are no Bearers"),
    ],
)
def test_what_is_a_key_or_looks_like_one_is_hidden(text: str, safe: str) -> None:
    assert redact(text, ["plain-stored-key", ""]) == safe


@pytest.mark.parametrize("secrets", [["alpha", "alpha-team-2"], ["alpha-team-2", "alpha"]])
def test_a_key_that_begins_like_another_is_hidden_whole(secrets: list[str]) -> None:
    assert "team-2" not in redact("the key alpha-team-2 was refused", secrets)


def test_a_word_that_servers_take_for_a_key_is_no_secret() -> None:
    assert redact("none of them", ["none", "n", ""]) == "none of them"


def test_without_secrets_only_shapes_are_hidden() -> None:
    assert redact(f"plain-stored-key {KEY}") == "plain-stored-key sk-pr[key]"
