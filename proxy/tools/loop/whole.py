"""Read an answer whole, where the loop has to look into it."""

from proxy.errors.upstream import UpstreamInvalidResponse
from proxy.http.answer import Answer
from proxy.stream.event_json import read_object
from proxy.tools.loop.request import whole_answer
from proxy.tools.tool import JsonObject

LIMIT_BYTES = 64 * 1_048_576


async def read_whole(answer: Answer) -> tuple[Answer, JsonObject | None]:
    """Return an answer complete, and the object in it, None where it is an error or no JSON; raises UpstreamFailure."""
    body = answer.body
    if body is None:
        try:
            body = await read_body(answer)
        finally:
            answer.close()
    value = read_object(body) if answer.status == 200 else None
    if answer.body is None:
        usage = value.get("usage") if value else None
        return whole_answer(answer.status, answer.headers, body, usage if isinstance(usage, dict) else None), value
    return answer, value


async def read_body(answer: Answer) -> bytes:
    """Return the body of an answer that is still arriving; raises UpstreamFailure."""
    pieces: list[bytes] = []
    size = 0
    while chunk := await answer.next_chunk():
        pieces.append(chunk)
        size += len(chunk)
        if size > LIMIT_BYTES:
            raise UpstreamInvalidResponse("it is larger than any completion")
    return b"".join(pieces)
