"""Find where the fields named `model` stand in a form, as it arrives. Pure; it holds little of the form."""

import re
from typing import Literal

FORM = re.compile(r"multipart/form-data\s*;.*?\bboundary=(?:\"([^\"]+)\"|([^;\s]+))", re.IGNORECASE)
DISPOSITION = re.compile(rb"^content-disposition:[^\r\n]*", re.IGNORECASE | re.MULTILINE)
NAMES_MODEL = re.compile(rb";\s*name=(?:\"model\"|model\b)", re.IGNORECASE)
HAS_FILE_NAME = re.compile(rb";\s*filename\*?=", re.IGNORECASE)
BLANK = re.compile(rb"\r?\n\r?\n")
MAX_PARTS = 256
MAX_PART_HEAD = 4_096
MAX_NAME_BYTES = 1_024

Place = tuple[int, int]  # first and last + 1, in bytes from the form's beginning


def form_of(content_type: str) -> "FormFields | None":
    """Return a reader of a form, None where the content type is that of none."""
    match = FORM.match(content_type.strip())
    return FormFields((match[1] or match[2]).encode("latin-1", "replace")) if match else None


class FormFields:
    """Read a form piece by piece, and say where the values of its fields named `model` stand; a file is none.

    It holds the current part as far as that may be such a field, else the last bytes, in which a delimiter may begin.
    """

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"--" + boundary
        self._window = bytearray()
        self._base = 0  # where the window begins
        self._state: Literal["before", "head", "value", "past", "over"] = "before"
        self._seen = 0  # of the window; what was looked through for a delimiter
        self._value_at = 0  # in the window
        self._parts = 0

    def feed(self, piece: bytes) -> list[tuple[Place, bytes]]:
        """Take the next piece; return the place and value of each field that it completes."""
        if self._state == "over":
            return []
        self._window += piece
        found: list[tuple[Place, bytes]] = []
        while self._step(found):
            pass
        return found

    @property
    def held_bytes(self) -> int:
        """Return how much of the form it holds."""
        return len(self._window)

    @property
    def is_over(self) -> bool:
        """Tell whether it looks no further: a form of so many parts is none that names a model."""
        return self._state == "over"

    def _step(self, found: list[tuple[Place, bytes]]) -> bool:
        """Go on by a delimiter or a part's head; False where more of the form is needed first."""
        window, mark = self._window, (self._delimiter if self._state == "before" else b"\n" + self._delimiter)
        if self._state == "head":
            blank = BLANK.search(window, 0, MAX_PART_HEAD)
            end = window.find(mark)
            if blank is not None and not 0 <= end < blank.end() - 1:
                self._state = "value" if is_model(bytes(window[: blank.end()])) else "past"
                self._value_at, self._seen = blank.end(), max(blank.end() - 1, 0)
                return True
            if end < 0 and len(window) <= MAX_PART_HEAD + len(mark):
                return False
            self._state = "past"
            return True
        end = window.find(mark, self._seen)
        if end < 0:
            self._seen = max(len(window) - len(mark) + 1, self._seen)
            if self._state == "value" and len(window) - self._value_at > MAX_NAME_BYTES + len(mark):
                self._state = "past"
            if self._state != "value":
                self._drop(self._seen)
            return False
        if self._state == "value":
            last = max(end - 1 if window[end - 1 : end] == b"\r" else end, self._value_at)
            if last - self._value_at <= MAX_NAME_BYTES:
                value = bytes(window[self._value_at : last])
                found.append(((self._base + self._value_at, self._base + last), value))
        self._parts += 1
        self._state = "head" if self._parts < MAX_PARTS else "over"
        self._drop(end + len(mark))
        return self._state == "head"

    def _drop(self, count: int) -> None:
        del self._window[:count]
        self._base += count
        self._seen = max(self._seen - count, 0)


def is_model(head: bytes) -> bool:
    """Tell whether a part's head is that of a field named `model`."""
    said = DISPOSITION.search(head)
    return said is not None and NAMES_MODEL.search(said[0]) is not None and HAS_FILE_NAME.search(said[0]) is None
