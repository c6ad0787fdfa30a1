"""All tools there are, by name. A tool is called only by a name that stands here, exactly."""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Protocol

from proxy.tools.tool import Tool


class ToolSource(Protocol):
    """Where tools come from."""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """Return the tools there are now; the same object while nothing has changed."""

    @property
    def is_stale(self) -> bool:
        """Tell whether something has changed; asked before each request, so it must be quick."""

    async def refresh(self) -> None:
        """Take note of what has changed."""


class Registry:
    """Put the sources together; where two have a tool of the same name, the first one's is meant. For any thread."""

    def __init__(self, sources: Sequence[ToolSource]) -> None:
        self._sources = tuple(sources)
        self._known: tuple[tuple[tuple[Tool, ...], ...], Mapping[str, Tool]] = ((), MappingProxyType({}))

    @property
    def tools(self) -> Mapping[str, Tool]:
        """Return the tools by name."""
        parts = tuple(source.tools for source in self._sources)
        known, by_name = self._known
        if len(parts) != len(known) or any(new is not old for new, old in zip(parts, known, strict=True)):
            first: dict[str, Tool] = {}
            for tool in chain(*parts):
                first.setdefault(tool.name, tool)
            by_name = MappingProxyType(first)
            self._known = parts, by_name
        return by_name

    async def refresh(self) -> None:
        """Let the sources take note of what has changed."""
        if stale := [source for source in self._sources if source.is_stale]:
            await asyncio.gather(*(source.refresh() for source in stale))
