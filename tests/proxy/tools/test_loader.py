"""function_tools.py: what of it is a tool, what happens when it changes, and when it is broken."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from proxy.tools.example import EXAMPLE
from proxy.tools.file_source import FileSource
from proxy.tools.loader import BrokenToolsFile, load_tools
from proxy.tools.runner import CallLimits
from proxy.tools.tool import CallFailed
from waiting import wait_for

LIMITS = CallLimits(seconds=20, arguments_bytes=1000, result_bytes=1000)
GOOD = 'def greet(name: str) -> str:\n    """Greet."""\n    return f"Hello {name}"\n'
PLAIN = """
TOOLS = [
    {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": {
        "type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "maximum": 9}},
        "required": ["a", "b"]}}},
    {"type": "function", "function": {"name": "now"}},
    {"type": "function", "function": {"name": "not a name"}},
    {"type": "function", "function": {"name": "wrong", "parameters": {"type": 5}}},
    "nothing",
]

def execute_tool(name, arguments):
    return f"{name} {sorted(arguments.items())}"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "function_tools.py"


@pytest.fixture
def watch() -> Iterator[Callable[..., FileSource]]:
    """Return a function that follows a file of tools, given as it is or as a function."""
    with ExitStack() as stack:

        def follow(path: Path | Callable[[], Path], **options: Any) -> FileSource:
            source = FileSource(path if callable(path) else lambda: path, lambda: LIMITS, **options)
            stack.callback(source.stop)
            return source

        yield follow


@pytest.fixture
def source(file: Path, watch: Callable[..., FileSource]) -> FileSource:
    return watch(file)


def write(file: Path, text: str) -> None:
    """Write the file anew, as an editor does."""
    beside = file.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def names(source: FileSource) -> list[str]:
    return [tool.name for tool in source.tools]


def test_public_functions_with_hints_are_tools(file: Path) -> None:
    write(
        file, f"from os.path import join\nimport json\n\n{GOOD}\ndef _own(a: int) -> int: ...\nclass A: ...\nx = len\n"
    )

    assert [tool.name for tool in load_tools(file).tools] == ["greet"]


@pytest.mark.core
def test_dataclasses_and_later_annotations_work(file: Path) -> None:
    write(
        file,
        "from __future__ import annotations\nfrom dataclasses import dataclass\n\n@dataclass\nclass Box:\n"
        '    size: int\n\ndef measure(box: Box) -> int:\n    """Measure."""\n    return box.size\n',
    )

    [tool] = load_tools(file).tools
    assert tool.invoke('{"box": {"size": 3}}') == 3


def test_all_names_what_is_shown(file: Path) -> None:
    write(file, f'__all__ = ["greet"]\n{GOOD}def other(a: int) -> int: ...\n')

    assert [tool.name for tool in load_tools(file).tools] == ["greet"]


def test_a_public_function_that_is_no_tool_is_named(file: Path) -> None:
    write(file, f"{GOOD}def vague(thing): ...\n")

    assert load_tools(file).left_out == ("vague is no tool: its argument thing has no type hint",)


def test_the_plain_form_works(file: Path) -> None:
    write(file, PLAIN)

    loaded = load_tools(file)

    add, now = loaded.tools
    assert add.invoke('{"a": 1, "b": 2}') == "add [('a', 1), ('b', 2)]"
    assert now.invoke("{}") == "now []"
    assert [sentence[:12] for sentence in loaded.left_out] == ["definition 3", "definition 4", "definition 5"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"a": 1}', "'b' is a required property"),
        ('{"a": 1, "b": 10}', "b: 10 is greater than the maximum of 9"),
        ("[1]", "is not of type 'object'"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_the_plain_form_checks_arguments_against_its_schema(file: Path, arguments: str, said: str) -> None:
    write(file, PLAIN)

    with pytest.raises(CallFailed, match=said):
        load_tools(file).tools[0].invoke(arguments)


def test_a_schema_cannot_make_the_proxy_fetch_or_match_for_ever(file: Path) -> None:
    write(
        file,
        'TOOLS = [{"name": "far", "parameters": {"$ref": "http://127.0.0.1:9/schema"}}, {"name": "slow", "parameters": '
        '{"type": "object", "properties": {"a": {"type": "string", "pattern": "(a+)+$"}}}}]\n'
        "def execute_tool(name, arguments): return name\n",
    )
    far, slow = load_tools(file).tools

    with pytest.raises(CallFailed, match="cannot be read"):
        far.invoke("{}")
    assert slow.invoke(f'{{"a": "{"a" * 40}!"}}') == "slow"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = (\n", "line 2: SyntaxError"),
        ("x = 1\n\ny = nothing\n", "line 3: NameError: name 'nothing' is not defined"),
        ("def f():\n    raise SystemExit(3)\n\nf()\n", "line 2: SystemExit: 3"),
        ("import json\njson.loads('{')\n", "line 2: JSONDecodeError"),
        ("\0", "SyntaxError|ValueError"),
    ],
)
def test_a_broken_file_names_the_line(file: Path, text: str, said: str) -> None:
    write(file, text)

    with pytest.raises(BrokenToolsFile, match=f"function_tools.py.*{said}"):
        load_tools(file)


def test_the_file_is_loaded_anew_when_it_changes(file: Path, source: FileSource) -> None:
    asyncio.run(source.refresh())
    assert names(source) == []

    write(file, GOOD)
    asyncio.run(source.refresh())
    assert names(source) == ["greet"]
    before = source.tools

    asyncio.run(source.refresh())
    assert source.tools is before

    write(file, GOOD.replace("greet", "hello"))
    asyncio.run(source.refresh())
    assert names(source) == ["hello"]

    file.unlink()
    asyncio.run(source.refresh())
    assert names(source) == []


def test_a_broken_file_keeps_the_last_good_set_and_is_told_once(
    file: Path, source: FileSource, caplog: pytest.LogCaptureFixture
) -> None:
    write(file, GOOD)
    asyncio.run(source.refresh())
    write(file, "x = (\n")

    with caplog.at_level(logging.ERROR):
        asyncio.run(source.refresh())
        asyncio.run(source.refresh())

    assert names(source) == ["greet"]
    assert source.problem is not None
    assert "line 1" in source.problem
    assert len(caplog.records) == 1

    write(file, GOOD)
    asyncio.run(source.refresh())
    assert source.problem is None


def test_a_file_that_takes_too_long_is_waited_for_once(file: Path, watch: Callable[..., FileSource]) -> None:
    source = watch(file, load_limit_s=0.5)
    write(file, GOOD)
    asyncio.run(source.refresh())
    write(file, "import threading\nthreading.Event().wait(20)\n")

    began = time.monotonic()
    for _ in range(20):
        asyncio.run(source.refresh())

    assert time.monotonic() - began < 3
    assert names(source) == ["greet"]


def test_a_file_of_the_same_size_and_time_under_another_name_is_another_file(
    tmp_path: Path, watch: Callable[..., FileSource]
) -> None:
    paths = [tmp_path / "one.py", tmp_path / "two.py"]
    for path, name in zip(paths, ("aaaaa", "bbbbb"), strict=True):
        path.write_text(GOOD.replace("greet", name))
        os.utime(path, ns=(10**18, 10**18))
    chosen = [paths[0]]
    source = watch(lambda: chosen[0])

    asyncio.run(source.refresh())
    chosen[0] = paths[1]
    asyncio.run(source.refresh())

    assert names(source) == ["bbbbb"]


def test_the_example_is_a_file_of_tools(file: Path) -> None:
    write(file, EXAMPLE)

    loaded = load_tools(file)

    assert [tool.name for tool in loaded.tools] == ["roll_dice"]
    assert loaded.left_out == ()
    assert len(loaded.tools[0].invoke('{"count": 3}')) == 3


@pytest.mark.parametrize(
    "text",
    [
        "import threading\nthreading.Event().wait(20)\n",
        "import time\nwhile True:\n    time.sleep(0.01)\n",
        "while True:\n    pass\n",
    ],
)
def test_a_load_that_hangs_is_told_left_behind_and_begun_anew_when_the_file_changes(
    file: Path, watch: Callable[..., FileSource], caplog: pytest.LogCaptureFixture, text: str
) -> None:
    source = watch(file, load_limit_s=0.5)
    write(file, GOOD)
    asyncio.run(source.refresh())
    write(file, text)

    asyncio.run(source.refresh())
    assert names(source) == ["greet"]
    assert "was not loaded within 0.5 seconds" in (source.problem or "")
    assert [record.levelname for record in caplog.records] == ["ERROR"]

    write(file, GOOD.replace("greet", "hello"))
    asyncio.run(source.refresh())
    assert (names(source), source.problem) == (["hello"], None)


def test_a_file_that_is_mended_while_it_hangs_is_not_held_up(file: Path, watch: Callable[..., FileSource]) -> None:
    source = watch(file, load_limit_s=15)

    async def mend() -> None:
        write(file, "import threading\nthreading.Event().wait(20)\n")
        hanging = asyncio.create_task(source.refresh())
        await asyncio.sleep(0)
        write(file, GOOD)
        await source.refresh()
        assert names(source) == ["greet"]
        hanging.cancel()

    began = time.monotonic()
    asyncio.run(mend())
    assert time.monotonic() - began < 14


def test_a_load_that_ends_late_is_used_while_the_file_is_the_same(file: Path, watch: Callable[..., FileSource]) -> None:
    source = watch(file, load_limit_s=0.1)
    write(file, f"import time\ntime.sleep(0.4)\n{GOOD}")
    asyncio.run(source.refresh())
    assert names(source) == []

    wait_for(lambda: names(source) == ["greet"], "the late load to be used")
    assert source.problem is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"TOOLS = []\n{GOOD}", "it has TOOLS, and no function execute_tool"),
        (f"TOOLS = []\nexecute_tool = 5\n{GOOD}", "it has TOOLS, and no function execute_tool"),
        (f"TOOLS = {{}}\ndef execute_tool(name, arguments): ...\n{GOOD}", "TOOLS is no list"),
        (f"TOOL = []\ndef execute_tool(name: str, arguments: dict) -> str: ...\n{GOOD}", "its TOOLS is no list"),
        (f'__all__ = "greeting"\n{GOOD}', "__all__ is no list of names"),
        (f"__all__ = [greet]\n{GOOD}".replace("[greet]", "[5]"), "__all__ is no list of names"),
        (f"class Bad(BaseException): ...\n{GOOD}raise Bad('no')\n", "line 5: Bad: no"),
        (
            f"class Bad(Exception):\n    def __str__(self): raise ValueError\n{GOOD}raise Bad\n",
            "Bad: it cannot be turned into text",
        ),
        (
            "class Odd(list):\n    def __iter__(self): raise SystemExit\nTOOLS = Odd()\ndef execute_tool(n, a): ...\n",
            "line 2: SystemExit",
        ),
    ],
)
def test_a_file_that_is_half_wrong_offers_nothing_more_than_was_meant(file: Path, text: str, said: str) -> None:
    write(file, text)

    with pytest.raises(BrokenToolsFile, match=said):
        load_tools(file)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_file_of_notepad_or_powershell_is_read(file: Path, encoding: str, end: str) -> None:
    mark = "\ufeff" if encoding in ("utf-16-le", "utf-16-be") else ""
    file.write_bytes((mark + GOOD.replace("Greet.", "Grüßen.").replace("\n", end)).encode(encoding))

    [tool] = load_tools(file).tools
    assert tool.description == "Grüßen."
    assert tool.invoke('{"name": "Ann"}') == "Hello Ann"
