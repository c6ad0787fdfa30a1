"""Ask streamed chats for the tokens they use where the client did not; what that adds to the answer is taken out again.

An upstream that does not know the option is asked again without it, once, and from then on never with it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from proxy.exchange.streams import StreamWish
from proxy.policy.body import rewrite
from proxy.settings.model import Settings
from proxy.stream.relay import Answer

CHATS = "/chat/completions"
OPTION = "stream_options"
REFUSING = (400, 422)

Ask = Callable[[bytes], Awaitable[Answer]]
Send = Callable[[bytes, StreamWish], Awaitable[Answer]]

log = logging.getLogger(__name__)


class Counting:
    """Know which upstreams take the option."""

    def __init__(self) -> None:
        self._refusing: set[str] = set()  # base URLs

    def way(self, send: Send, path: str, options: object, wish: StreamWish, settings: Settings) -> Ask:
        """Return what asks for a stream, with the option where it may be added to those the request has."""
        known = options is None or isinstance(options, dict)
        if path != CHATS or wish.asked_usage or not known or not settings.openai_stream_usage:
            return lambda content: send(content, wish)
        given = options if isinstance(options, dict) else {}
        return partial(self._ask, send, given, wish, settings.openai_base_url)

    async def _ask(
        self, send: Send, options: Mapping[str, Any], wish: StreamWish, upstream: str, content: bytes
    ) -> Answer:
        if upstream in self._refusing:
            return await send(content, wish)
        counted = rewrite(content, {OPTION: {**options, "include_usage": True}})
        answer = await send(counted, replace(wish, hides_usage=True))
        if answer.status not in REFUSING or OPTION.encode() not in (answer.body or b""):
            return answer
        log.info("the upstream refuses %s; it is not asked for usage again", OPTION)
        self._refusing.add(upstream)
        answer.close()
        return await send(content, wish)
