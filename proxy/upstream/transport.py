"""The SDK's client on our connections: a transport of the HTTP library it uses, by public interfaces alone."""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable

import httpx2
import openai

from proxy.http.answer import Answer
from proxy.http.headers import encoded
from proxy.upstream.open_socket import OpenSocket
from proxy.upstream.options import CONNECT_LIMIT_S, UpstreamOptions
from proxy.upstream.wire import WireAnswer

# What the connection sets itself, from what is really sent.
FRAMING_HEADERS = frozenset({"connection", "content-length", "transfer-encoding"})
NO_KEY = "none"  # the SDK insists on one; it is taken out of what is sent
Sent = WireAnswer | OpenSocket

WITH_BODY = ("POST", "PUT", "PATCH", "DELETE")


class PoolTransport(httpx2.AsyncBaseTransport):
    """Send the SDK's own requests over the pool."""

    def __init__(self, send: Callable[[httpx2.Request], Awaitable[WireAnswer]]) -> None:
        self._send = send

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send once; raises UpstreamFailure."""
        answer = await self._send(request)
        return httpx2.Response(answer.status, headers=encoded(answer.headers), stream=AnswerStream(answer))


class AnswerStream(httpx2.AsyncByteStream):
    """The body of an answer, for the SDK to read."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield it as it arrives; raises UpstreamFailure."""
        while chunk := await self._answer.next_chunk():
            yield chunk

    async def aclose(self) -> None:
        """Let go of the connection."""
        self._answer.close()


class FirstOfItsKind(httpx2.AsyncBaseTransport):
    """Send one request as the SDK has made it; `keep` is given its head, and `send` sends.

    The answer goes past the SDK, to who relays it: of a refusal it would read the whole body, and raise.
    """

    def __init__(self, keep: Callable[[dict[str, str]], object], send: Callable[[], Awaitable[Sent]]) -> None:
        self._keep = keep
        self._send = send
        self.answer: Sent | None = None
        self.failure: BaseException | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send, and tell the SDK that all is well."""
        self._keep(headers_of(request))
        try:
            self.answer = await self._send()
        except Exception as error:  # noqa: BLE001  raised to who relays the answer, and not wrapped by the SDK
            self.failure = error
        return httpx2.Response(200, json={}, request=request)


def headers_of(request: httpx2.Request) -> dict[str, str]:
    """Return the headers of a request of the SDK's but for those of its connection, names in lower case."""
    raw = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in request.headers.raw)
    return {name: value for name, value in raw if name not in FRAMING_HEADERS}


def open_sdk(options: UpstreamOptions, transport: httpx2.AsyncBaseTransport, key: str = "") -> openai.AsyncOpenAI:
    """Return the SDK's client, which sends over this transport; each request brings its own key unless one is given."""
    timeout = httpx2.Timeout(options.timeout_s, connect=CONNECT_LIMIT_S)
    return openai.AsyncOpenAI(
        api_key=key or "each request brings its own",
        base_url=options.base_url,
        organization=options.organization,
        project=options.project,
        timeout=timeout,
        max_retries=0,  # who relays decides, and counts
        http_client=httpx2.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, timeout=timeout),
    )


async def send_by_sdk(
    sdk: openai.AsyncOpenAI,
    method: str,
    path: str,
    key: str,
    body: bytes | AsyncIterable[bytes] | None,
    first: FirstOfItsKind,
) -> Sent:
    """Have the SDK send a request, and return its answer; raises UpstreamFailure, and what the body raises."""
    async with httpx2.AsyncClient(transport=first, trust_env=False, follow_redirects=False) as http_client:
        client = sdk.with_options(api_key=key or NO_KEY, http_client=http_client)
        if method not in WITH_BODY:
            await client.get(path, cast_to=httpx2.Response)
        elif body is None:
            await getattr(client, method.lower())(path, cast_to=httpx2.Response)
        else:
            await getattr(client, method.lower())(path, cast_to=httpx2.Response, content=body)
    if first.failure is not None:
        raise first.failure
    assert first.answer is not None  # noqa: S101  it has one, or a failure
    return first.answer
