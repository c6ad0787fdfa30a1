"""The client of one upstream: the SDK, and the connections it sends over. Lives on the event loop."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote, urlsplit

import httpx2
from cachetools import LRUCache

from proxy.errors.upstream import UpstreamUnreachable
from proxy.http.answer import Answer
from proxy.http.headers import Headers
from proxy.settings.upstreams import KEY_PLACE, Upstream
from proxy.upstream.dial import Dialer, Origin
from proxy.upstream.errors import opening
from proxy.upstream.messages import UpstreamRequest
from proxy.upstream.network_proxy import NetworkProxy
from proxy.upstream.open_socket import OpenSocket
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.pool import Pool
from proxy.upstream.tls import tls_context
from proxy.upstream.transport import (
    NO_KEY,
    FirstOfItsKind,
    PoolTransport,
    headers_of,
    open_sdk,
    send_by_sdk,
)
from proxy.upstream.wire import WireAnswer
from proxy.upstream.wire_request import WireRequest

MAX_KINDS = 256
MAX_REMEMBERED_HEADS = 256
MAX_REMEMBERED_BYTES = 8_192  # of one head
PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
BODILESS = ("GET", "HEAD", "OPTIONS", "TRACE")  # a length of 0 is said of all others (RFC 9110, 8.6)
DEFAULT_PORTS = {"http": 80, "https": 443}
AUTHORIZATION = "authorization"
# The one header that differs from the SDK's: what the relay copies must be readable as it passes.
NO_ENCODING = {"accept-encoding": "identity"}
NO_HEADERS = Headers()

Kind = tuple[str, str, str]  # method, key, and the first part of the path


class UpstreamClient:
    """Speak to one upstream; raises UpstreamFailure where it cannot be spoken to."""

    def __init__(self, options: UpstreamOptions) -> None:
        self.options = options
        self.upstream: Upstream | None = None  # whom it is in use for
        with opening:  # before anything is open: not every address that settings take is one to the SDK
            self.name = httpx2.URL(options.base_url).netloc.decode("ascii")
            origin = origin_of(options.base_url)
        self.label = self.name  # what the user calls it; by its host, where nobody has given it a name
        self._base_path = urlsplit(options.base_url).path
        self._proxy = NetworkProxy.of(options.network_proxy) if options.network_proxy else None
        dialer = Dialer(origin, tls_context(options), self._proxy)
        self._asks_proxy = dialer.asks_proxy
        self._pool = Pool(dialer, options.timeout_s)
        self.sdk = open_sdk(options, PoolTransport(self._send_of_sdk))
        self._prepared: LRUCache[Kind, dict[str, str]] = LRUCache(MAX_KINDS)
        self._preparing: dict[Kind, asyncio.Future[None]] = {}
        self._heads: LRUCache[tuple[object, ...], tuple[bytes, Headers]] = LRUCache(MAX_REMEMBERED_HEADS)
        self._running = 0  # answers and WebSockets that have not ended
        self._closing: asyncio.Task[None] | None = None
        self._is_retired = False

    async def send(self, request: UpstreamRequest, key: str) -> Answer:
        """Send once and return the answer, whatever its status; raises UpstreamFailure, and what the body raises."""
        return await self._perform(request, key, self._send)

    async def open_websocket(self, request: UpstreamRequest, key: str) -> Answer:
        """Ask for a WebSocket, once and on a new connection: return it, or the refusal; raises UpstreamFailure."""
        return await self._perform(request, key, self._open_websocket)

    def retire(self) -> None:
        """Close once the last answer has ended: other settings are in force."""
        self._is_retired = True
        self._close_if_idle()

    @property
    def is_closed(self) -> bool:
        """Tell whether it has been retired, and all its connections are closed."""
        return self._closing is not None and self._closing.done()

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()
        await self.sdk.close()

    def _note_end(self) -> None:
        self._running -= 1
        if self._is_retired:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._running == 0 and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self.close())

    # --- the SDK sends what it has not sent before, and its head is kept for what is like it --------------------------

    async def _perform(
        self,
        request: UpstreamRequest,
        key: str,
        send: Callable[[UpstreamRequest, str, dict[str, str]], Awaitable[WireAnswer | OpenSocket]],
    ) -> Answer:
        kind = (request.method, key, request.path.lstrip("/").partition("/")[0])
        self._running += 1
        try:
            while (prepared := self._prepared.get(kind)) is None and kind in self._preparing:
                await asyncio.wait([self._preparing[kind]])
            if prepared is not None:
                answer = await send(request, key, prepared)
            else:
                answer = await self._perform_first(kind, request, lambda prepared: send(request, key, prepared))
        except BaseException:
            self._note_end()
            raise
        answer.on_end = self._note_end
        return answer

    async def _perform_first(
        self, kind: Kind, request: UpstreamRequest, send: Callable[[dict[str, str]], Awaitable[WireAnswer | OpenSocket]]
    ) -> WireAnswer | OpenSocket:
        """Have the SDK send it; others of the same kind wait until its head is known, and no longer."""
        prepared: dict[str, str] = {}
        done = self._preparing[kind] = asyncio.get_running_loop().create_future()

        def keep(headers: dict[str, str]) -> None:
            prepared.update(headers)
            self._prepared[kind] = prepared
            self._preparing.pop(kind, None)
            if not done.done():
                done.set_result(None)

        method, key, _ = kind
        path = request.path if PLAIN_PATH.fullmatch(request.path) else "/"
        first = FirstOfItsKind(keep, lambda: send(prepared))
        try:
            with opening:
                return await send_by_sdk(self.sdk, method, path, key, request.body, first)
        finally:
            if not done.done():
                self._preparing.pop(kind, None)
                done.set_result(None)

    async def _send(self, request: UpstreamRequest, key: str, prepared: dict[str, str]) -> WireAnswer:
        head = self._head(request, key, prepared)
        to_head = request.method == "HEAD"
        if request.body is None:
            length = b"\r\n" if request.method in BODILESS else b"content-length: 0\r\n\r\n"
            return await self._pool.send(WireRequest(head + length, b"", to_head=to_head))
        length_known = len(request.body) if isinstance(request.body, bytes) else request.length
        if length_known is None:
            chunked = head + b"transfer-encoding: chunked\r\n\r\n"
            return await self._pool.send(WireRequest(chunked, request.body, is_chunked=True, to_head=to_head))
        return await self._pool.send(
            WireRequest(b"%bcontent-length: %d\r\n\r\n" % (head, length_known), request.body, to_head=to_head)
        )

    async def _open_websocket(
        self, request: UpstreamRequest, key: str, prepared: dict[str, str]
    ) -> WireAnswer | OpenSocket:
        return await self._pool.open_websocket(self._head(request, key, prepared) + b"\r\n")

    async def _send_of_sdk(self, request: httpx2.Request) -> WireAnswer:
        """Send a request that the SDK makes of its own: one of its typed calls."""
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        sent = headers_of(request)
        key = sent.get("authorization", "").removeprefix("Bearer ")
        key = "" if key == NO_KEY else key
        query = with_query(query, self.options, key)
        target = path + (f"?{query}" if query else "")
        headers = laid_over(with_key(sent, self.options, key), Headers(), has_key=bool(key))
        body = await request.aread()
        length = b"content-length: %d\r\n" % len(body) if body or request.method not in BODILESS else b""
        head = self._head_of(request.method, target, headers) + length + b"\r\n"
        return await self._pool.send(WireRequest(head, body, to_head=request.method == "HEAD"))

    def _head(self, request: UpstreamRequest, key: str, prepared: dict[str, str]) -> bytes:
        """Return a request's head but for its length; the same ones come again and again."""
        kind = (request.method, request.path, request.query, key, *request.headers)
        head, headers = self._heads.get(kind) or (None, NO_HEADERS)
        if head is None:
            query = with_query(request.query, self.options, key)
            target = self._base_path + request.path + (f"?{query}" if query else "")
            own = with_key(prepared, self.options, key)
            set_here = {name.lower() for name, _ in self.options.headers}
            callers = Headers([pair for pair in request.headers if pair[0] not in set_here])
            headers = laid_over(own, callers, has_key=bool(key))
            head = self._head_of(request.method, target, headers)
            if len(head) <= MAX_REMEMBERED_BYTES:
                self._heads[kind] = head, headers
        if request.note_headers is not None:
            request.note_headers(headers)
        return head

    def _head_of(self, method: str, target: str, headers: Headers) -> bytes:
        if self._asks_proxy and self._proxy is not None:
            target = f"http://{headers.get('host')}{target}"
            if self._proxy.authorization is not None:
                headers = headers.plus(("Proxy-Authorization", self._proxy.authorization))
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        head = f"{method} {target} HTTP/1.1\r\n".encode() + lines.encode("latin-1")
        if not head.count(b"\r") == head.count(b"\n") == len(headers) + 1 or b"\0" in head:
            raise ValueError("a header holds a line break")
        return head


def origin_of(base_url: str) -> Origin:
    """Return where an upstream's base URL leads; raises UpstreamUnreachable where that is no name."""
    parts = urlsplit(base_url)
    host = parts.hostname or ""
    if not host.isascii():
        try:
            host = host.encode("idna").decode()
        except UnicodeError as error:
            raise UpstreamUnreachable(f"{host} is no name of a computer") from error
    return Origin(host, parts.port or DEFAULT_PORTS[parts.scheme], parts.scheme == "https")


# --- what a head is made of ------------------------------------------------------------------------------------------


def with_key(headers: Mapping[str, str], options: UpstreamOptions, key: str) -> dict[str, str]:
    """Return a request's headers, names in lower case, with the key in the form the upstream takes.

    `headers` are those of the SDK, which shows the key as a Bearer token. Without a key nothing is shown.
    """
    dressed = dict(headers)
    # The SDK reads these from variables of its own, which no setting here knows, and which mean one provider.
    for name, chosen in (("openai-organization", options.organization), ("openai-project", options.project)):
        if chosen is None:
            dressed.pop(name, None)
    if not key or options.auth == "none":
        dressed.pop(AUTHORIZATION, None)
    elif options.auth != "bearer":
        dressed.pop(AUTHORIZATION, None)
        dressed[options.auth] = key
    for name, value in options.headers:
        if key or KEY_PLACE not in value:
            dressed[name.lower()] = value.replace(KEY_PLACE, key)
    return dressed


def with_query(query: str, options: UpstreamOptions, key: str) -> str:
    """Return a request's query, encoded, with what the upstream's address has in its own."""
    added = "&".join(
        f"{quote(name, safe='')}={quote(value.replace(KEY_PLACE, key), safe='')}" for name, value in options.query
    )
    return "&".join(part for part in (query, added) if part)


def laid_over(prepared: dict[str, str], callers: Headers, *, has_key: bool) -> Headers:
    """Return the caller's headers over those the SDK would send."""
    given = {name for name, _ in callers}
    if any(name.startswith("x-stainless-") for name in given):  # another SDK: never mix its traits with ours
        given.update(name for name in prepared if name.startswith("x-stainless-"))
    if not has_key:
        given.add("authorization")
    sdk = (pair for pair in (prepared | NO_ENCODING).items() if pair[0] not in given)
    return Headers((*sdk, *callers))
