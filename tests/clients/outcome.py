"""What a client made of an answer, whichever client it was."""

from dataclasses import dataclass, field
from typing import Any, Literal

Usage = dict[str, int]
End = Literal["complete", "silent", "reported", "raised"]


@dataclass(frozen=True)
class Outcome:
    """What a program that uses the client has in hand at the end."""

    text: str = ""
    tool_calls: list[list[str]] = field(default_factory=list)  # name and arguments of each
    usage: Usage | None = None
    finish: str | None = None
    error: str | None = None  # what was raised or reported
    status: int | None = None  # the HTTP status it names
    code: str | None = None  # the API's code it names
    raised: bool = False

    @property
    def end(self) -> End:
        """Tell how it ended; silent: without an error, and without anything that says it is whole."""
        if self.error is not None:
            return "raised" if self.raised else "reported"
        return "complete" if self.finish is not None else "silent"

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Outcome":
        """Read what a client in another process told."""
        return cls(**told)

    def shown(self) -> str:
        """Say it in a few words, for a table."""
        if self.end == "complete":
            return "whole"
        got = f" after {len(self.text)} characters" if self.text else ""
        if self.end == "silent":
            return f"**nothing said**{got}"
        named = ", ".join(str(part) for part in (self.status, self.code) if part is not None)
        return f"{self.end}{f' ({named})' if named else ''}{got}"
