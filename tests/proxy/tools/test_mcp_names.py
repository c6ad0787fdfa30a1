"""Names of servers' tools: every provider takes them, and each is its tool's own."""

import re

import pytest

from proxy.tools.mcp.names import full_names

LEGAL = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")


@pytest.mark.parametrize(
    ("server", "tools"),
    [
        ("srv", ["get.item", "get_item", "get/item"]),
        ("srv", ["查询天气", "发送邮件", "天气"]),
        ("天气", ["a", "b"]),
        ("天气", ["查询", "发送"]),
        ("1mcp", ["a"]),
        ("_x", ["a"]),
        ("-", ["-", "_"]),
        ("s" * 60, ["t" * 60, "t" * 60 + "2", "t" * 60 + "3"]),
        ("9" * 60, ["t" * 70, "u"]),
        ("my server", ["é", "e", "è", ""]),
    ],
)
def test_names_are_legal_and_distinct(server: str, tools: list[str]) -> None:
    names = full_names(server, tools)

    assert list(names) == tools
    assert len(set(names.values())) == len(tools)
    assert [name for name in names.values() if not LEGAL.fullmatch(name)] == []
    assert full_names(server, tools) == names


def test_a_name_that_needs_no_change_keeps_it() -> None:
    assert full_names("srv", ["get.item", "get_item"])["get_item"] == "srv__get_item"
    assert full_names("srv", ["read/file"]) == {"read/file": "srv__read_file"}
