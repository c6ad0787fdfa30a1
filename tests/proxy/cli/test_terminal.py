"""What is printed can be read anywhere, steers nothing and shows no key."""

import sys
from pathlib import Path

import pytest

from fakes.program import run_python
from proxy.cli.terminal import say, show


def test_what_is_printed_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show("a\x1b[31m\u202e\nb")

    assert capsys.readouterr().out == "a\\x1b[31m\u202e\nb\n"


def test_what_is_said_holds_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    say("it quotes sk-proj-abcdefghijklmnop-1234", err=True)

    assert capsys.readouterr().err == "it quotes sk-pr[key]\n"


def test_without_a_terminal_nothing_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    show("nobody reads this")


@pytest.mark.parametrize(("encoding", "told"), [("cp1252", "Grüße \\u65e5"), ("utf-8", "Grüße 日")])
def test_letters_that_the_output_does_not_have_are_written_out(empty_computer: Path, encoding: str, told: str) -> None:
    ended = run_python(
        empty_computer,
        *("-X", "utf8=0", "-m", "proxy", "config"),
        OPENAI_ORGANIZATION="Grüße 日",
        PYTHONIOENCODING=encoding,
        LC_ALL="C.UTF-8",
        output=encoding,
    )

    assert ended.returncode == 0, ended.stderr
    assert told in ended.stdout
