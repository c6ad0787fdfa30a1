"""Hold a stream back until its first event with content: until then another upstream can still be asked."""

import re

from proxy.exchange.answers import Beginning, PassedAnswer
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


async def first_content(answer: Answer) -> tuple[Answer, bool]:
    """Return the answer once its first content has come, or its failure or end, and whether an error came before that.

    A whole answer is returned at once. Raises UpstreamFailure where it breaks off without words.
    """
    if answer.body is not None or answer.status >= 400 or not is_stream(answer):
        return answer, False
    held: list[bytes] = []
    size = 0
    tells_error = False
    try:
        while chunk := await answer.next_chunk():
            held.append(chunk)
            size += len(chunk)
            content = CONTENT.search(chunk)
            if error := ERROR.search(chunk):
                tells_error = content is None or error.start() < content.start()
                break
            if answer.failure is not None or size > MAX_HELD_BYTES or content is not None:
                break
    except BaseException:
        answer.close()
        raise
    return PassedAnswer(answer, answer.headers, Beginning(b"".join(held))), tells_error


def is_stream(answer: Answer) -> bool:
    """Tell whether an answer is one of events."""
    return answer.headers.get("content-type").strip().lower().startswith("text/event-stream")
