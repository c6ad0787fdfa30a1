"""A shell's profile: a block of lines between two marks. No line outside it is read or changed."""

from typing import Any

from proxy.clients.edits import CannotEdit, Path

BEGIN = "# >>> openai-tray-proxy >>>"
END = "# <<< openai-tray-proxy <<<"
BLOCK = "block"


class ShellBlock:
    """Read and edit: the block is the one key, the rest of the text another."""

    def parse(self, text: str) -> Any:
        """Return the block's lines where there is one, and the rest; raises ValueError."""
        head, block, tail = parts(text)
        rest = {"rest": head + tail} if head + tail else {}
        return rest if block is None else {**rest, BLOCK: block}

    def put(self, text: str, path: Path, value: Any) -> str:
        """Put the block's lines, at the end where there is no block; raises CannotEdit."""
        if path != (BLOCK,):
            raise CannotEdit("only the block is written")
        head, block, tail = parts(text)
        if block is None and head and not head.endswith("\n"):
            raise CannotEdit("its last line does not end; add a line break")
        return f"{head}{BEGIN}\n{value}{END}\n{tail}"

    def add(self, text: str, path: Path, value: dict[str, Any]) -> str:  # noqa: ARG002  the formats' signature
        """Refuse: there are no lists."""
        raise CannotEdit("there are no lists")

    def remove(self, text: str, path: Path) -> str:  # noqa: ARG002  the formats' signature
        """Remove the block."""
        head, _, tail = parts(text)
        return head + tail


def parts(text: str) -> tuple[str, str | None, str]:
    """Return what is before the block, in it, and behind it; raises ValueError for one without an end."""
    lines = text.splitlines(keepends=True)
    marks = [line.rstrip("\r\n") for line in lines]
    if BEGIN not in marks and END not in marks:
        return text, None, ""
    if marks.count(BEGIN) != 1 or marks.count(END) != 1 or marks.index(END) < marks.index(BEGIN):
        raise ValueError(f"the marks {BEGIN} and {END} do not fit each other")
    begin, end = marks.index(BEGIN), marks.index(END)
    return "".join(lines[:begin]), "".join(lines[begin + 1 : end]), "".join(lines[end + 1 :])
