"""The command line's `tools` group: path, init, list, call."""

import stat
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from proxy import paths
from proxy.cli.main import cli


def test_the_doctor_looks_at_the_tools_where_they_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    write_tools("x = 1\nx +\n")
    assert "Tools: off" in CliRunner().invoke(cli, ["doctor"]).output

    monkeypatch.setenv("ENABLE_TOOL_EXECUTION", "true")
    assert "WRONG  Tools: function_tools.py, line 2: SyntaxError" in CliRunner().invoke(cli, ["doctor"]).output

    write_tools("def greet(name: str) -> str:\n    return name\n")
    assert "OK     Tools: 4 ready" in CliRunner().invoke(cli, ["doctor"]).output


def run(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(cli, ["tools", *arguments])


def write_tools(text: str) -> Path:
    """Write the user's tools where the program looks for them."""
    path = paths.function_tools_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_path_shows_where_the_tools_stand() -> None:
    assert run("path").output == f"{paths.function_tools_file()}\n"


def test_path_follows_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCTION_TOOLS_FILE", "~/mine.py")

    assert run("path").output == f"{Path.home() / 'mine.py'}\n"


def test_init_writes_an_example_that_list_and_call_know() -> None:
    assert run("init").output == f"Written: {paths.function_tools_file()}\n"

    assert "roll_dice" in run("list").output
    assert run("call", "roll_dice", '{"count": 2, "sides": 4}').output.startswith("[")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights")
def test_init_writes_for_its_owner_alone() -> None:
    run("init")

    assert stat.S_IMODE(paths.function_tools_file().stat().st_mode) == 0o600


def test_init_leaves_a_file_that_is_there() -> None:
    path = write_tools("# mine\n")

    result = run("init")

    assert result.exit_code == 1
    assert "stays as it is" in result.output
    assert path.read_text(encoding="utf-8") == "# mine\n"


def test_list_shows_each_tool_where_it_is_from_and_whether_tools_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    write_tools('def greet(name: str) -> str:\n    """Greet.\n\n    At length.\n    """\n    return name\n')

    result = run("list")

    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == ["greet", "function_tools.py", "Greet."]
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "greet",
        "current_time",
        "calculate",
        "convert_units",
    ]
    assert "Tools are off" in result.stderr
    monkeypatch.setenv("ENABLE_TOOL_EXECUTION", "true")
    assert run("list").stderr == ""


def test_nothing_a_stranger_has_written_steers_the_terminal() -> None:
    write_tools('def greet() -> str:\n    """Greet \x1b[31mred."""\n    return "\x1b]0;title\x07"\n')

    assert "Greet \\x1b[31mred." in run("list").stdout
    assert run("call", "greet").output == "\\x1b]0;title\\x07\n"


def test_list_says_what_is_no_tool_and_what_is_broken() -> None:
    write_tools("def vague(thing): ...\n")
    assert "vague is no tool" in run("list").stderr

    write_tools("x = 1\nx +\n")
    assert "function_tools.py, line 2: SyntaxError" in run("list").stderr


def test_a_function_of_the_users_stands_before_a_shipped_one_of_its_name() -> None:
    write_tools('def calculate(expression: str) -> str:\n    return "mine"\n')

    assert run("call", "calculate", '{"expression": "1"}').output == "mine\n"


def test_call_runs_a_tool_as_the_model_would() -> None:
    result = run("call", "calculate", '{"expression": "6 * 7"}')

    assert (result.exit_code, result.output) == (0, "42\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "There is no tool named 'nothing'."),
        (("calculate", "{}"), "The arguments do not fit. expression: Field required"),
        (("calculate", '{"expression": "1/0"}'), "The tool failed: ZeroDivisionError"),
    ],
)
def test_call_fails_as_the_model_would_see_it(arguments: tuple[str, ...], said: str) -> None:
    result = run("call", *arguments)

    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_what_is_wrong_with_a_tool_is_listed_without_a_login() -> None:
    write_tools("raise ValueError('no way through http://anna:Winter2026x@proxy:3128')\n")

    output = run("list").output

    assert "no way through http://…@proxy:3128" in output
