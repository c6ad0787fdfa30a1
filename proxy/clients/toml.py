"""TOML, edited by tomlkit, which keeps comments and order; lines that tomlkit would write anew are refused."""

import json
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from proxy.clients.edits import CannotEdit, Path


class Toml:
    """Read and edit."""

    def parse(self, text: str) -> Any:
        """Return what a text says; raises ValueError."""
        try:
            return tomlkit.parse(text).unwrap()
        except TOMLKitError as error:
            if r"\x00" in str(error) and "\0" not in text:  # its name for the end of a text
                raise ValueError("it ends in the middle of a value") from error
            raise

    def put(self, text: str, path: Path, value: Any) -> str:
        """Put a value at a path; a table that is missing goes to the end. Raises CannotEdit."""
        document = tomlkit.parse(text)
        place: Any = document
        depth = 0
        while depth < len(path) - 1 and path[depth] in place:
            place = place[path[depth]]
            depth += 1
        if depth < len(path) - 1:
            if place is not document and depth == 0:
                raise CannotEdit("it has another form")
            return with_table(text, path, value)
        if isinstance(value, dict) and path[-1] not in place:
            return with_table(text, path, value)
        if place is document and path[-1] not in place:
            return f"{key_line(path[-1], value)}{text}"
        try:
            place[path[-1]] = value
        except (TOMLKitError, TypeError, ValueError) as error:
            raise CannotEdit(str(error)) from error
        return tomlkit.dumps(document)

    def add(self, text: str, path: Path, value: dict[str, Any]) -> str:  # noqa: ARG002  the formats' signature
        """Refuse: no client's list is kept in TOML."""
        raise CannotEdit("lists of tables are not edited")

    def remove(self, text: str, path: Path) -> str:
        """Remove a key or a table; raises CannotEdit."""
        lines = text.splitlines(keepends=True)
        header = f"[{dotted(path)}]"
        starts = [number for number, line in enumerate(lines) if line.strip() == header]
        if len(starts) == 1:  # as we have written it
            start = end = starts[0]
            end += 1
            while end < len(lines) and not lines[end].lstrip().startswith("[") and is_key_line(lines[end]):
                end += 1
            if start and not lines[start - 1].strip():
                start -= 1
            return "".join(lines[:start] + lines[end:])
        document = tomlkit.parse(text)
        place: Any = document
        for step in path[:-1]:
            place = place[step]
        if len(path) == 1 and text.startswith(line := key_line(path[0], place[path[0]].unwrap())):
            return text[len(line) :]
        del place[path[-1]]
        return tomlkit.dumps(document)


def with_table(text: str, path: Path, value: Any) -> str:
    """Return the text with a table at its end."""
    if not isinstance(value, dict):
        path, value = path[:-1], {path[-1]: value}
    gap = "" if not text else "\n" if text.endswith("\n") else "\n\n"
    return f"{text}{gap}[{dotted(path)}]\n" + "".join(key_line(key, each) for key, each in value.items())


def key_line(key: Any, value: Any) -> str:
    """Return a key and its value, a text, a number or a truth value, as a line."""
    return f"{dotted((key,))} = {json.dumps(value, ensure_ascii=False)}\n"


def is_key_line(line: str) -> bool:
    """Tell whether a line is a key with a value that ends on it."""
    try:
        return bool(tomlkit.parse(line).unwrap())
    except TOMLKitError:
        return False


def dotted(path: Path) -> str:
    """Return a path as TOML has it."""
    return ".".join(tomlkit.key(str(step)).as_string() for step in path)
