"""Hold a stream back until its first event with content: until then another upstream can still be asked."""

import re
from collections.abc import Mapping
from typing import Any

from proxy.errors.upstream import UpstreamFailure
from proxy.http.answer import Answer

MAX_HELD_BYTES = 65_536  # a stream that says so much has begun, whatever it says
# What begins an answer and says nothing yet: a role, and the events that tell of a response's and message's birth.
CONTENT = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal|arguments|text|name|delta|thinking|audio|b64_json)"\s*:\s*"[^"]'
    rb'|"finish_reason"\s*:\s*"(?!error")'
    rb'|"type"\s*:\s*"(?:response\.(?!created|in_progress|queued|error)|content_block|message_delta|message_stop)'
    rb"|data:\s*\[DONE\]"
)

# An error in the stream's own words: an object, beside a choice too (OpenRouter), or an event of that kind.
ERROR = re.compile(
    rb'"error"\s*:\s*(?:\{|"[^"])|"type"\s*:\s*"(?:error|response\.failed)"|^event:\s*error', re.MULTILINE
)


async def first_content(answer: Answer) -> Answer:
    """Return the answer once its first content has come, or its failure or end; a whole one at once.

    Raises UpstreamFailure where it breaks off without words.
    """
    if answer.body is not None or answer.status >= 400 or not is_stream(answer):
        return answer
    held: list[bytes] = []
    size = 0
    try:
        while chunk := await answer.next_chunk():
            held.append(chunk)
            size += len(chunk)
            if error := ERROR.search(chunk):
                content = CONTENT.search(chunk)
                return HeldAnswer(answer, held, tells_error=content is None or error.start() < content.start())
            if answer.failure is not None or size > MAX_HELD_BYTES or CONTENT.search(chunk):
                break
    except BaseException:
        answer.close()
        raise
    return HeldAnswer(answer, held)


def is_stream(answer: Answer) -> bool:
    """Tell whether an answer is one of events."""
    return answer.headers.get("content-type").strip().lower().startswith("text/event-stream")


class HeldAnswer(Answer):
    """A stream whose beginning has been read."""

    def __init__(self, inner: Answer, held: list[bytes], *, tells_error: bool = False) -> None:
        self.tells_error = tells_error  # before any content
        self._inner = inner
        self._held = held
        self.status = inner.status
        self.headers = inner.headers

    @property
    def failure(self) -> UpstreamFailure | None:
        """Return what broke the stream off."""
        return self._inner.failure

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what the upstream counted."""
        return self._inner.usage

    @property
    def at_border(self) -> bool:
        """Tell whether a comment may follow."""
        return not self._held and self._inner.at_border

    def broken_off(self, failure: UpstreamFailure) -> bytes:
        """Return an error event, behind what was held; raises UpstreamFailure where half of an event was shown."""
        held, self._held = b"".join(self._held), []
        return held + self._inner.broken_off(failure)

    async def next_chunk(self) -> bytes:
        """Return the next whole events, b"" at the end; raises UpstreamFailure."""
        if self._held:
            held, self._held = b"".join(self._held), []
            return held
        return await self._inner.next_chunk()

    def close(self) -> None:
        """Let go of the upstream."""
        self._inner.close()
