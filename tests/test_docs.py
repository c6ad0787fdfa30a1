"""The README and the program say the same: every setting with its default and meaning, every command."""

import re

import pytest

from fakes.environment import ROOT
from proxy.cli.main import cli
from proxy.settings.model import Settings, about, shown, variable

README = ROOT / "README.md"

Row = list[str]


@pytest.fixture
def readme() -> str:
    """Return the text of the README."""
    if not README.is_file():
        pytest.fail("there is no README.md: it must hold the table of settings and the commands")
    return README.read_text(encoding="utf-8")


def read_tables(text: str) -> list[list[Row]]:
    """Return the Markdown tables of a text, without their heads: tables of rows of cells."""
    tables: list[list[Row]] = []
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
        tables.append(rows[2:])
    return tables


def settings_rows(text: str) -> list[Row]:
    """Return the rows of the tables that describe a setting."""
    names = {f"`{variable(field)}`" for field in Settings.model_fields}
    return [row for table in read_tables(text) if any(row[0] in names for row in table) for row in table]


def test_tables_are_read_as_they_are_written() -> None:
    text = "Text\n\n| A | B |\n|---|---|\n| `x` | one |\n| y | `two` |\n\nText | more\n\n| C |\n|---|\n| z |\n"

    assert read_tables(text) == [[["`x`", "one"], ["y", "`two`"]], [["z"]]]


@pytest.mark.parametrize("field", Settings.model_fields)
def test_every_setting_stands_in_the_readme_with_its_default_and_meaning(readme: str, field: str) -> None:
    rows = [row[1:] for row in settings_rows(readme) if row[0] == f"`{variable(field)}`"]

    assert rows == [[f"`{shown(field, Settings.model_validate({}))}`", about(field).meaning]]


def test_every_row_of_the_settings_is_a_setting(readme: str) -> None:
    named = [row[0] for row in settings_rows(readme)]

    assert sorted(named) == sorted(f"`{variable(field)}`" for field in Settings.model_fields)


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_every_command_stands_in_the_readme(readme: str, command: str) -> None:
    assert re.search(rf"(openai-tray-proxy|\./start\.sh) {re.escape(command)}\b", readme)


def test_every_command_in_the_readme_is_one(readme: str) -> None:
    own_words = {"demo", "headless", "test"}  # those the start script takes itself
    named = set(re.findall(r"`(?:openai-tray-proxy|\./start\.sh) ([a-z][a-z-]*)", readme))

    assert named - own_words <= set(cli.commands)
    assert named


def test_every_variable_in_the_readme_that_looks_like_a_setting_is_one(readme: str) -> None:
    # aider's own, what `check` reads, and what the variables of more upstreams' keys begin with
    beside = {"OPENAI_API_BASE", "PROXY_API_KEY", "OPENAI_API_KEY_"}
    named = set(re.findall(r"\b(?:OPENAI|PROXY|ALLOW|ENABLE)_[A-Z_]+\b", readme))

    assert named - beside - {variable(field) for field in Settings.model_fields} == set()
