"""The table of upstreams and the aliases: what is taken, what is refused, and how it is kept."""

import json
from pathlib import Path
from typing import Any

import pytest

from proxy.errors.configuration import SettingError
from proxy.settings.model import Settings, shown
from proxy.settings.store import SettingsStore

GROQ = {"name": "groq", "base_url": "https://api.groq.com/openai/v1"}
FILE = """\
proxy_upstream = "groq"

[[proxy_upstreams]]
name = "groq"
base_url = "https://api.groq.com/openai/v1"
models = ["llama-*"]
headers = {"X-Title" = "desk"}
context_length = {"llama-*" = 131072}

[proxy_aliases]
fast = "groq/llama-3"
smart = ["openai/gpt-5", "fast"]
"""


@pytest.fixture
def store(tmp_path: Path) -> SettingsStore:
    path = tmp_path / "settings.toml"
    path.write_text(FILE)
    return SettingsStore(path)


def test_the_file_is_read(store: SettingsStore) -> None:
    settings = store.current
    assert store.problem is None
    assert [upstream.name for upstream in settings.upstreams] == ["openai", "groq"]
    assert settings.chosen_upstream.base_url == "https://api.groq.com/openai/v1"
    assert settings.proxy_aliases == {"fast": ("groq/llama-3",), "smart": ("openai/gpt-5", "fast")}


def test_a_choice_leaves_the_rest_of_the_file_alone(store: SettingsStore) -> None:
    store.update(proxy_upstream="openai")
    assert store.path.read_text() == FILE.replace('proxy_upstream = "groq"', 'proxy_upstream = "openai"')


def test_a_row_can_be_added_and_is_read_back(store: SettingsStore) -> None:
    row = {"name": "local", "base_url": "http://127.0.0.1:11434", "auth": "none"}
    store.update(proxy_upstreams=lambda rows: [*rows, row])
    again = SettingsStore(store.path).current
    assert again == store.current
    assert again.upstreams[-1].base_url == "http://127.0.0.1:11434/v1"
    assert again.upstreams[1].headers == {"X-Title": "desk"}


def test_the_environment_sets_the_table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PROXY_UPSTREAMS", '[{"name": "b", "base_url": "https://b.example"}]')
    monkeypatch.setenv("PROXY_ALIASES", '{"x": "b/y"}')
    monkeypatch.setenv("PROXY_UPSTREAM", "b")
    settings = SettingsStore(tmp_path / "none.toml").current
    assert settings.chosen_upstream.name == "b"
    assert settings.proxy_aliases == {"x": ("b/y",)}


@pytest.mark.parametrize(
    ("base", "complete", "url", "query"),
    [
        ("https://x.example", False, "https://x.example/v1", {}),
        ("https://x.example/inference", True, "https://x.example/inference", {}),
        ("https://x.example/serving-endpoints/", True, "https://x.example/serving-endpoints", {}),
        ("https://x.example/models?api-version=1", True, "https://x.example/models", {"api-version": "1"}),
        ("https://x.example/api/chat/completions", True, "https://x.example/api", {}),
        ("https://x.example/v1/models", False, "https://x.example/v1", {}),
    ],
)
def test_a_base_url_is_brought_into_its_form(base: str, complete: bool, url: str, query: dict[str, str]) -> None:
    row = {"name": "x", "base_url": base, "complete_url": complete}
    upstream = Settings(proxy_upstreams=[row]).upstreams[1]  # type: ignore[list-item]
    assert (upstream.base_url, upstream.query) == (url, query)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"proxy_upstreams": [GROQ, GROQ]}, "two upstreams are named groq"),
        ({"proxy_upstreams": [GROQ, {**GROQ, "name": "GROQ"}]}, "two upstreams are named GROQ"),
        ({"proxy_upstreams": [{**GROQ, "name": "a-b"}, {**GROQ, "name": "a_b"}]}, "OPENAI_API_KEY_A_B"),
        ({"proxy_upstreams": [{**GROQ, "name": "openai"}]}, "use another name"),
        ({"proxy_upstreams": [{**GROQ, "name": "a/b"}]}, "'a/b' is no name"),
        ({"proxy_upstreams": [{**GROQ, "name": ""}]}, "is no name"),
        ({"proxy_upstreams": [{**GROQ, "base_url": "http://x.example/v1"}]}, "in the clear"),
        ({"proxy_upstreams": [{**GROQ, "base_url": "http://127.0.0.1:8000/v1"}]}, "call itself"),
        ({"proxy_upstreams": [{**GROQ, "base_url": "https://me:secret@x.example"}]}, "no user name"),
        ({"proxy_upstreams": [{**GROQ, "auth": "magic"}]}, "1, auth: "),
        ({"proxy_upstreams": [{**GROQ, "proxy_port": 9000}]}, "1, proxy_port: "),
        ({"proxy_upstreams": [{"name": "x"}]}, "1, base_url: "),
        ({"proxy_upstreams": [{**GROQ, "fallback": ["nobody"]}]}, "groq falls back to nobody"),
        ({"proxy_upstreams": [{**GROQ, "fallback": "groq"}]}, "groq falls back to itself"),
        ({"proxy_upstreams": [{**GROQ, "headers": {"Authorization": "Bearer abc"}}]}, "keep a key in a file"),
        ({"proxy_upstreams": [{**GROQ, "headers": {"Host": "x"}}]}, "the proxy's own"),
        ({"proxy_upstreams": [{**GROQ, "headers": {"X-A": "a\r\nX-B: b"}}]}, "no header that can be sent"),
        ({"proxy_upstreams": [{**GROQ, "query": {"api_key": "abc"}}]}, "keep a key in a file"),
        ({"proxy_upstreams": [{**GROQ, "timeout": 0}]}, "1, timeout: "),
        ({"proxy_upstreams": "no json"}, "not JSON"),
        ({"proxy_upstreams": {"name": "x"}}, "PROXY_UPSTREAMS"),
        ({"proxy_upstream": "nobody"}, "the upstreams are openai, groq"),
        ({"proxy_aliases": {"a": "b", "b": "c", "c": "a"}}, "in a circle"),
        ({"proxy_aliases": {"a": "a"}}, "in a circle"),
        ({"proxy_aliases": {"a": "nobody/x"}}, "nobody is no upstream"),
        ({"proxy_aliases": {"a/b": "x"}}, "'a/b' is no alias"),
        ({"proxy_aliases": {"a": []}}, "needs a model"),
        ({"proxy_aliases": {"a": [1]}}, "no model's name"),
    ],
)
def test_a_wrong_table_is_refused_with_its_reason(store: SettingsStore, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError) as caught:
        store.update(**changes)
    assert words in caught.value.detail
    assert "secret" not in caught.value.detail
    assert store.path.read_text() == FILE


@pytest.mark.parametrize(
    "row",
    [
        {"headers": {"Authorization": "Bearer my-own-key"}},
        {"headers": {"X-Api-Key": "my-own-key"}},
        {"query": {"api_key": "my-own-key"}},
        {"base_url": "https://x.example/v1?access_token=my-own-key"},
    ],
)
def test_a_key_in_the_wrong_place_is_not_repeated(store: SettingsStore, row: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="the upstream groq, row 1, ") as caught:
        store.update(proxy_upstreams=[{**GROQ, **row}])
    assert "my-own-key" not in str(caught.value)


def test_aliases_of_aliases_stand_for_no_endless_chain(store: SettingsStore) -> None:
    deep = {f"a{n}": [f"a{n + 1}"] * 16 for n in range(20)} | {"a20": ["x"]}
    with pytest.raises(SettingError, match="at most 64"):
        store.update(proxy_aliases=deep)
    store.update(proxy_aliases={"a": ["b"] * 8, "b": ["groq/x"] * 8})


WRONG = {
    "two of one name": ({"proxy_upstreams": [GROQ, GROQ]}, "PROXY_UPSTREAMS", "two upstreams are named groq"),
    "a slash": ({"proxy_upstreams": [{**GROQ, "name": "a/b"}]}, "PROXY_UPSTREAMS", "'a/b' is no name"),
    "http": ({"proxy_upstreams": [{**GROQ, "base_url": "http://x.example"}]}, "PROXY_UPSTREAMS", "in the clear"),
    "auth": ({"proxy_upstreams": [{**GROQ, "auth": "magic"}]}, "PROXY_UPSTREAMS", "auth"),
    "fallback": ({"proxy_upstreams": [{**GROQ, "fallback": ["x"]}]}, "PROXY_UPSTREAMS", "x, which is no upstream"),
    "an alias of nobody": ({"proxy_aliases": {"a": "nobody/x"}}, "PROXY_ALIASES", "nobody is no upstream"),
    "a circle": ({"proxy_aliases": {"a": "b", "b": ["c"], "c": "a"}}, "PROXY_ALIASES", "in a circle"),
    "the choice": ({"proxy_upstream": "nobody"}, "PROXY_UPSTREAM", "the upstreams are"),
}
wrong = pytest.mark.parametrize(("changes", "field", "words"), WRONG.values(), ids=WRONG)


@wrong
def test_the_environment_is_refused_with_the_field_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict[str, Any], field: str, words: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name.upper(), value if isinstance(value, str) else json.dumps(value))
    with pytest.raises(SettingError) as caught:
        SettingsStore(tmp_path / "none.toml")
    assert field in str(caught.value)
    assert words in str(caught.value)


@wrong
def test_at_the_start_the_last_good_table_holds(
    store: SettingsStore, changes: dict[str, Any], field: str, words: str
) -> None:
    held = {"proxy_upstreams": [GROQ], **changes}
    store.path.write_text("".join(f"{name} = {toml(value)}\n" for name, value in held.items()))
    again = SettingsStore(store.path)
    assert field in (again.problem or "")
    assert words in (again.problem or "")
    assert again.chosen.upstreams == store.current.upstreams
    assert again.chosen.proxy_aliases == store.current.proxy_aliases


def toml(value: Any) -> str:
    """Write a value as it stands in the settings file; JSON's texts and lists are TOML's too."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def test_an_upstream_that_an_alias_names_cannot_be_removed(store: SettingsStore) -> None:
    with pytest.raises(SettingError, match="groq"):
        store.update(proxy_upstreams=None, proxy_upstream=None)


def test_a_header_may_hold_the_place_of_the_key() -> None:
    row = {**GROQ, "headers": {"X-Key": "{key}", "Authorization": "Token {key}"}}
    assert Settings(proxy_upstreams=[row]).upstreams[1].headers["X-Key"] == "{key}"  # type: ignore[list-item]


def test_the_table_is_shown_as_it_is_kept(store: SettingsStore) -> None:
    assert '"name": "groq"' in shown("proxy_upstreams", store.current)
