"""Decode the settings file and encode it again in the same form: byte order mark, UTF-8 or UTF-16, line ends."""

import codecs
import stat
from dataclasses import dataclass
from pathlib import Path

from proxy.errors.configuration import SettingsFileWrong
from proxy.files import target_of, write_private

MAX_FILE_BYTES = 1_048_576  # its parser takes some seconds for more
# What Windows' editors and shells put before a text; the longer mark begins like the shorter one.
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class FileText:
    """A text with line feeds as line ends, and the encoding and line ends of its file."""

    text: str = ""
    codec: str = "utf-8"
    mark: bytes = b""
    has_crlf: bool = False

    @classmethod
    def of(cls, content: bytes) -> "FileText":
        """Decode a file's bytes; raises ValueError naming the line that cannot be decoded."""
        mark, codec = next(((mark, codec) for mark, codec in MARKS if content.startswith(mark)), (b"", "utf-8"))
        content = content[len(mark) :]
        try:
            text = content.decode(codec)
        except UnicodeDecodeError as error:
            line = content[: error.start].decode(codec, "replace").count("\n") + 1
            raise ValueError(f"line {line}: this is not {codec.upper()} text") from error
        has_crlf = 0 < text.count("\n") == text.count("\r\n")
        return cls(text.replace("\r\n", "\n") if has_crlf else text, codec, mark, has_crlf)

    def content(self, text: str) -> bytes:
        """Return the bytes of another text in this form; raises UnicodeEncodeError for a lone surrogate."""
        return self.mark + (text.replace("\n", "\r\n") if self.has_crlf else text).encode(self.codec)


@dataclass(frozen=True)
class FileState:
    """The content of a file at one moment (None if it does not exist), or why it cannot be read."""

    content: bytes | None = None
    problem: str | None = None

    @classmethod
    def of(cls, path: Path) -> "FileState":
        """Read a file."""
        try:
            return cls(read_content(path))
        except SettingsFileWrong as error:
            return cls(problem=error.detail)


def read_content(path: Path) -> bytes | None:
    """Return the file's bytes, None if there is no file; raises SettingsFileWrong if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SettingsFileWrong(f"{path} is no file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        if (link := dangling_link(path)) is None:
            return None
        raise SettingsFileWrong(f"{link} is a link to {link.readlink()}, where nothing is") from None
    except OSError as error:
        raise SettingsFileWrong(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_FILE_BYTES:
        raise SettingsFileWrong(f"{path} has more than {MAX_FILE_BYTES:,} bytes")
    return content


def is_blank(content: bytes) -> bool:
    """Return whether a file's bytes hold nothing but white space and a byte order mark."""
    try:
        return not FileText.of(content).text.strip()
    except ValueError:
        return False


def dangling_link(path: Path) -> Path | None:
    """Return the broken link, the file or a folder above it; None if the file simply does not exist."""
    return next((place for place in (path, *path.parents) if place.is_symlink() and not place.exists()), None)


def replace_content(path: Path, content: bytes | None) -> None:
    """Replace the file's content; None removes the file. Raises OSError, and then nothing has changed."""
    if content is None:
        target_of(path).unlink(missing_ok=True)
    else:
        write_private(path, content)
