"""What streams of typed events have in common: those of responses and of Claude's messages."""

from collections.abc import Mapping
from typing import Any

from proxy.errors.upstream import UpstreamFailure
from proxy.stream.completions import Rewrite
from proxy.stream.sse import Event


class TypedEvents:
    """Follow one such stream, whose end only the upstream can tell.

    `hide` takes keys out of what the upstream says of an error.
    """

    def __init__(self, *, hide: Rewrite | None = None) -> None:
        self.usage: Mapping[str, Any] | None = None
        self.is_over = False
        self.is_complete = False
        self.is_settled = False
        self._hide = hide
        self._is_ordinary = False

    def ending(self, failure: UpstreamFailure | None) -> bytes | None:  # noqa: ARG002  the dialects' signature
        """Return None: there is no end that we could write."""
        return None

    def is_ordinary(self) -> bool:
        """Tell whether the last event seen said nothing but some text."""
        return self._is_ordinary

    def _see_error(self, event: Event) -> bytes:
        """Take note of an error in the stream's own words, and return it without keys."""
        self.is_settled = True
        return self._hide(event.raw) if self._hide else event.raw
