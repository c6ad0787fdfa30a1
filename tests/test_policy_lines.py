"""Every line of the policy and of the fault table has a test, in tests/security and tests/faults."""

import ast
import re
from pathlib import Path

import pytest

from policy_lines import FAULTS, POLICY, THREATS

TESTS = Path(__file__).parent
HEADING = re.compile(r"^# --- (.+?) -+$")


def by_line(*folders: str) -> dict[str, list[str]]:
    """Return the tests under each heading: line to names."""
    found: dict[str, list[str]] = {}
    for folder in folders:
        for file in sorted((TESTS / folder).glob("test_*.py")):
            for line, names in headed_tests(file.read_text(encoding="utf-8")).items():
                found.setdefault(line, []).extend(f"{folder}/{file.name}::{name}" for name in names)
    return found


def headed_tests(source: str) -> dict[str, list[str]]:
    """Return the tests of a file under the heading that stands over them."""
    headings = [
        (number, match[1]) for number, line in enumerate(source.splitlines(), 1) if (match := HEADING.match(line))
    ]
    found: dict[str, list[str]] = {line: [] for _, heading in headings for line in heading.split("; ")}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            above = [heading for number, heading in headings if number < node.lineno]
            for line in above[-1].split("; ") if above else ():
                found[line].append(node.name)
    return found


def test_a_heading_covers_the_tests_up_to_the_next() -> None:
    source = (
        "def test_before(): pass\n# --- one; two ---\ndef helper(): pass\ndef test_a(): pass\n"
        "# --- three ---------\n@mark\ndef test_b(): pass\n# --- four ---\n"
    )

    assert headed_tests(source) == {"one": ["test_a"], "two": ["test_a"], "three": ["test_b"], "four": []}


@pytest.mark.parametrize("line", [*THREATS, *POLICY])
def test_every_line_of_the_policy_has_a_test(line: str) -> None:
    assert by_line("security").get(line), f"no test in tests/security stands under '# --- {line} ---'"


@pytest.mark.parametrize("line", FAULTS)
def test_every_row_of_the_fault_table_has_a_test(line: str) -> None:
    assert by_line("faults").get(line), f"no test in tests/faults stands under '# --- {line} ---'"


def test_a_line_without_a_test_is_noticed() -> None:
    assert not by_line("security", "faults").get("a line nobody wrote a test for")
    assert not headed_tests("# --- empty ---\n")["empty"]


def test_no_line_is_there_twice() -> None:
    every = [*THREATS, *POLICY, *FAULTS]

    assert len(every) == len(set(every))
