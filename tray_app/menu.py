"""How the tray looks, as data: icon, tooltip and menu lines. Frozen values, safe to share between threads."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["action", "check", "radio", "separator", "submenu"]
TOGGLES: tuple[Kind, ...] = ("check", "radio")


@dataclass(frozen=True)
class Line:
    """One menu line. Its key stays the same while label, check and position change."""

    key: str
    label: str = ""
    kind: Kind = "action"
    checked: bool | None = None
    enabled: bool = True
    is_default: bool = False  # a click on the icon runs it
    children: tuple["Line", ...] = ()

    def __post_init__(self) -> None:
        if (self.checked is not None) != (self.kind in TOGGLES):
            raise ValueError(f"menu line {self.key!r}: only a check or radio has `checked`, and it must have one")
        if self.children and self.kind != "submenu":
            raise ValueError(f"menu line {self.key!r}: only a submenu has children")
        if not self.label and self.kind != "separator":
            raise ValueError(f"menu line {self.key!r} has no label")

    @property
    def is_clickable(self) -> bool:
        """Whether this line can be clicked now."""
        return self.enabled and self.kind in ("action", *TOGGLES)


@dataclass(frozen=True)
class Look:
    """The whole tray: the icon by the name of its state, the program's name and status, the menu."""

    icon: str
    title: str
    lines: tuple[Line, ...] = ()
    attention: bool = False  # whether the user should look
    status: str = ""

    def __post_init__(self) -> None:
        keys = [line.key for line in walk(self.lines)]
        if len(keys) != len(set(keys)):
            raise ValueError(f"menu keys are not unique: {sorted(keys)}")

    @property
    def tooltip(self) -> str:
        """Name and status in one line, for trays whose tooltip is a single text."""
        return f"{self.title}: {self.status}" if self.status else self.title

    @property
    def default_key(self) -> str | None:
        """The key of the line that a click on the icon runs; None if there is none."""
        return next((line.key for line in walk(self.lines) if line.is_default and line.is_clickable), None)


def walk(lines: Iterable[Line]) -> Iterator[Line]:
    """Yield every line, parents before their children."""
    for line in lines:
        yield line
        yield from walk(line.children)
