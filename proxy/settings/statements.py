"""Split the settings file's text into statements, to change one setting and leave everything else as it is.

A setting always stands before the first table, whatever its value: a line that somebody adds at the end of the file
is then a setting too, and not swallowed by a table of ours. So a table that holds a setting's value, and keys with dots
that do, become one line; their comments stand above it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tomlkit

TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
    r"|[\[\]{}\n]"
    r"|[^\"'\#\[\]{}\n]+",
    re.DOTALL,
)
NAME = re.compile(r"""\s*\[{0,2}\s*([A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')""")
BEFORE_VALUE = re.compile(r"""\s*(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*')\s*=[ \t]*""")  # of a name without dots
BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Statement:
    """A name and its value, the head of a table, or a line that is empty or a comment; with its line end."""

    text: str
    comments: tuple[str, ...] = ()
    name: str | None = None  # the first part of it, where there are dots

    @property
    def is_head(self) -> bool:
        """Return whether this is the head of a table."""
        return self.name is not None and self.text.lstrip().startswith("[")

    def sets(self, field: str) -> bool:
        """Return whether the statement sets a setting, in any letter case."""
        return self.name is not None and self.name.lower() == field

    @property
    def last_comment(self) -> str:
        """Return the comment behind the value, with the spaces before it."""
        line = self.text.rstrip()
        if not (self.comments and line.endswith(self.comments[-1])):
            return ""
        before = line.removesuffix(self.comments[-1])
        return line[len(before.rstrip()) :]

    def written_out(self) -> Iterator[str]:
        """Yield its comments as lines of their own; the one behind a value says which name it was about."""
        for comment in self.comments:
            is_about_value = self.name is not None and not self.is_head
            yield f"# {self.name}: {comment.lstrip('# ')}\n" if is_about_value else f"{comment}\n"


def split(text: str) -> list[Statement]:
    """Split a valid TOML text into statements."""
    statements: list[Statement] = []
    start = depth = 0
    comments: list[str] = []
    for token in TOKEN.finditer(text):
        sign = token.group()
        depth += (sign in ("[", "{")) - (sign in ("]", "}"))
        if sign.startswith("#"):
            comments.append(sign.rstrip())
        if (sign == "\n" and depth == 0) or token.end() == len(text):
            statement = text[start : token.end()]
            statements.append(Statement(statement, tuple(comments), first_name(statement)))
            start, comments = token.end(), []
    return statements


def first_name(statement: str) -> str | None:
    """Return the name that a statement sets, up to its first dot; None for an empty line or a comment."""
    found = NAME.match(statement)
    if found is None:
        return None
    return found[1] if BARE.fullmatch(found[1]) else str(next(iter(tomlkit.parse(f"{found[1]} = 0"))))


def with_setting(text: str, field: str, value: object) -> str:
    """Return a valid TOML text with a setting changed; None removes it. Raises TOMLKitError."""
    statements = split(text if text.endswith("\n") or not text else f"{text}\n")
    top, tables = in_parts(statements)
    own = [statement for statement in top if statement.sets(field)]
    place = top.index(own[0]) if own else place_for(field, top, tables)
    below: list[Statement] = []
    for table in tables:
        entries, rest = without_entries(table) if table[0].sets(field) else ([], table)
        own += entries
        below += rest
    if value is None and not own:
        return text
    above, behind = ([one for one in part if not one.sets(field)] for part in (top[:place], top[place:]))
    new = [] if value is None else [Statement(line) for line in new_lines(own, field, value)]
    if not own and tables and "".join(one.text for one in (*behind, *below)).lstrip(" \t")[:1] not in ("", "\n"):
        new.append(Statement("\n"))  # what comes next is about the first table
    return "".join(statement.text for statement in (*above, *new, *behind, *below))


def in_parts(statements: Sequence[Statement]) -> tuple[list[Statement], list[list[Statement]]]:
    """Return what stands before the first table, and the tables, each with its head."""
    parts: list[list[Statement]] = [[]]
    for statement in statements:
        if statement.is_head:
            parts.append([])
        parts[-1].append(statement)
    return parts[0], parts[1:]


def place_for(field: str, top: Sequence[Statement], tables: Sequence[Sequence[Statement]]) -> int:
    """Return where a new setting goes: behind the others, and not below the comment that stands over a table."""
    if not tables or tables[0][0].sets(field):
        return len(top)
    settings = [number for number, statement in enumerate(top, 1) if statement.name is not None]
    empty = [number for number, statement in enumerate(top, 1) if not statement.comments]
    return (settings or empty or [0])[-1]


def without_entries(table: Sequence[Statement]) -> tuple[list[Statement], list[Statement]]:
    """Split a table behind its last entry: the comments that follow are about what comes next."""
    end = max(number for number, statement in enumerate(table, 1) if statement.name is not None)
    return list(table[:end]), list(table[end:])


def new_lines(own: Sequence[Statement], field: str, value: object) -> Iterator[str]:
    """Yield the lines that stand for a setting in place of its own ones; a single one keeps its form."""
    before = BEFORE_VALUE.match(own[0].text) if len(own) == 1 else None
    if before is not None:
        last = own[0].last_comment
        yield from (f"{comment}\n" for comment in (own[0].comments[:-1] if last else own[0].comments))
        yield f"{before[0]}{toml(value)}{last}\n"
        return
    for statement in own:
        yield from statement.written_out()
    yield f"{field} = {toml(value)}\n"


def toml(value: object) -> str:
    """Return a value as TOML, on one line; raises TOMLKitError for one that TOML has not."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{toml_name(name)} = {toml(part)}" for name, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(toml, value)) + "]"
    item: Any = tomlkit.item(value)
    return str(item.as_string())


def toml_name(name: str) -> str:
    """Return a name as TOML takes it."""
    return name if BARE.fullmatch(name) else str(tomlkit.item(name).as_string())


def line_of(text: str, field: str) -> int | None:
    """Return the line in which a setting is set first; None where none does."""
    line, is_in_table = 1, False
    for statement in split(text):
        is_in_table = is_in_table or statement.is_head
        if statement.sets(field) and (statement.is_head or not is_in_table):
            return line
        line += statement.text.count("\n")
    return None
