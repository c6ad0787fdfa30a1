"""A new key is tried before it replaces one that works, against a real upstream."""

import io

import click
import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.scripted_upstream import Json
from fakes.shared_upstream import Fresh
from proxy.cli.new_key import keep_tried
from proxy.errors.keyring import UnusableKey
from proxy.services import Services, assemble

OLD, NEW = "the-old-key-of-the-upstream", "the-new-key-of-the-upstream"
MODELS = Json({"object": "list", "data": []})
REFUSED = Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, status=401)


def services(upstream: Fresh) -> Services:
    made = assemble({"openai_base_url": upstream.base_url}, keychain=lambda: keychain)
    keychain = MemoryKeychain()
    made.secrets.keep(OLD)
    return made


def keep(parts: Services, text: str = NEW, *, yes: bool = False, may_ask: bool = False) -> None:
    keep_tried(parts.secrets, parts.try_key, text, may_ask=may_ask, yes=yes)


def test_a_key_that_works_is_kept(upstream: Fresh, capsys: pytest.CaptureFixture[str]) -> None:
    upstream.answer(MODELS)
    parts = services(upstream)

    keep(parts, f" '{NEW}'\n")

    assert parts.secrets.state.key == NEW
    assert upstream.requests[0].header("authorization") == f"Bearer {NEW}"
    assert "accepts the key" in capsys.readouterr().out


@pytest.mark.parametrize(("yes", "kept"), [(False, OLD), (True, NEW)])
def test_one_that_does_not_replaces_one_that_does_only_where_that_is_wanted(
    upstream: Fresh, yes: bool, kept: str
) -> None:
    upstream.answers([REFUSED, MODELS])
    parts = services(upstream)

    if yes:
        keep(parts, yes=True)
    else:
        with pytest.raises(UnusableKey, match="--yes"):
            keep(parts)

    assert parts.secrets.load().key == kept


def test_a_user_at_a_terminal_is_asked(upstream: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream.answers([REFUSED, MODELS])
    parts = services(upstream)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    with pytest.raises(click.Abort):
        keep(parts, may_ask=True)

    assert parts.secrets.load().key == OLD


@pytest.mark.parametrize("status", [401, 404, 500])
def test_an_old_key_that_does_not_work_either_is_replaced(upstream: Fresh, status: int) -> None:
    said = Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, status=status)
    upstream.answer(said)
    parts = services(upstream)

    keep(parts)

    assert parts.secrets.state.key == NEW


@pytest.mark.parametrize("text", ["", " ", "two words", "sch\u00f6n"])
def test_what_cannot_be_a_key_is_not_tried(upstream: Fresh, text: str) -> None:
    with pytest.raises(UnusableKey):
        keep(services(upstream), text)

    assert upstream.requests == []
