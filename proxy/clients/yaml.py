"""YAML in block style, edited by span at the places ruamel.yaml names: what is not changed keeps its bytes."""

import json
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode, SequenceNode

from proxy.clients.edits import CannotEdit, Path


class Yaml:
    """Read and edit lists at the top or one key down, and single values."""

    def parse(self, text: str) -> Any:
        """Return what a text says; raises ValueError."""
        try:
            data = YAML(typ="safe", pure=True).load(text)
        except (YAMLError, RecursionError, OverflowError) as error:
            raise ValueError(first_line(error)) from error
        return {} if data is None else data

    def put(self, text: str, path: Path, value: Any) -> str:
        """Put a value in the place of another, or below a new key at the end; raises CannotEdit."""
        root = composed(text)
        if root is not None:
            node = reach(root, path)
            if node is not None:
                return replaced(text, node, value)
        if len(path) != 1 or not (root is None or is_block(root, MappingNode)):
            raise CannotEdit("only new keys at its top are written")
        return with_lines(text, root, f"{key_text(path[0])}: {json.dumps(value, ensure_ascii=False)}\n")

    def add(self, text: str, path: Path, value: dict[str, Any]) -> str:
        """Add an item to a list; raises CannotEdit."""
        root = composed(text)
        node = root if root is None else reach(root, path)
        if node is None or is_empty(node):
            if node is not None and path:
                return emptied(text, node, item_text(value, 2))
            if len(path) > 1 or (path and not (root is None or is_block(root, MappingNode))):
                raise CannotEdit("only lists at its top are written")
            if not path and root is not None:
                raise CannotEdit("it is written on one line")
            block = f"{key_text(path[0])}:\n{item_text(value, 2)}" if path else item_text(value, 0)
            return with_lines(text, root, block)
        if not is_block(node, SequenceNode):
            raise CannotEdit("its list is written on one line")
        place = line_end(text, last_index(node))
        gap = "" if text[:place].endswith("\n") else "\n"
        return text[:place] + gap + item_text(value, node.start_mark.column) + text[place:]

    def remove(self, text: str, path: Path) -> str:
        """Remove the lines of a key or an item; raises CannotEdit."""
        root = composed(text)
        parent = root and reach(root, path[:-1])
        if isinstance(parent, MappingNode) and not parent.flow_style:
            key, node = next(pair for pair in parent.value if pair[0].value == path[-1])
            start = key.start_mark.index
        elif isinstance(parent, SequenceNode) and not parent.flow_style and isinstance(path[-1], int):
            node = parent.value[path[-1]]
            start = text.rfind("-", 0, node.start_mark.index)
        else:
            raise CannotEdit("it is written on one line")
        start = text.rfind("\n", 0, start) + 1
        end = line_end(text, last_index(node))
        if len(parent.value) == 1 and path[:-1]:
            before = text[:start].rstrip("\n")
            empty = " []" if isinstance(parent, SequenceNode) else " {}"
            return f"{before}{empty}\n{text[end:]}"
        return text[:start] + text[end:]


def composed(text: str) -> Node | None:
    """Return the tree of a text, None for an empty one; raises CannotEdit."""
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, RecursionError) as error:
        raise CannotEdit(first_line(error)) from error
    return root if isinstance(root, Node) and not is_null(root) else None


def reach(node: Node, path: Path) -> Node | None:
    """Return the node at a path, None where there is none."""
    for step in path:
        if isinstance(node, MappingNode):
            found = [value for key, value in node.value if isinstance(key, ScalarNode) and key.value == step]
        else:
            found = node.value[step : step + 1] if isinstance(node, SequenceNode) and isinstance(step, int) else []
        if not found:
            return None
        node = found[-1]
    return node


def replaced(text: str, node: Node, value: Any) -> str:
    """Return the text with a value in the place of another one; raises CannotEdit."""
    start, end = node.start_mark.index, node.end_mark.index
    written = json.dumps(value, ensure_ascii=False)
    if is_empty(node) and start == end:
        return f"{text[:start].rstrip(' ')} {written}{text[start:]}"
    if is_block(node):
        if isinstance(node, SequenceNode) or not isinstance(value, dict):
            raise CannotEdit("its value has several lines")
        lines = mapping_lines(value, node.start_mark.column)
        place = line_end(text, last_index(node))
        return text[:start] + lines[node.start_mark.column :] + text[place:]
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        raise CannotEdit("its value has several lines")
    return text[:start] + written + text[end:]


def emptied(text: str, node: Node, block: str) -> str:
    """Return the text with lines in the place of an empty value, behind what else is on its line."""
    start, end = node.start_mark.index, node.end_mark.index
    head = text[:start].rstrip(" ")
    place = line_end(text, end)
    rest = text[end:place].rstrip("\n")
    return f"{head}{rest}\n{block}{text[place:]}"


def with_lines(text: str, root: Node | None, lines: str) -> str:
    """Return the text with lines behind its last value."""
    place = len(text) if root is None else line_end(text, last_index(root))
    gap = "" if not place or text[:place].endswith("\n") else "\n"
    return text[:place] + gap + lines + text[place:]


def last_index(node: Node) -> int:
    """Return where the last thing of a value ends; a block's own end lies behind the comments that follow."""
    if not is_block(node) or not node.value:
        index = int(node.end_mark.index)
        is_lines = isinstance(node, ScalarNode) and node.style in ("|", ">")
        return index - 1 if is_lines and index else index
    last = node.value[-1]
    return max(last_index(last[0]), last_index(last[1])) if isinstance(last, tuple) else last_index(last)


def line_end(text: str, place: int) -> int:
    """Return where the line of a place ends, behind its line feed."""
    found = text.find("\n", place)
    return len(text) if found < 0 else found + 1


def item_text(value: dict[str, Any], column: int) -> str:
    """Return an object as an item of a list."""
    lines = mapping_lines(value, column + 2)
    return f"{' ' * column}- {lines[column + 2 :]}"


def mapping_lines(value: dict[str, Any], column: int) -> str:
    """Return an object as lines; JSON's values are YAML's too."""
    indent = " " * column
    return "".join(f"{indent}{key_text(key)}: {json.dumps(each, ensure_ascii=False)}\n" for key, each in value.items())


def key_text(key: Any) -> str:
    """Return a key as YAML has it."""
    return str(key) if str(key).replace("-", "").replace("_", "").isalnum() else json.dumps(key)


def is_block(node: Node | None, kind: type[CollectionNode] = CollectionNode) -> bool:
    """Tell whether a node has a kind and stands on lines of its own."""
    return isinstance(node, kind) and not node.flow_style


def is_empty(node: Node) -> bool:
    """Tell whether a value is null, or a list without items."""
    return is_null(node) or (isinstance(node, SequenceNode) and not node.value)


def is_null(node: Node) -> bool:
    """Tell whether a value is null, written or left out."""
    return isinstance(node, ScalarNode) and str(node.ctag or "").endswith(":null")


def first_line(error: BaseException) -> str:
    """Return what is wrong with a text, and in which line."""
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}: this is no YAML" if mark else "this is no YAML"
