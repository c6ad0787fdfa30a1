"""The client of one upstream: the SDK and the HTTP session they share. Lives on the event loop."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx2
from cachetools import LRUCache
from multidict import CIMultiDict, istr
from yarl import URL

from proxy.errors.upstream import UpstreamStaleConnection
from proxy.http.answer import Answer
from proxy.settings.upstreams import Upstream
from proxy.upstream import retry, wire
from proxy.upstream.auth import with_key, with_query
from proxy.upstream.errors import BrokenOff, opening
from proxy.upstream.handshake import shake_hands
from proxy.upstream.messages import UpstreamRequest
from proxy.upstream.network_proxy import NetworkProxy
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.proxy_middleware import ProxyMiddleware
from proxy.upstream.sdk_headers import open_sdk, sdk_headers
from proxy.upstream.session import open_session, tls_context
from proxy.upstream.wire import WireAnswer

MAX_KEYS = 64
MAX_REMEMBERED_HEADS = 256
PIECE_BYTES = 262_144
NO_KEY = "none"  # the SDK insists on one; it is taken out of what is sent


class UpstreamClient:
    """Speak to one upstream; raises SettingError, and UpstreamFailure where its address or the proxy's is none."""

    def __init__(self, options: UpstreamOptions) -> None:
        self.options = options
        self.upstream: Upstream | None = None  # whom it is in use for
        with opening:  # before anything is open: not every address that settings take is one to the SDK
            address = httpx2.URL(options.base_url)
        self.name = address.netloc.decode("ascii")
        self._proxy = NetworkProxy.of(options.network_proxy) if options.network_proxy else None
        through: Any = {"proxy": self._proxy.url, "before": (ProxyMiddleware(self._proxy),)} if self._proxy else {}
        context = tls_context(options)
        self._session = open_session(options, context, reuse=True, **through)
        self._fresh_session = open_session(options, context, reuse=False, **through)
        self._sdk = open_sdk(options, context, self._session)
        self._prepared: LRUCache[tuple[str, str], asyncio.Task[dict[istr, str]]] = LRUCache(MAX_KEYS)
        self._heads: LRUCache[tuple[object, ...], wire.Head] = LRUCache(MAX_REMEMBERED_HEADS)
        self._running = 0  # answers and WebSockets that have not ended
        self._closing: asyncio.Task[None] | None = None
        self._is_retired = False

    async def send(self, request: UpstreamRequest, key: str, *, over_new_connection: bool = False) -> Answer:
        """Send once and return the answer, whatever its status; raises UpstreamFailure.

        UpstreamStaleConnection among them says that a connection that was used again had died: another is worth a try.
        """
        session = self._fresh_session if over_new_connection else self._session
        self._running += 1
        try:
            answer = await self._send_over(session, request, key)
        except BrokenOff as error:
            self._note_end()
            failure = opening.translate(error)
            raise (UpstreamStaleConnection(failure.detail) if error.stale else failure) from error
        except opening.foreign as error:
            self._note_end()
            raise opening.translate(error) from error
        except BaseException:
            self._note_end()
            raise
        answer.on_end = self._note_end
        return answer

    async def open_websocket(self, request: UpstreamRequest, key: str) -> Answer:
        """Ask for a WebSocket, once and on a new connection: return it, or the refusal; raises UpstreamFailure."""
        headers = await self._headers(request, key)
        self._running += 1
        try:
            with opening:
                answer = await shake_hands(self._fresh_session, self._url(request, key), headers)
        except BaseException:
            self._note_end()
            raise
        answer.on_end = self._note_end
        return answer

    def may_retry(self, answer: Answer, upstream_status: int) -> bool:
        """Tell whether the SDK would try again after this answer, given tries enough."""
        return retry.may_retry(self._sdk, upstream_status, answer.headers)

    def retry_pause_s(self, answer: Answer, tries: int) -> float | None:
        """Return the seconds to wait before the next try, None when this answer is final; `tries` counts those made."""
        return retry.retry_pause_s(self._sdk, answer, tries)

    def is_quota_error(self, answer: Answer) -> bool:
        """Tell whether the account has no money left, which no waiting mends."""
        return retry.is_quota_error(answer)

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
        await self._session.close()
        await self._fresh_session.close()
        await self._sdk.close()

    def _note_end(self) -> None:
        self._running -= 1
        if self._is_retired:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self._running == 0 and self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self.close())

    async def _send_over(self, session: aiohttp.ClientSession, request: UpstreamRequest, key: str) -> WireAnswer:
        """Send a small body that is in memory the short way; everything else as the client's session sends it."""
        if isinstance(request.body, bytes) and len(request.body) <= PIECE_BYTES and self._proxy is None:
            return await wire.send(session, await self._head(request, key), request.body)
        headers = await self._headers(request, key)
        if request.length is not None:
            headers["content-length"] = str(request.length)
        body = in_pieces(request.body) if isinstance(request.body, bytes) else request.body
        url = URL(self._url(request, key), encoded=True)
        response = await session.request(request.method, url, headers=headers, data=body, allow_redirects=False)
        return WireAnswer.of(response)

    def _url(self, request: UpstreamRequest, key: str) -> str:
        query = with_query(request.query, self.options, key) if self.options.query else request.query
        return self.options.base_url + request.path + (f"?{query}" if query else "")

    async def _head(self, request: UpstreamRequest, key: str) -> wire.Head:
        """Return the head of a request; the same ones come again and again."""
        kind = (request.method, request.path, request.query, key, *request.headers)
        head = self._heads.get(kind)
        if head is None:
            headers = await self._headers(request, key)
            head = self._heads[kind] = wire.Head.of(self._session, request.method, self._url(request, key), headers)
        return head

    async def _headers(self, request: UpstreamRequest, key: str) -> CIMultiDict[str]:
        """Lay the caller's headers over those the SDK would send."""
        sent_by_sdk = await self._sdk_headers(request.method, key or NO_KEY)
        prepared = with_key({str(name): value for name, value in sent_by_sdk.items()}, self.options, key)
        given = {name for name, _ in request.headers}
        if any(name.startswith("x-stainless-") for name in given):  # another SDK: never mix its traits with ours
            given.update(name for name in prepared if name.startswith("x-stainless-"))
        headers = CIMultiDict((name, value) for name, value in prepared.items() if name not in given)
        headers.extend(request.headers)
        return headers

    async def _sdk_headers(self, method: str, key: str) -> dict[istr, str]:
        """Return what the SDK would send, asked for once per method and key, however many requests wait for it."""
        preparing = self._prepared.get((method, key))
        if preparing is None or (preparing.done() and preparing.exception() is not None):
            preparing = asyncio.create_task(sdk_headers(self._sdk, method, key))
            self._prepared[method, key] = preparing
        return preparing.result() if preparing.done() else await asyncio.shield(preparing)


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Send a large body in pieces, so that other traffic passes in between."""
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
