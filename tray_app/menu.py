"""How the tray looks, as data: the icon, its tooltip and the menu lines. Values only, safe to pass between threads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["action", "check", "separator", "submenu"]


@dataclass(frozen=True)
class Line:
    """Describe one menu line; its key stays the same while label, check and place change."""

    key: str
    label: str = ""
    kind: Kind = "action"
    checked: bool | None = None
    enabled: bool = True
    is_default: bool = False  # what a click on the icon itself does
    children: tuple["Line", ...] = ()

    def __post_init__(self) -> None:
        if (self.checked is not None) != (self.kind == "check"):
            raise ValueError(f"menu line {self.key!r}: a check, and only a check, is checked or not")
        if self.children and self.kind != "submenu":
            raise ValueError(f"menu line {self.key!r}: only a submenu has children")
        if not self.label and self.kind != "separator":
            raise ValueError(f"menu line {self.key!r} has no label")

    @property
    def is_clickable(self) -> bool:
        """Whether a click on this line means anything now."""
        return self.enabled and self.kind in ("action", "check")


@dataclass(frozen=True)
class Look:
    """Describe the whole tray: the icon by its state's name, the program's name and how it is, the menu."""

    icon: str
    title: str
    lines: tuple[Line, ...] = ()
    attention: bool = False  # whether it asks for the user's
    status: str = ""

    def __post_init__(self) -> None:
        keys = [line.key for line in walk(self.lines)]
        if len(keys) != len(set(keys)):
            raise ValueError(f"menu keys are not unique: {sorted(keys)}")

    @property
    def tooltip(self) -> str:
        """Name and status in a line, for trays whose tooltip is a single text."""
        return f"{self.title}: {self.status}" if self.status else self.title

    @property
    def default_key(self) -> str | None:
        """The key of the line that a click on the icon runs, None where there is none to click."""
        return next((line.key for line in walk(self.lines) if line.is_default and line.is_clickable), None)


def walk(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield every line, parents before their children."""
    for line in lines:
        yield line
        yield from walk(line.children)
