"""The result of an edit of the settings file by hand, as observers are told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TakenUp:
    """An edit of the settings file by hand that was applied."""

    file: str  # its name
    fields: tuple[str, ...]
    at: float  # seconds of the wall clock
    was_wrong: bool = False  # the file was wrong before

    def __str__(self) -> str:
        right = "right again; " if self.was_wrong else ""
        return f"{self.file}: {right}now in force: {', '.join(self.fields) or 'the same as before'}"
