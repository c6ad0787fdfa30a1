"""One configured way to the upstream: the SDK's client and the HTTP session they share. Lives on the event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import httpx2
from multidict import CIMultiDict, istr
from yarl import URL

from proxy.upstream import wire
from proxy.upstream.answers import ReadAnswer, WireAnswer
from proxy.upstream.errors import BrokenOff, opening
from proxy.upstream.handshake import shake_hands
from proxy.upstream.messages import UpstreamAnswer, UpstreamRequest, UpstreamSocket
from proxy.upstream.network import NetworkProxy
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.prepare import open_sdk, sdk_headers
from proxy.upstream.retries import is_quota_error, may_retry, retry_pause_s
from proxy.upstream.session import open_session, tls_context
from proxy.upstream.through import Through

KEYS_REMEMBERED = 64
HEADS_REMEMBERED = 256
PIECE_BYTES = 262_144

log = logging.getLogger(__name__)


class Link:
    """Speak to one upstream; raises SettingError, and UpstreamFailure where its address or the proxy's is none."""

    def __init__(self, options: UpstreamOptions) -> None:
        self.options = options
        with opening:  # before anything is open: not every address that settings take is one to the SDK
            httpx2.URL(options.base_url)
        self._proxy = NetworkProxy.of(options.network_proxy) if options.network_proxy else None
        through: Any = {"proxy": self._proxy.url, "before": (Through(self._proxy),)} if self._proxy else {}
        context = tls_context(options)
        self._session = open_session(options, context, reuse=True, **through)
        self._fresh_session = open_session(options, context, reuse=False, **through)
        self._sdk = open_sdk(options, context, self._session)
        self._prepared: dict[tuple[str, str], asyncio.Task[dict[istr, str]]] = {}
        self._heads: dict[tuple[object, ...], wire.Head] = {}

    async def ask(self, request: UpstreamRequest, key: str) -> UpstreamAnswer:
        """Return the upstream's answer, whatever its status, once no further try is due; raises UpstreamFailure."""
        tries = 1
        while True:
            answer: UpstreamAnswer = await self._send(request, key)
            if answer.status < 400 or not may_retry(self._sdk, answer.status, answer.headers):
                return answer
            answer = await ReadAnswer.of(answer, to_head=request.method == "HEAD")
            pause_s = retry_pause_s(self._sdk, answer, tries) if is_repeatable(request) else None
            if pause_s is None:
                return answer.final() if tries > 1 or is_quota_error(answer) else answer
            log.info("upstream answered %d; try %d follows in %.1f s", answer.status, tries + 1, pause_s)
            tries += 1
            await asyncio.sleep(pause_s)

    async def shake_hands(self, request: UpstreamRequest, key: str) -> UpstreamSocket | UpstreamAnswer:
        """Ask for a WebSocket, once and on a new connection; raises UpstreamFailure."""
        headers = await self._headers(request, key)
        with opening:
            return await shake_hands(self._fresh_session, self._url(request), headers)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()
        await self._fresh_session.close()
        await self._sdk.close()

    async def _send(self, request: UpstreamRequest, key: str) -> WireAnswer:
        """Send once; a reused connection that turns out to be dead is replaced by a new one, silently."""
        with opening:
            try:
                return await self._send_over(self._session, request, key)
            except BrokenOff as error:
                if not error.stale or not is_repeatable(request):
                    raise
                return await self._send_over(self._fresh_session, request, key)

    async def _send_over(self, session: aiohttp.ClientSession, request: UpstreamRequest, key: str) -> WireAnswer:
        """Send a small body that is in memory the short way; everything else as the client's session sends it."""
        if isinstance(request.body, bytes) and len(request.body) <= PIECE_BYTES and self._proxy is None:
            return await wire.send(session, await self._head(request, key), request.body)
        headers = await self._headers(request, key)
        if request.body_length is not None:
            headers["content-length"] = str(request.body_length)
        body = in_pieces(request.body) if isinstance(request.body, bytes) else request.body
        url = URL(self._url(request), encoded=True)
        response = await session.request(request.method, url, headers=headers, data=body, allow_redirects=False)
        return WireAnswer.of(response)

    def _url(self, request: UpstreamRequest) -> str:
        return self.options.base_url + request.path + (f"?{request.query}" if request.query else "")

    async def _head(self, request: UpstreamRequest, key: str) -> wire.Head:
        """Return the head of a request; the same ones come again and again."""
        kind = (request.method, request.path, request.query, key, *request.headers)
        head = self._heads.get(kind)
        if head is None:
            if len(self._heads) >= HEADS_REMEMBERED:
                self._heads.clear()
            headers = await self._headers(request, key)
            head = self._heads[kind] = wire.Head.of(self._session, request.method, self._url(request), headers)
        return head

    async def _headers(self, request: UpstreamRequest, key: str) -> CIMultiDict[str]:
        """Lay the caller's headers over those the SDK would send."""
        prepared = await self._sdk_headers(request.method, key)
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
            if len(self._prepared) >= KEYS_REMEMBERED:
                self._prepared.clear()
            preparing = asyncio.create_task(sdk_headers(self._sdk, method, key))
            self._prepared[method, key] = preparing
        return preparing.result() if preparing.done() else await asyncio.shield(preparing)


def is_repeatable(request: UpstreamRequest) -> bool:
    """Tell whether the body can be sent again."""
    return request.body is None or isinstance(request.body, bytes)


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Send a large body in pieces, so that other traffic passes in between."""
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
