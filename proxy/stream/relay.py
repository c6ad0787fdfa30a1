"""Copy an answer to the client: every byte as it came, and an end only where the upstream made one."""

from typing import Protocol

from proxy.errors import UpstreamFailure

Headers = list[tuple[str, str]]


class Answer(Protocol):
    """What goes to the client: whole, or chunk by chunk."""

    status: int
    headers: Headers
    body: bytes | None  # None: take the chunks

    async def next_chunk(self) -> bytes:
        """Return the next bytes, b"" at the end; raises UpstreamFailure."""

    def close(self) -> None:
        """Let go of the upstream; a second call does nothing."""


class Client(Protocol):
    """The way back to the caller. Its leaving cancels the task that serves it."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a complete answer."""

    async def start(self, status: int, headers: Headers) -> None:
        """Send status and headers of an answer that is yet to come."""

    async def write(self, data: bytes) -> None:
        """Send some of the body; returns when the client has room for more."""

    async def finish(self) -> None:
        """End the answer, complete."""

    def abort(self) -> None:
        """Cut the connection, so that nobody takes the answer for complete."""


async def relay(answer: Answer, client: Client) -> UpstreamFailure | None:
    """Copy the whole answer; returns what broke it off, None when it is complete."""
    if answer.body is not None:
        await client.whole(answer.status, answer.headers, answer.body)
        return None
    await client.start(answer.status, answer.headers)
    try:
        while chunk := await answer.next_chunk():
            await client.write(chunk)
    except UpstreamFailure as failure:
        client.abort()
        return failure
    await client.finish()
    return None
