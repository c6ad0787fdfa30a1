"""Images, sounds and files inside of messages: told from text, counted, and given out one by one."""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?[^,]{0,200}?(;base64)?,", re.IGNORECASE)
# No SVG: it may run scripts.
SAFE_TYPES = re.compile(r"image/(?:png|jpeg|gif|webp|avif|bmp)|audio/[\w.+-]+", re.IGNORECASE)
HASH_CHARACTERS = 16


@dataclass(frozen=True)
class Media:
    """One of them, as it stands in a body: base64."""

    media_type: str
    encoded: str

    def bytes(self) -> bytes:
        """Return it decoded, b"" where it is no base64."""
        try:
            return base64.b64decode(self.encoded, validate=False)
        except (binascii.Error, ValueError):
            return b""

    @property
    def shown_type(self) -> str:
        """Return the type a browser may be told: it shows nothing that could run."""
        return self.media_type if SAFE_TYPES.fullmatch(self.media_type) else "application/octet-stream"


@dataclass
class MediaList:
    """The media of one request, in the order in which they are met."""

    items: list[Media] = field(default_factory=list)

    def part(self, kind: str, url: object, name: object = None) -> dict[str, Any]:
        """Return the part of a message for an address: where it holds the thing itself, by its number here."""
        text = url if isinstance(url, str) else ""
        found = DATA_URL.match(text)
        if found is None:
            return {"type": kind, "url": text or None, "name": named(name)}
        return self.encoded_part(kind, found[1] or "application/octet-stream", text[found.end() :], name)

    def encoded_part(self, kind: str, media_type: object, encoded: object, name: object = None) -> dict[str, Any]:
        """Return the part of a message for what stands there in base64."""
        text = encoded if isinstance(encoded, str) else ""
        media = Media(media_type if isinstance(media_type, str) else "application/octet-stream", text)
        self.items.append(media)
        return {
            "type": kind,
            "media": len(self.items) - 1,
            "media_type": media.media_type,
            "bytes": len(text) * 3 // 4,
            "hash": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:HASH_CHARACTERS],
            "name": named(name),
        }


def named(name: object) -> str | None:
    """Return a file's name, None where there is none."""
    return name if isinstance(name, str) else None
