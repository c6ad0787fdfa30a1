"""A settings file that is wrong, in whatever way: the last good settings, or nothing that reaches an upstream."""

import json
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.listener import Listener
from proxy.errors.configuration import PortTaken, SettingError, SettingsBroken, SettingsFileWrong
from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files, or no modes")

UPSTREAM = "https://mine.example/v1"
GOOD = (
    f'openai_base_url = "{UPSTREAM}"\nproxy_require_api_key = true\nenable_tool_execution = true\nproxy_port = 9001\n'
)

# What may go wrong in a file, and what is said of it: the words follow the file's path.
WRONG_CONTENTS: dict[str, tuple[bytes, str]] = {
    "missing quote": (
        b'proxy_port = 9001\nopenai_base_url = "https://mine.example\n',
        ", line 2: this is not valid TOML (a quote is missing at the end)",
    ),
    "missing value": (b"proxy_port = 9001\nproxy_host = \n", ", line 2: this is not valid TOML"),
    "missing equals sign": (b"proxy_port 9001", ", line 1: this is not valid TOML"),
    "missing bracket": (b"[openai_param_defaults\n", ", line 1: this is not valid TOML"),
    "comma at the end": (b"proxy_port = 9001,\n", ", line 1: this is not valid TOML"),
    "true in capitals": (b"proxy_require_api_key = True\n", ", line 1: this is not valid TOML"),
    "the same name twice": (b"proxy_port = 1\nproxy_port = 2\n", ", line 2: this is not valid TOML"),
    "a table twice": (b"[tool_consent]\n[tool_consent]\n", ", line 2: this is not valid TOML"),
    "cut off": (GOOD.encode()[:-70], ": this is not valid TOML"),
    "JSON": (b'{"proxy_port": 9001}', ", line 1: this is not valid TOML"),
    "a merge that was not finished": (b"<<<<<<< HEAD\nproxy_port = 1\n", ", line 1: this is not valid TOML"),
    "not UTF-8": (b"# mine\nopenai_organization = '\xff'\n", ", line 2: this is not UTF-8 text"),
    "Latin-1": ("# für mich\nproxy_port = 9001\n".encode("latin-1"), ", line 1: this is not UTF-8 text"),
    "half of a UTF-16 file": (b"\xff\xfep\x00r", ", line 1: this is not UTF-16-LE text"),
    "UTF-16 without its mark": ("proxy_port = 9001\n".encode("utf-16-le"), ", line 1: this is not valid TOML"),
    "zeros": (b"\x00" * 512, ", line 1: this is not valid TOML"),
    "zeros behind it": (b"proxy_port = 9001\n" + b"\x00" * 512, ", line 2: this is not valid TOML"),
    "a zero in a comment": (b"proxy_port = 9001\n# \x00\n", ", line 2: this is not valid TOML"),
    "deeper than anybody nests": (b"tool_consent = " + b"[" * 5000, ": this is not valid TOML"),
    "JSON deeper than that": (b"openai_param_defaults = '" + b'{"*":' * 5000 + b"1" + b"}" * 5000 + b"'", "too deep"),
    "a number without end": (b"proxy_port = " + b"1" * 5000, ", line 1: "),
    "larger than a settings file": (b"# large\n" * 150_000, " has more than 1,048,576 bytes"),
    "a misspelt name": (b"# mine\n\nproxy_prot = 9001\n", ", line 3: proxy_prot is no setting; is it proxy_port?"),
    "a misspelt name beside good ones": (
        GOOD.encode() + b"opena_timeout = 5\n",
        ", line 5: opena_timeout is no setting",
    ),
    "an unknown name": (b"path = '/'\n", ", line 1: path is no setting"),
    "an unknown table": (b"proxy_port = 1\n[server]\nport = 1\n", ", line 2: server is no setting"),
    "an empty name": (b'"" = 1\n', ', line 1: "" is no setting'),
    "a name of two lines": (b'"proxy\\nport" = 1\n', r', line 1: "proxy\nport" is no setting'),
    "a key": (
        b"proxy_port = 1\nopenai_api_key = 'sk-in-a-file-01'\n",
        ", line 2: it holds openai_api_key; keys do not",
    ),
    "a misspelt key": (
        b"api_key = 'sk-in-a-file-01'\n",
        ", line 1: api_key is no setting; if it is to hold a key: keys do not belong in files, but in the keyring",
    ),
    "keys": (b"PROXY_API_KEYS = ['sk-in-a-file-01']\n", ", line 1: it holds PROXY_API_KEYS; keys do not"),
    "two spellings of one name": (
        b"openai_base_url = 'https://a.example'\nOPENAI_BASE_URL = 'https://b.example'\n",
        ", line 1: it holds both openai_base_url and OPENAI_BASE_URL, which are one setting",
    ),
    "a wrong value": (b'openai_timeout = 5\nproxy_port = "many"\n', ", line 2: PROXY_PORT is 'many'"),
    "a value of another type": (b"\nproxy_require_api_key = [1]\n", ", line 2: PROXY_REQUIRE_API_KEY is [1]"),
    "a value too large": (b"proxy_port = 70000\n", ", line 1: PROXY_PORT is 70000"),
    "a table for a value": (b"[proxy_port]\nhttp = 80\n", ", line 1: PROXY_PORT is {'http': 80}"),
    "a rule nobody knows": (b'tool_consent.book = "maybe"\n', ", line 1: TOOL_CONSENT is {'book': 'maybe'}"),
    "a file that is not there": (b"openai_ca_file = '/nowhere.pem'\n", ", line 1: OPENAI_CA_FILE is '/nowhere.pem'"),
    "an address in the clear": (b"openai_base_url = 'http://mine.example'\n", ", line 1: OPENAI_BASE_URL is"),
    "a contradiction": (b"openai_timeout = 5\nproxy_host = '0.0.0.0'\n", ", line 2: PROXY_HOST is '0.0.0.0'"),
    "a line below a table of rules": (
        b"[openai_param_defaults]\ntemperature = 1\nproxy_require_api_key = true\n",
        "proxy_require_api_key is a setting; in the settings file it stands above the first table",
    ),
    "a line below the rules of a model": (
        b"[openai_param_overrides.'gpt-5*']\ntop_p = 1\nOPENAI_BASE_URL = 'https://mine.example'\n",
        "OPENAI_BASE_URL is a setting; in the settings file it stands above the first table",
    ),
    "a line below a parameter that is a table": (
        b"[openai_param_defaults.reasoning]\neffort = 'low'\nproxy_require_api_key = true\n",
        "proxy_require_api_key is a setting; in the settings file it stands above the first table",
    ),
    "a line below a list of tables": (
        b"[[openai_param_overrides.tools]]\ntype = 'web_search'\nopenai_base_url = 'https://mine.example'\n",
        "openai_base_url is a setting; in the settings file it stands above the first table",
    ),
    "a misspelt line below a table of rules": (
        b"[openai_param_defaults]\ntemperature = 1\nproxy_require_api_kay = true\n",
        "proxy_require_api_kay is no parameter; is it proxy_require_api_key, which stands above the first table?",
    ),
    "a line with hyphens below a table of rules": (
        b"[openai_param_defaults]\ntemperature = 1\nproxy-require-api-key = true\n",
        "proxy-require-api-key is a setting; in the settings file it stands above the first table",
    ),
    "a line below the tools' rules": (b"[tool_consent]\nbook = 'ask'\nproxy_port = 9001\n", "line 1: TOOL_CONSENT is"),
}
ANY_WRONG = pytest.mark.parametrize(("content", "said"), WRONG_CONTENTS.values(), ids=WRONG_CONTENTS.keys())


def no_way_out(store: SettingsStore) -> bool:
    """Tell whether a store has nothing to reach an upstream with, and no door open that the user may have closed."""
    with pytest.raises(SettingsBroken) as caught:
        _ = store.chosen
    settings = store.current
    return (
        (caught.value.status, caught.value.code, caught.value.should_retry) == (503, "settings_broken", False)
        and not store.is_known
        and settings.openai_base_url.endswith(".invalid/v1")
        and settings.proxy_host == "127.0.0.1"
        and not settings.enable_tool_execution
    )


# --- without a good copy ----------------------------------------------------------------------------------------------


@ANY_WRONG
def test_a_wrong_file_puts_nothing_in_force_that_reaches_an_upstream(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)

    store = SettingsStore(path)

    assert no_way_out(store)
    assert (store.problem or "").startswith(str(path))
    assert said in (store.problem or "")
    assert "\n" not in (store.problem or "")
    assert "sk-in-a-file" not in (store.problem or "")
    assert len(store.problem or "") < 600
    assert {store.origin(field) for field in Settings.model_fields} == {"not known"}


@ANY_WRONG
def test_a_wrong_file_is_neither_moved_nor_changed(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)

    store = SettingsStore(path)
    with pytest.raises(SettingError):
        store.update(enable_tool_execution=True)

    assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir() if entry.is_file()] == [path.name]


def make_folder(path: Path) -> None:
    path.mkdir()


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("moved.toml"))


def make_circle(path: Path) -> None:
    path.symlink_to(path)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_dangling_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.symlink_to(path.parent.with_name("disk"))


def make_file_of_the_folder(path: Path) -> None:
    path.parent.rmdir()
    path.parent.write_text("a file where the folder should be")


UNREADABLE: list[tuple[Callable[[Path], None], str]] = [
    (make_folder, "is no file"),
    (make_pipe, "is no file"),
    (make_dangling_link, "moved.toml, where nothing is"),
    (make_dangling_folder, "disk, where nothing is"),
    (make_circle, "symbolic links"),
    (make_file_of_the_folder, "Not a directory"),
]


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Return where a settings file stands in a folder of its own."""
    path = tmp_path / "config" / "settings.toml"
    path.parent.mkdir()
    return path


@on_posix
@pytest.mark.parametrize(("make", "said"), UNREADABLE)
def test_what_cannot_be_read_is_wrong_too(deep: Path, make: Callable[[Path], None], said: str) -> None:
    make(deep)

    store = SettingsStore(deep)

    assert no_way_out(store)
    assert said in (store.problem or "")


@on_posix
@pytest.mark.parametrize(("make", "said"), UNREADABLE)
def test_the_last_good_settings_hold_where_the_file_cannot_be_read(
    deep: Path, make: Callable[[Path], None], said: str
) -> None:
    deep.write_text(GOOD)
    SettingsStore(deep)
    deep.unlink()
    make(deep)

    store = SettingsStore(deep)

    assert store.chosen.openai_base_url == UPSTREAM
    assert said in (store.problem or "")


@on_posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_wrong(write: WriteFile) -> None:
    path = write(GOOD)
    path.chmod(0)

    store = SettingsStore(path)

    assert no_way_out(store)
    assert "Permission denied" in (store.problem or "")


def test_environment_and_command_line_are_known_all_the_same(monkeypatch: pytest.MonkeyPatch, write: WriteFile) -> None:
    path = write("proxy_port = \n")
    monkeypatch.setenv("OPENAI_TIMEOUT", "5")
    monkeypatch.setenv("PROXY_REQUIRE_API_KEY", "true")

    store = SettingsStore(path, {"proxy_port": 9003})

    assert no_way_out(store)
    assert (store.current.openai_timeout, store.current.proxy_require_api_key) == (5.0, True)
    assert (store.current.proxy_port, store.origin("proxy_port")) == (9003, "command line")


@pytest.mark.parametrize(
    ("name", "value"),
    [("OPENAI_BASE_URL", UPSTREAM), ("PROXY_HOST", "127.0.0.2"), ("ENABLE_TOOL_EXECUTION", "true")],
)
def test_neither_opens_a_way_out(monkeypatch: pytest.MonkeyPatch, write: WriteFile, name: str, value: str) -> None:
    path = write("proxy_port = \n")
    monkeypatch.setenv(name, value)

    assert no_way_out(SettingsStore(path))


@pytest.mark.parametrize(
    ("environment", "file"),
    [
        ({"PROXY_HOST": "0.0.0.0"}, "proxy_require_api_key = true\n"),
        ({"OPENAI_BASE_URL": "http://10.0.0.1"}, "proxy_allow_http_upstream = true\n"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:8000"}, "proxy_port = 9001\n"),
    ],
)
def test_what_the_file_resolved_is_no_fault_of_the_environment_while_the_file_is_wrong(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile, environment: dict[str, str], file: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert no_way_out(SettingsStore(write(f"{file}broken\n")))
    assert SettingsStore(write(file)).is_known
    assert SettingsStore(write(f"{file}broken\n")).is_known


@pytest.mark.parametrize(
    ("environment", "file", "said"),
    [
        ({"PROXY_REQUIRE_API_KEY": "false"}, "proxy_host = '0.0.0.0'\n", "line 1: PROXY_HOST is '0.0.0.0'"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9001"}, "proxy_port = 9001\n", "OPENAI_BASE_URL is"),
    ],
)
def test_a_value_of_the_file_that_contradicts_one_of_the_environment_is_the_files_fault(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile, environment: dict[str, str], file: str, said: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    store = SettingsStore(write(file))

    assert no_way_out(store)
    assert said in (store.problem or "")


@pytest.mark.parametrize(
    "file", ["proxy_port = 9001\n", 'proxy_port = "x"\n', "proxy_port = = 1\n", "proxy_prot = 1\n"]
)
@pytest.mark.parametrize(
    ("environment", "command_line", "name"),
    [
        ({"PROXY_MAX_BODY_MB": "many"}, {}, "PROXY_MAX_BODY_MB"),
        ({"OPENAI_BASE_URL": "ftp://x"}, {}, "OPENAI_BASE_URL"),
        ({"ENABLE_TOOL_EXECUTION": "maybe"}, {}, "ENABLE_TOOL_EXECUTION"),
        ({}, {"proxy_host": ""}, "PROXY_HOST"),
    ],
)
@pytest.mark.parametrize("has_copy", [True, False])
def test_what_is_wrong_beside_the_file_stops_the_start_whatever_is_in_it(
    monkeypatch: pytest.MonkeyPatch,
    write: WriteFile,
    file: str,
    environment: dict[str, str],
    command_line: dict[str, str],
    name: str,
    has_copy: bool,
) -> None:
    if has_copy:
        SettingsStore(write(GOOD))
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)

    with pytest.raises(SettingError, match=name) as caught:
        SettingsStore(write(file), command_line)

    assert not isinstance(caught.value, SettingsFileWrong)


def test_an_environment_that_contradicts_itself_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile
) -> None:
    monkeypatch.setenv("PROXY_HOST", "0.0.0.0")

    with pytest.raises(SettingError, match="PROXY_REQUIRE_API_KEY"):
        SettingsStore(write("openai_timeout = 5\n"))


def test_the_log_says_it_once_with_the_line_and_what_it_means(
    write: WriteFile, caplog: pytest.LogCaptureFixture
) -> None:
    path = write("proxy_port = 9001\nproxy_host = \n")

    store = SettingsStore(path)

    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == store.warning
    assert f"{path}, line 2: " in record.getMessage()
    assert "Nothing is relayed" in record.getMessage()


# --- with one ---------------------------------------------------------------------------------------------------------


@ANY_WRONG
def test_the_last_good_settings_stay_in_force(path: Path, content: bytes, said: str) -> None:
    path.write_text(GOOD)
    SettingsStore(path)
    path.write_bytes(content)

    store = SettingsStore(path)

    assert (store.chosen.openai_base_url, store.chosen.proxy_port) == (UPSTREAM, 9001)
    assert store.chosen.proxy_require_api_key is store.chosen.enable_tool_execution is True
    assert (store.origin("proxy_port"), store.origin("proxy_host")) == ("last good settings", "default")
    assert store.is_known
    assert said in (store.problem or "")
    assert "The last good settings stay in force" in (store.warning or "")


@ANY_WRONG
def test_a_click_is_refused_as_long_as_the_file_is_wrong(path: Path, content: bytes, said: str) -> None:
    path.write_text(GOOD)
    SettingsStore(path)
    path.write_bytes(content)
    store, listener = SettingsStore(path), Listener()
    store.listen(listener)
    before = store.current

    for change in (5, None, lambda before: before + 1):
        with pytest.raises(SettingsFileWrong) as caught:
            store.update(openai_timeout=change)
        assert said in str(caught.value)

    assert path.read_bytes() == content
    assert store.current is before
    assert listener.told == []
    assert store.problem


def test_a_mended_file_is_in_force_with_the_next_click(write: WriteFile) -> None:
    SettingsStore(write(GOOD))
    store = SettingsStore(write(GOOD + "proxy_prot = 9002\n"))
    write(GOOD.replace("9001", "9002") + "openai_timeout = 5\n")

    store.update(tool_timeout=7)

    assert (store.current.proxy_port, store.current.openai_timeout, store.current.tool_timeout) == (9002, 5.0, 7.0)
    assert (store.origin("proxy_port"), store.problem, store.warning) == ("settings file", None, None)


def test_a_mended_file_ends_the_time_in_which_nothing_is_relayed(write: WriteFile) -> None:
    store, listener = SettingsStore(write(GOOD + "=")), Listener()
    store.listen(listener)
    write(GOOD)

    store.update(tool_timeout=7)

    assert store.chosen.openai_base_url == UPSTREAM
    assert (store.is_known, store.problem) == (True, None)
    assert listener.told == [(8000, 9001)]


def test_a_click_the_listeners_refuse_leaves_things_as_they_were(write: WriteFile) -> None:
    store = SettingsStore(write(GOOD + "="))
    store.listen(Listener(refuses=True))
    write(GOOD)

    with pytest.raises(PortTaken):
        store.update(tool_timeout=7)

    assert no_way_out(store)
    assert store.problem


def test_a_file_that_broke_meanwhile_is_told_and_what_is_in_force_stays(write: WriteFile) -> None:
    store = SettingsStore(write(GOOD))
    before = store.current
    path = write(GOOD + "=")

    with pytest.raises(SettingsFileWrong, match="line 5: this is not valid TOML"):
        store.update(tool_timeout=7)

    assert store.chosen is before
    assert (store.problem or "").startswith(f"{path}, line 5")
    write(GOOD)
    store.update(tool_timeout=7)
    assert store.problem is None


def test_good_settings_that_do_not_go_with_the_environment_are_none(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile
) -> None:
    SettingsStore(write("proxy_require_api_key = true\nproxy_host = '0.0.0.0'\n"))
    path = write("proxy_require_api_key = true\nproxy_host = '0.0.0.0\n")
    monkeypatch.setenv("PROXY_REQUIRE_API_KEY", "false")

    store = SettingsStore(path)

    assert no_way_out(store)
    assert f"{path}, line 2: this is not valid TOML" in (store.problem or "")


def test_environment_and_command_line_win_over_the_last_good_settings(
    monkeypatch: pytest.MonkeyPatch, write: WriteFile
) -> None:
    SettingsStore(write(GOOD))
    monkeypatch.setenv("PROXY_PORT", "9002")

    store = SettingsStore(write(GOOD + "="), {"openai_timeout": 5})

    origins: dict[str, Any] = {field: store.origin(field) for field in ("proxy_port", "openai_timeout")}
    assert (store.chosen.proxy_port, store.chosen.openai_timeout) == (9002, 5.0)
    assert origins == {"proxy_port": "environment", "openai_timeout": "command line"}


# --- what is not wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "# nothing yet"])
def test_a_file_that_sets_nothing_is_good(write: WriteFile, text: str) -> None:
    store = SettingsStore(write(text))

    assert store.chosen == Settings.model_validate({})
    assert store.problem is None


def test_parameters_named_nearly_like_settings_are_good(write: WriteFile) -> None:
    rules = {
        "max_tool_calls": 3,
        "tool_choice": "auto",
        "timeout": 5,
        "base_url": "x",
        "api_key": "x",
        "proxy": {"host": "x", "port": 1},
        "metadata": {"project": "x", "Model": "y", "organization": "z", "tool": {"timeout": 1}},
        "gpt*": {"tool_config": {"mode": "x"}, "num_retries": 1},
    }

    assert SettingsStore(write(f"openai_param_defaults = {json.dumps(json.dumps(rules))}\n")).problem is None


def test_no_file_is_good_and_so_is_no_folder(path: Path) -> None:
    assert SettingsStore(path).problem is None
    assert SettingsStore(path / "not" / "there.toml").problem is None


@on_posix
def test_a_link_to_a_file_is_good_and_stays_one(path: Path) -> None:
    elsewhere = path.with_name("elsewhere.toml")
    elsewhere.write_text(GOOD)
    path.symlink_to(elsewhere)
    store = SettingsStore(path)

    store.update(proxy_port=9002)

    assert store.problem is None
    assert path.is_symlink()
    assert "proxy_port = 9002" in elsewhere.read_text()
