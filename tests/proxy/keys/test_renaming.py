"""An upstream gets another name: what names it follows, and its key, which is shown to nobody else."""

from pathlib import Path
from typing import Any

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy.errors.configuration import SettingError
from proxy.errors.keyring import KeyringFailure
from proxy.keys.renaming import rename
from proxy.services import Services, assemble

KEY = "key-of-groq"
ORIGIN = "https://groq.example"
FILE = """
proxy_upstream = "groq"
proxy_aliases = {fast = "groq/llama", smart = ["openai/gpt", "groq/big", "groqs/x"], own = "fast"}
openai_param_drop = ["groq/*:seed", "groq:seed", "temperature"]
[[proxy_upstreams]]
name = "groq"
base_url = "https://groq.example/v1"
models = ["llama-*", "groq/x"]
[[proxy_upstreams]]
name = "near"
base_url = "http://127.0.0.1:9/v1"
fallback = ["openai", "groq"]
[[proxy_upstreams]]
name = "groqs"
base_url = "https://groqs.example/v1"
[openai_param_defaults."GROQ/*"]
seed = 1
[openai_param_overrides."groq/llama"]
seed = 2
[openai_param_overrides."groqs/*"]
seed = 3
"""


@pytest.fixture
def keychain() -> MemoryKeychain:
    kept = MemoryKeychain()
    kept.kept[f"upstream groq {ORIGIN}"] = KEY
    return kept


def program(folder: Path, keychain: MemoryKeychain, text: str = FILE, **fixed: Any) -> Services:
    file = folder / "settings.toml"
    file.write_text(text)
    return assemble({"proxy_port": 0, **fixed}, file, lambda: keychain)


def renamed(services: Services, old: str = "groq", new: str = "fast-one") -> str:
    return rename(services.store, services.upstream_keys, old, new)


def test_what_names_it_follows_and_nothing_else_changes(tmp_path: Path, keychain: MemoryKeychain) -> None:
    services = program(tmp_path, keychain)
    before = services.store.current
    assert "groq is named fast-one now" in renamed(services)
    now = services.store.current
    assert [row.name for row in now.upstreams] == ["openai", "fast-one", "near", "groqs"]
    assert now.chosen_upstream.name == "fast-one"
    assert now.upstreams[2].fallback == ("openai", "fast-one")
    assert now.proxy_aliases == {
        "fast": ("fast-one/llama",),
        "smart": ("openai/gpt", "fast-one/big", "groqs/x"),
        "own": ("fast",),
    }
    assert now.openai_param_drop == ("fast-one/*:seed", "groq:seed", "temperature")
    assert now.openai_param_defaults == {"fast-one/*": {"seed": 1}}
    assert now.openai_param_overrides == {"fast-one/llama": {"seed": 2}, "groqs/*": {"seed": 3}}
    assert now.upstreams[1].models == before.upstreams[1].models
    assert now.upstreams[3] == before.upstreams[3]


def test_its_key_goes_with_it(tmp_path: Path, keychain: MemoryKeychain) -> None:
    services = program(tmp_path, keychain)
    assert "Its key goes with it." in renamed(services)
    assert keychain.kept == {f"upstream fast-one {ORIGIN}": KEY}
    row = services.store.current.upstreams[1]
    assert services.upstream_keys.of(row).state.key == KEY
    moved = row.model_copy(update={"base_url": "https://elsewhere.example/v1"})
    assert services.upstream_keys.of(moved).load().key is None


def test_another_case_of_its_name_keeps_the_key(tmp_path: Path, keychain: MemoryKeychain) -> None:
    services = program(tmp_path, keychain)
    renamed(services, new="Groq")
    assert keychain.kept[f"upstream Groq {ORIGIN}"] == KEY
    assert services.store.current.upstream_named("Groq") is not None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("groq", "near", "'near' already"),
        ("groq", "openai", "'openai' already"),
        ("groq", "NEAR", "'near' already"),
        ("groq", "groq", "'groq' already"),
        ("groq", "a/b", "is no name"),
        ("groq", "", "is no name"),
        ("groq", "grüße", "is no name"),
        ("groq", "x" * 65, "is no name"),
        ("nobody", "x", "no upstream 'nobody'"),
        ("openai", "x", "named after its address"),
    ],
)
def test_a_wrong_name_is_refused_and_nothing_changes(
    tmp_path: Path, keychain: MemoryKeychain, old: str, new: str, words: str
) -> None:
    services = program(tmp_path, keychain)
    with pytest.raises(SettingError, match=words):
        renamed(services, old, new)
    assert services.store.path.read_text() == FILE
    assert keychain.kept == {f"upstream groq {ORIGIN}": KEY}


def test_rules_that_stand_under_the_new_name_are_not_lost(tmp_path: Path, keychain: MemoryKeychain) -> None:
    text = FILE.replace('"groqs/*"', '"meta/llama"')
    services = program(tmp_path, keychain, text)
    with pytest.raises(SettingError, match="rules for meta/llama already"):
        renamed(services, new="meta")
    assert services.store.path.read_text() == text


@pytest.mark.parametrize("field", ["proxy_aliases", "proxy_upstream", "openai_param_drop"])
def test_what_the_command_line_fixes_is_not_left_behind(tmp_path: Path, keychain: MemoryKeychain, field: str) -> None:
    fixed = {"proxy_aliases": {"a": "groq/x"}, "proxy_upstream": "groq", "openai_param_drop": ["groq/*:seed"]}[field]
    services = program(tmp_path, keychain, **{field: fixed})
    with pytest.raises(SettingError, match="fixed by the command line"):
        renamed(services)
    assert services.store.path.read_text() == FILE
    assert keychain.kept == {f"upstream groq {ORIGIN}": KEY}


def test_a_key_of_the_environment_is_told(
    tmp_path: Path, keychain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    keychain.kept.clear()
    monkeypatch.setenv("OPENAI_API_KEY_GROQ", KEY)
    told = renamed(program(tmp_path, keychain))
    assert "Its key comes from OPENAI_API_KEY_GROQ: call that variable OPENAI_API_KEY_FAST_ONE." in told
    assert keychain.kept == {}


def test_a_stored_key_beside_one_of_the_environment_is_moved_too(
    tmp_path: Path, keychain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_GROQ", "key-of-the-environment")
    assert "call that variable OPENAI_API_KEY_FAST_ONE" in renamed(program(tmp_path, keychain))
    assert keychain.kept == {f"upstream fast-one {ORIGIN}": KEY}


def test_the_same_key_under_both_variables_may_stay(
    tmp_path: Path, keychain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    keychain.kept.clear()
    for name in ("GROQ", "FAST_ONE"):
        monkeypatch.setenv(f"OPENAI_API_KEY_{name}", KEY)
    services = program(tmp_path, keychain)
    renamed(services)
    assert services.upstream_keys.of(services.store.current.upstreams[1]).state.key == KEY


def test_a_key_that_is_there_for_another_is_not_shown_to_it(
    tmp_path: Path, keychain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_FAST_ONE", "key-of-another-provider")
    services = program(tmp_path, keychain)
    with pytest.raises(SettingError, match=r"OPENAI_API_KEY_FAST_ONE would be shown to https://groq.example"):
        renamed(services)
    assert services.store.path.read_text() == FILE


class Stubborn(MemoryKeychain):
    """A keyring that fails as a test wants."""

    fails = ""

    def read(self, name: str) -> str | None:
        if self.fails == "read":
            raise KeyringFailure("it does not answer")
        return super().read(name)

    def write(self, name: str, secret: str) -> None:
        if self.fails == "write":
            raise KeyringFailure("it is full")
        super().write(name, secret)

    def delete(self, name: str) -> None:
        if self.fails == "delete":
            raise KeyringFailure("it is read-only")
        super().delete(name)


@pytest.mark.parametrize("fails", ["read", "write"])
def test_a_key_that_cannot_be_moved_keeps_the_name(tmp_path: Path, fails: str) -> None:
    kept = Stubborn()
    kept.kept[f"upstream groq {ORIGIN}"] = KEY
    kept.fails = fails
    services = program(tmp_path, kept)
    with pytest.raises(KeyringFailure):
        renamed(services)
    assert services.store.path.read_text() == FILE
    assert kept.kept == {f"upstream groq {ORIGIN}": KEY}


def test_a_key_that_stays_under_the_old_name_too_is_told(tmp_path: Path) -> None:
    kept = Stubborn()
    kept.kept[f"upstream groq {ORIGIN}"] = KEY
    services = program(tmp_path, kept)
    kept.fails = "delete"
    assert "also in the keyring under the old name" in renamed(services)
    assert kept.kept[f"upstream fast-one {ORIGIN}"] == KEY


def test_without_a_key_there_is_none_to_move(tmp_path: Path, keychain: MemoryKeychain) -> None:
    keychain.kept.clear()
    assert "key" not in renamed(program(tmp_path, keychain))
    assert keychain.kept == {}
