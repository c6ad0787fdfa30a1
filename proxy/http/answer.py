"""What comes back for a request: whole, or chunk by chunk."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from proxy.errors.upstream import UpstreamFailure
from proxy.http.headers import Headers


class Answer:
    """An answer whose status is known. The defaults are those of one that is passed on as it arrives."""

    status: int
    headers: Headers
    content_type: str = ""  # as the upstream announced it, and
    content_length: int | None = None  # in bytes
    body: bytes | None = None  # whole, and then nothing holds the upstream any more; None: take the chunks

    @property
    def failure(self) -> UpstreamFailure | None:
        """Return what went wrong although the client was told in the answer's own words."""
        return None

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream said it counted, as far as it was seen to pass."""
        return None

    @property
    def at_border(self) -> bool:
        """Tell whether what was given out so far ends between two events, so that a comment may follow."""
        return False

    def broken_off(self, failure: UpstreamFailure) -> bytes:  # noqa: ARG002  for those that can
        """Return what tells the client that nothing more comes, b"" where the format has no words for it."""
        return b""

    async def next_chunk(self) -> bytes:
        """Return the next bytes as they arrive, b"" at the end; raises UpstreamFailure."""
        return b""

    def close(self) -> None:
        """Let go of the upstream, at once where the body is unfinished; a second call does nothing."""


@dataclass(slots=True)
class WholeAnswer(Answer):
    """An answer that is complete before its first byte leaves."""

    status: int
    headers: Headers  # with its length
    body: bytes | None
    failure: UpstreamFailure | None = None
    usage: Mapping[str, Any] | None = None  # where its maker knows it; else it stands in the body


def whole(status: int, headers: Headers, body: bytes, usage: Mapping[str, Any] | None = None) -> WholeAnswer:
    """Return a whole answer with the length of its body among its headers."""
    return WholeAnswer(status, headers.replaced("content-length", str(len(body))), body, usage=usage)
