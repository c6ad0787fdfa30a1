"""How a change is written: one setting anew, all else as it was, and nothing added at the end is swallowed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.listener import Listener
from proxy.errors.configuration import PortTaken, SettingError
from proxy.settings.sources import read_file
from proxy.settings.statements import split, with_setting
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]


def always(tool: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """Return what a click on "Always allow" does with the rules."""
    return lambda rules: {**rules, tool: "auto"}


# --- a line that is added at the end ----------------------------------------------------------------------------------

# Files as people write them, each with a rule for a tool, in all the ways TOML has.
FILES = [
    "",
    "# nothing\n",
    "# nothing",
    "openai_timeout = 5",
    "openai_timeout = 5\n",
    '[tool_consent]\nbook = "ask"\n',
    '[tool_consent]\nbook = "ask"',
    '[tool_consent]\n"files__*" = "never" # all\n\n# the end\n',
    'openai_timeout = 5\n\n[tool_consent] # mine\n# careful\nbook = "ask" # dear\n',
    '[ "tool_consent" ]\nbook = "ask"\n',
    '[TOOL_CONSENT]\nbook = "ask"\n',
    'tool_consent.book = "ask"\nopenai_timeout = 5\n',
    'tool_consent.book = "ask"\ntool_consent."files__*" = "never"\n',
    'TOOL_CONSENT = {book = "ask"}\n',
    'tool_consent = {book = "ask"} # mine\n# the end',
    'tool_consent = \'{"book": "ask"}\'\n',
    "tool_consent = '''\n{\"book\":\n\"ask\"}'''\nopenai_timeout = 5\n",
    'openai_param_drop = [\n  "a", # [tool_consent]\n]\n[tool_consent]\nbook = "ask"\n',
    '"tool_consent"."book" = "ask"\n',
]
CHANGES: list[dict[str, Any]] = [
    {"tool_consent": always("book")},
    {"tool_consent": always("files__a.b \"c\" 'd' \u00e9 # [e]\n")},
    {"tool_consent": always("")},
    {"proxy_require_api_key": True},
    {"openai_param_defaults": {"temperature": 0.5, "gpt-5*": {"metadata": {"a": [1, {"b": True}]}}}},
]


@pytest.mark.parametrize("text", FILES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("change", CHANGES[:3])
def test_a_line_added_below_a_rule_of_ours_is_a_setting(
    path: Path, text: str, newline: str, change: dict[str, Any]
) -> None:
    path.write_bytes(text.replace("\n", newline).encode())
    store = SettingsStore(path)
    assert store.problem is None
    before = store.current

    store.update(**change)
    with path.open("ab") as file:
        file.write(f"proxy_port = 9001{newline}".encode())

    again = SettingsStore(path)
    assert again.problem is None
    assert again.current.proxy_port == 9001
    assert again.current.tool_consent == change["tool_consent"](before.tool_consent)
    assert again.current.openai_timeout == before.openai_timeout


@pytest.mark.parametrize("text", FILES)
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_keeps_every_other_setting_and_every_comment(
    write: WriteFile, text: str, change: dict[str, Any]
) -> None:
    path = write(text)
    store = SettingsStore(path)
    before = read_file(path)

    store.update(**change)

    after = read_file(path)
    assert {**after, **dict.fromkeys(change)} == {**before, **dict.fromkeys(change)}
    assert SettingsStore(path).current == store.current
    for comment in ("nothing", "the end", "mine", "careful", "dear", "all", "[tool_consent]"):
        assert f"# {comment}" not in text or comment in path.read_text().replace("# book: ", "# ")


def test_the_programs_own_table_of_before_becomes_one_line_and_keeps_its_rules(write: WriteFile) -> None:
    path = write('enable_tool_execution = true\n\n[tool_consent]\nbook = "ask"\n"files__*" = "never"\n')

    SettingsStore(path).update(tool_consent=always("book"))

    assert path.read_text() == (
        'enable_tool_execution = true\n\ntool_consent = {book = "auto", "files__*" = "never"}\n'
    )


def test_the_comments_of_a_table_stand_above_its_line_and_those_below_stay(write: WriteFile) -> None:
    path = write(
        "openai_timeout = 5\n"
        "\n"
        "[openai_param_defaults] # for all\n"
        "temperature = 1\n"
        "\n"
        "[tool_consent] # who may\n"
        "# costs money\n"
        'book = "ask" # careful\n'
        "\n"
        "# forced\n"
        "[openai_param_overrides]\n"
        "seed = 1\n"
    )

    SettingsStore(path).update(tool_consent=always("book"))

    assert path.read_text() == (
        "openai_timeout = 5\n"
        "# who may\n"
        "# costs money\n"
        "# book: careful\n"
        'tool_consent = {book = "auto"}\n'
        "\n"
        "[openai_param_defaults] # for all\n"
        "temperature = 1\n"
        "\n"
        "\n"
        "# forced\n"
        "[openai_param_overrides]\n"
        "seed = 1\n"
    )


def test_a_rule_of_ours_stands_before_a_table_of_the_users(write: WriteFile) -> None:
    path = write("# mine\n\n# lukewarm\n[openai_param_defaults]\ntemperature = 0.5\n")

    SettingsStore(path).update(tool_consent=always("book"))

    assert path.read_text() == (
        '# mine\n\ntool_consent = {book = "auto"}\n\n# lukewarm\n[openai_param_defaults]\ntemperature = 0.5\n'
    )


def test_a_line_below_a_table_of_the_users_is_no_rule_for_a_parameter(write: WriteFile) -> None:
    path = write("[openai_param_defaults]\ntemperature = 0.5\n")
    SettingsStore(path).update(tool_consent=always("book"))
    with path.open("a") as file:
        file.write("proxy_port = 9001\n")

    store = SettingsStore(path)

    assert store.current.openai_param_defaults == {"temperature": 0.5}
    assert "proxy_port is a setting; in the settings file it stands above the first table" in (store.problem or "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("proxy_port = 9000", "proxy_port = 9001\n"),
        ("  proxy_port   =   9000   # mine\n", "  proxy_port   =   9001   # mine\n"),
        ("PROXY_PORT = 9000\n", "PROXY_PORT = 9001\n"),
        ("'proxy_port' = 9000\n", "'proxy_port' = 9001\n"),
        ('"proxy\\u005fport" = 9000\n', '"proxy\\u005fport" = 9001\n'),
        ("# a\nproxy_port = 9000\n# b", "# a\nproxy_port = 9001\n# b\n"),
        ("proxy_port = 9000\r\n# b\r\n", "proxy_port = 9001\r\n# b\r\n"),
        ("openai_timeout = 5\r\n", "openai_timeout = 5\r\nproxy_port = 9001\r\n"),
        ("# only\n", "# only\nproxy_port = 9001\n"),
        (
            "openai_timeout = 5\n[tool_consent]\na = 'ask'\n",
            "openai_timeout = 5\nproxy_port = 9001\n\n[tool_consent]\na = 'ask'\n",
        ),
    ],
)
def test_a_value_is_changed_where_it_stands(path: Path, before: str, after: str) -> None:
    path.write_bytes(before.encode())

    SettingsStore(path).update(proxy_port=9001)

    assert path.read_bytes() == after.encode()


def test_the_comments_in_a_list_are_kept(write: WriteFile) -> None:
    path = write("openai_param_drop = [\n  'a', # the first\n  # the second\n  'b'\n] # both\n")

    SettingsStore(path).update(openai_param_drop=("a",))

    assert path.read_text() == '# the first\n# the second\nopenai_param_drop = ["a"] # both\n'


@pytest.mark.parametrize("text", [text for text in FILES if "book" in text])
def test_a_rule_goes_back_to_the_default_in_whatever_way_it_was_written(write: WriteFile, text: str) -> None:
    path = write(text)

    SettingsStore(path).update(tool_consent=None)

    assert "tool_consent" not in {name.lower() for name in read_file(path)}


@pytest.mark.parametrize("value", [{"a": "\ud800"}, {"\ud800": 1}])
def test_half_a_character_is_refused(path: Path, value: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="cannot be kept in the settings file"):
        SettingsStore(path).update(openai_param_defaults=value)

    assert not path.exists()


def test_a_text_is_the_sum_of_its_statements() -> None:
    text = 'a = """x\n[b]\n"" # no""" # "yes\nb."c#" = [\n 1, # {\n]\n\n [d."e]"] # f\n\'#\' = \'"\'\n# "end'

    statements = split(text)

    assert "".join(statement.text for statement in statements) == text
    assert [statement.name for statement in statements] == ["a", "b", None, "d", "#", None]
    assert [statement.is_head for statement in statements] == [False, False, False, True, False, False]
    assert [statement.comments for statement in statements] == [('# "yes',), ("# {",), (), ("# f",), (), ('# "end',)]


def test_what_stays_the_same_keeps_its_form(write: WriteFile) -> None:
    text = "openai_param_drop = [\n  'a', # why\n]\n[tool_consent]\nbook = 'auto' # dear\n"
    path = write(text)

    SettingsStore(path).update(openai_param_drop=("a",), tool_consent=always("book"), proxy_port=None)

    assert path.read_text() == text


def test_what_is_not_set_is_not_taken_out() -> None:
    assert with_setting("a = 1", "b", None) == "a = 1"


# --- what the file holds now ------------------------------------------------------------------------------------------


def test_a_function_is_given_what_the_file_holds_now(write: WriteFile) -> None:
    path = write('[tool_consent]\nbook = "ask"\n')
    store = SettingsStore(path)
    write('[tool_consent]\nbook = "ask"\n"files__delete*" = "never"\n')

    store.update(tool_consent=always("book"))

    assert store.current.tool_consent == {"book": "auto", "files__delete*": "never"}
    assert read_file(path) == {"tool_consent": {"book": "auto", "files__delete*": "never"}}


def test_what_is_saved_between_reading_and_writing_is_kept_too(write: WriteFile) -> None:
    path = write('tool_consent = {book = "ask"}\n')
    store = SettingsStore(path)
    edits = iter(['tool_consent = {book = "ask", pay = "never"}\nproxy_port = 9001\n'])

    def allow(rules: dict[str, str]) -> dict[str, str]:
        for text in edits:
            write(text)
        return {**rules, "book": "auto"}

    store.update(tool_consent=allow)

    assert path.read_text() == 'tool_consent = {book = "auto", pay = "never"}\nproxy_port = 9001\n'
    assert store.current.proxy_port == 9001


def test_a_function_is_given_the_default_where_the_file_holds_nothing(write: WriteFile) -> None:
    store = SettingsStore(write("proxy_allowed_origins = ['https://a.example']\n"))
    write("# nothing\n")

    store.update(proxy_allowed_origins=lambda held: (*held, "https://b.example"))

    assert store.current.proxy_allowed_origins == ("https://b.example",)


def test_a_function_is_given_a_value_in_its_one_form(write: WriteFile) -> None:
    store = SettingsStore(write("PROXY_ALLOWED_ORIGINS = 'HTTPS://A.example:443/, app://b'\n"))

    store.update(proxy_allowed_origins=lambda held: (*held, "https://c.example"))

    assert store.current.proxy_allowed_origins == ("https://a.example", "app://b", "https://c.example")


def test_what_the_environment_fixes_is_given_to_no_function(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv("TOOL_CONSENT", '{"book": "ask"}')
    asked: list[object] = []

    with pytest.raises(SettingError, match="TOOL_CONSENT is fixed by the environment"):
        SettingsStore(path).update(tool_consent=asked.append)

    assert asked == []
    assert not path.exists()


def test_what_a_function_returns_is_checked_like_any_value(write: WriteFile) -> None:
    path = write("")

    with pytest.raises(SettingError, match="TOOL_CONSENT is"):
        SettingsStore(path).update(tool_consent=lambda rules: {**rules, "book": "perhaps"})

    assert path.read_text() == ""


def test_a_refused_change_does_not_take_back_what_was_written_meanwhile(write: WriteFile) -> None:
    path = write("proxy_port = 9000\nopenai_timeout = 5\n")
    store = SettingsStore(path)
    refuse = Listener(refuses=True)

    def edit_and_refuse(old: Any, new: Any) -> None:
        path.write_text(path.read_text().replace("openai_timeout = 5", "openai_timeout = 7 # mine"))
        refuse(old, new)

    store.listen(edit_and_refuse)
    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert path.read_text() == "proxy_port = 9000\nopenai_timeout = 7 # mine\n"


def test_a_refused_change_leaves_a_file_alone_that_was_broken_meanwhile(write: WriteFile) -> None:
    path = write("proxy_port = 9000\n")
    store = SettingsStore(path)
    refuse = Listener(refuses=True)

    def break_and_refuse(old: Any, new: Any) -> None:
        path.write_text("proxy_port = \n")
        refuse(old, new)

    store.listen(break_and_refuse)
    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert path.read_text() == "proxy_port = \n"
    assert store.current.proxy_port == 9000


# --- the forms a file may have ----------------------------------------------------------------------------------------

TEXT = '# f\u00fcr mich\nopenai_organization = "Gr\u00f6\u00dfe"\n[tool_consent]\nbook = "ask"\n'


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_file_is_read_and_written_back_in_its_own_form(path: Path, codec: str, newline: str) -> None:
    path.write_bytes(TEXT.replace("\n", newline).encode(codec))
    store = SettingsStore(path)
    assert (store.problem, store.current.openai_organization) == (None, "Gr\u00f6\u00dfe")

    store.update(tool_consent=always("book"))

    after = '# f\u00fcr mich\nopenai_organization = "Gr\u00f6\u00dfe"\ntool_consent = {book = "auto"}\n'
    assert path.read_bytes() == after.replace("\n", newline).encode(codec)
    assert SettingsStore(path).current == store.current


def test_a_file_in_the_other_order_of_bytes_is_read_and_written_too(path: Path) -> None:
    mark = b"\xfe\xff"
    path.write_bytes(mark + "proxy_port = 9000\r\n".encode("utf-16-be"))

    SettingsStore(path).update(proxy_port=9001)

    assert path.read_bytes() == mark + "proxy_port = 9001\r\n".encode("utf-16-be")


def test_line_ends_of_both_kinds_stay_as_they_are(path: Path) -> None:
    path.write_bytes(b"# a\r\nproxy_port = 9000\nopenai_timeout = 5\r\n# b\n")

    SettingsStore(path).update(tool_timeout=7)

    assert path.read_bytes() == b"# a\r\nproxy_port = 9000\nopenai_timeout = 5\r\n# b\ntool_timeout = 7\n"
