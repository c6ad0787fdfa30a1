"""Editing text: only our own keys change, what is there keeps its bytes, and taking them back restores it."""

import json
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.clients.client import Target
from proxy.clients.edits import CannotEdit, Edit, Format, Put, apply, remove, taken_back
from proxy.clients.jsonc import Jsonc
from proxy.clients.shell_block import BLOCK, ShellBlock
from proxy.clients.table import CLIENTS
from proxy.clients.toml import Toml
from proxy.clients.yaml import Yaml

TARGET = Target("http://127.0.0.1:8000/v1", "any", ("demo-chat", "other"))
FILES = {client.name: client.file for client in CLIENTS if client.file is not None}
JSON_CLIENTS, YAML_CLIENTS = ("zed", "opencode", "claude-code"), ("continue", "aider", "llm")

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"), exclude_characters="\u2028\u2029\x85\ufeff"),
    max_size=8,
)
KEYS = st.one_of(st.sampled_from(["provider", "env", "language_models", "models", "a", "b"]), WORDS)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-(10**9), 10**9), WORDS)
BLANKS = st.sampled_from(["", " ", "\n", "\n    ", "\t", " // a comment\n", ' /* {"a": 1}, */ ', "\n\n  // } ]\n  "])


@st.composite
def jsonc_text(draw: Any, depth: int = 3) -> str:
    """Draw an object with comments, blanks and trailing commas where they may be."""
    return draw(BLANKS) + draw(jsonc_object(depth)) + draw(BLANKS)


@st.composite
def jsonc_object(draw: Any, depth: int) -> str:
    keys = draw(st.lists(KEYS, max_size=4, unique=True))
    members = [
        draw(BLANKS) + json.dumps(key) + draw(BLANKS) + ":" + draw(BLANKS) + draw(jsonc_value(depth - 1)) + draw(BLANKS)
        for key in keys
    ]
    comma = draw(st.sampled_from(["", "," + draw(BLANKS)])) if members else draw(BLANKS)
    return "{" + ",".join(members) + comma + "}"


@st.composite
def jsonc_value(draw: Any, depth: int) -> str:
    kind = draw(st.sampled_from(["scalar", "object", "list"])) if depth > 0 else "scalar"
    if kind == "object":
        return str(draw(jsonc_object(depth)))
    if kind == "list":
        items = draw(st.lists(jsonc_value(depth - 1), max_size=3))
        return "[" + ("," + draw(BLANKS)).join(items) + draw(BLANKS) + "]"
    return json.dumps(draw(SCALARS), ensure_ascii=draw(st.booleans()))


def check_round_trip(form: Format, text: str, edits: tuple[Edit, ...]) -> None:
    """Apply; what was there is still there in its order; take back; nothing is changed that was there."""
    before = form.parse(text)
    try:
        after = apply(form, text, edits)
    except CannotEdit:
        return  # refused, and nothing is written
    assert is_subsequence(essence(text).replace("models:[]", "models:"), after)  # an empty list begins to be one
    assert apply(form, after, edits) == after  # once more changes nothing
    back, kept = taken_back(form, after, text, edits)
    assert kept == []
    left = form.parse(back)
    for edit in edits:
        if isinstance(edit, Put) and edit.is_frame and isinstance(left, dict) and left is not before:
            key = edit.path[0]
            if key not in before:
                left = {name: value for name, value in left.items() if name != key}
    assert left == before


def essence(text: str) -> str:
    return "".join(text.split())


def is_subsequence(part: str, whole: str) -> bool:
    letters = iter(whole)
    return all(letter in letters for letter in part)


@pytest.mark.parametrize("name", JSON_CLIENTS)
@settings(max_examples=150, deadline=None)
@given(text=jsonc_text())
def test_json_with_comments_keeps_everything_but_our_keys(name: str, text: str) -> None:
    file = FILES[name]
    try:
        Jsonc().parse(text)
    except ValueError:
        pytest.fail(f"not read: {text!r}")
    held = file.form.parse(text)
    if any(taken in held for taken in ("provider", "env", "language_models")):  # values in our place are replaced
        check_only_own(file.form, text, file.edits(TARGET))
    else:
        check_round_trip(file.form, text, file.edits(TARGET))


def check_only_own(form: Format, text: str, edits: tuple[Edit, ...]) -> None:
    before = form.parse(text)
    try:
        after = apply(form, text, edits)
    except CannotEdit:
        return
    back, _ = taken_back(form, after, text, edits)
    left = form.parse(back)
    frames = {edit.path[0] for edit in edits if isinstance(edit, Put) and edit.is_frame and edit.path[0] not in before}
    assert {key: value for key, value in left.items() if key not in frames} == before


COMMENTS = st.sampled_from(["", "# a comment\n", "\n", "# models:\n#   - name: x\n", "\n\n"])


@st.composite
def yaml_text(draw: Any, *, is_list: bool) -> str:
    """Draw block YAML with comments between its lines."""
    plain = st.sampled_from(
        ["x", "1", "'it''s'", '"a # b"', "true", "[1, 2]", "{a: 1}", "null", "|\n    two\n    lines"]
    )
    text = draw(COMMENTS) + draw(st.sampled_from(["", "---\n"])) + draw(COMMENTS)
    if is_list:
        for number in range(draw(st.integers(0, 3))):
            text += f"- model_id: m{number}\n{draw(COMMENTS)}  model_name: {draw(plain)}  # why\n{draw(COMMENTS)}"
        return text if draw(st.booleans()) else text.rstrip("\n")
    for key in draw(st.lists(st.sampled_from(["rules", "name", "models", "auto-commits", "version"]), unique=True)):
        if key == "models":
            indent = draw(st.sampled_from(["", "  "]))
            items = "".join(
                f"{indent}- name: m{number}\n{indent}  provider: x\n{draw(COMMENTS)}"
                for number in range(draw(st.integers(1, 3)))
            )
            text += draw(st.sampled_from([f"models:\n{items}", "models: []\n", "models:\n", "models:  # none\n"]))
        else:
            text += f"{key}: {draw(plain)}\n"
        text += draw(COMMENTS)
    return text if draw(st.booleans()) else text.rstrip("\n")


@pytest.mark.parametrize("name", YAML_CLIENTS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_yaml_keeps_everything_but_our_keys(name: str, data: Any) -> None:
    text = data.draw(yaml_text(is_list=name == "llm"))
    file = FILES[name]
    file.form.parse(text)
    check_round_trip(file.form, text, file.edits(TARGET))


@st.composite
def toml_text(draw: Any) -> str:
    """Draw TOML with comments, tables and an inline table."""
    values = st.sampled_from(
        ["1", "'x'", '"# no"', "[1, 2]", "{ a = 1 }", '"""\n[model_providers.x]\n"""', "1979-05-27"]
    )
    text = draw(COMMENTS)
    for key in draw(st.lists(st.sampled_from(["model", "approval", '"a b"']), unique=True)):
        text += f"{key} = {draw(values)}  # why\n{draw(COMMENTS)}"
    tables = st.sampled_from(["model_providers.other", "profiles.x", "mcp_servers.a", "features", 'a."b c"'])
    for table in draw(st.lists(tables, unique=True)):
        text += f"[{table}]\nname = {draw(values)}\n{draw(COMMENTS)}"
    return text if draw(st.booleans()) else text.rstrip("\n")


@settings(max_examples=200, deadline=None)
@given(text=toml_text())
def test_toml_keeps_everything_but_our_keys(text: str) -> None:
    file = FILES["codex"]
    before, edits = file.form.parse(text), file.edits(TARGET)
    after = apply(file.form, text, edits)
    assert text.rstrip("\n") in after  # not one of its bytes is another
    assert tomlkit.parse(after).unwrap()["model_provider"] == "openai_tray_proxy"
    back, _ = taken_back(file.form, after, text, edits)
    assert file.form.parse(back) == before
    assert back.rstrip("\n") == text.rstrip("\n")


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.sampled_from("ab #\n>'"), max_size=30))
def test_a_profile_keeps_everything_but_the_block(text: str) -> None:
    form = ShellBlock()
    if text and not text.endswith("\n"):
        text += "\n"
    after = apply(form, text, (Put((BLOCK,), "export A='b'\n"),))
    assert after.startswith(text)
    assert remove(form, after, (BLOCK,)) == text


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (Jsonc(), '{"a": 1'),
        (Jsonc(), '{"a": 1, "a": 2}'),
        (Jsonc(), "[" * 200),
        (Jsonc(), "{'a': 1}"),
        (Jsonc(), '{"a": 01}'),
        (Yaml(), "a: [1"),
        (Yaml(), "a: 1\na: 2\n"),
        (Yaml(), "a: 1\n---\nb: 2\n"),
        (Yaml(), "a: !!python/object:os.system x\n"),
        (Toml(), "a = "),
        (Toml(), "a = 1\na = 2\n"),
        (ShellBlock(), "# >>> openai-tray-proxy >>>\n"),
    ],
)
def test_what_is_broken_is_not_read(form: Format, text: str) -> None:
    with pytest.raises(ValueError):
        apply(form, text, (Put(("b",), "x"),))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zed", '{"language_models": 5}'),
        ("zed", '{"language_models": {"openai_compatible": []}}'),
        ("zed", "[]"),
        ("opencode", '{"provider": "x"}'),
        ("claude-code", '{"env": [1]}'),
        ("continue", "models: 5\n"),
        ("continue", "models: [{name: x}]\n"),
        ("continue", "{name: x}\n"),
        ("llm", "a: 1\n"),
        ("aider", "- a\n"),
        ("codex", "model_providers = 5\n"),
        ("codex", "model_providers = { x = { name = 'y' } }\n"),
    ],
)
def test_a_form_that_cannot_be_edited_safely_is_refused(name: str, text: str) -> None:
    file = FILES[name]
    with pytest.raises(ValueError):
        apply(file.form, text, file.edits(TARGET))


def test_the_users_later_edits_stay() -> None:
    file = FILES["zed"]
    before = '{\n  // mine\n  "theme": "One",\n}\n'
    after = apply(file.form, before, file.edits(TARGET))
    later = (
        after.replace('"One"', '"Two"').replace("// mine", "// my own").replace("\n}\n", '\n  "z": [1], // new\n}\n')
    )

    back, kept = taken_back(file.form, later, before, file.edits(TARGET))

    assert kept == []
    assert back == '{\n  // my own\n  "theme": "Two",\n  "z": [1], // new\n}\n'


@pytest.mark.parametrize(
    ("name", "before", "line"),
    [
        ("aider", "auto-commits: false\n# end\n", "dark-mode: true\n"),
        ("llm", "- model_id: x\n  model_name: y\n", "- model_id: z\n  model_name: z\n"),
        ("codex", 'model = "x"\n\n[features]\na = true\n', "\n[profiles.y]\nmodel = 'z'\n"),
        ("continue", "name: Mine\nversion: 1.0.0\nschema: v1\nmodels:\n  - name: a\n    provider: b\n", "rules: [x]\n"),
    ],
)
def test_lines_added_behind_ours_stay(name: str, before: str, line: str) -> None:
    file = FILES[name]
    after = apply(file.form, before, file.edits(TARGET))

    back, kept = taken_back(file.form, after + line, before, file.edits(TARGET))

    assert kept == []
    assert back == before + line


@pytest.mark.parametrize("name", ["zed", "aider", "codex", "claude-code"])
def test_a_value_of_ours_that_the_user_has_changed_stays(name: str) -> None:
    file = FILES[name]
    after = apply(file.form, "", file.edits(TARGET))
    changed = after.replace("127.0.0.1:8000", "127.0.0.1:9999")

    back, kept = taken_back(file.form, changed, "", file.edits(TARGET))

    assert len(kept) == 1
    assert "127.0.0.1:9999" in back


def test_a_value_that_was_in_our_place_comes_back() -> None:
    file = FILES["aider"]
    before = "model: gpt-4o  # good\nopenai-api-key: x\n"
    after = apply(file.form, before, file.edits(TARGET))

    back, _ = taken_back(file.form, after + "a: 1\n", before, file.edits(TARGET))

    assert file.form.parse(back) == {"model": "gpt-4o", "openai-api-key": "x", "a": 1}
    assert "# good" in back


@pytest.mark.parametrize(
    "client", [client for client in CLIENTS if client.file and client.name != "shell"], ids=lambda client: client.name
)
def test_what_is_shown_is_what_is_written(client: Any) -> None:
    assert client.snippet(TARGET) == apply(client.file.form, "", client.file.edits(TARGET))
    assert "127.0.0.1:8000" in client.snippet(TARGET)
