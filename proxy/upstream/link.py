"""One configured way to the upstream: the SDK's client and the HTTP session they share. Lives on the event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
from multidict import CIMultiDict, istr
from yarl import URL

from proxy.upstream.answers import ReadAnswer, WireAnswer
from proxy.upstream.errors import BrokenOff, opening
from proxy.upstream.handshake import shake_hands
from proxy.upstream.messages import UpstreamAnswer, UpstreamRequest, UpstreamSocket
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.prepare import open_sdk, sdk_headers
from proxy.upstream.retries import is_quota_error, may_retry, retry_pause_s
from proxy.upstream.session import open_session, tls_context

KEYS_REMEMBERED = 64
PIECE_BYTES = 262_144

log = logging.getLogger(__name__)


class Link:
    """Speak to one upstream."""

    def __init__(self, options: UpstreamOptions) -> None:
        self.options = options
        context = tls_context(options)
        self._session = open_session(options, context, reuse=True)
        self._fresh_session = open_session(options, context, reuse=False)
        self._sdk = open_sdk(options, context, self._session)
        self._prepared: dict[tuple[str, str], dict[istr, str]] = {}

    async def ask(self, request: UpstreamRequest, key: str) -> UpstreamAnswer:
        """Return the upstream's answer, whatever its status, once no further try is due; raises UpstreamFailure."""
        headers = await self._headers(request, key)
        tries = 1
        while True:
            answer: UpstreamAnswer = await self._send(request, headers)
            if answer.status < 400 or not may_retry(self._sdk, answer.status, answer.headers):
                return answer
            answer = await ReadAnswer.of(answer)
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

    async def _headers(self, request: UpstreamRequest, key: str) -> CIMultiDict[str]:
        """Lay the caller's headers over those the SDK would send; the latter are asked for once per method and key."""
        prepared = self._prepared.get((request.method, key))
        if prepared is None:
            if len(self._prepared) >= KEYS_REMEMBERED:
                self._prepared.clear()
            prepared = self._prepared[request.method, key] = await sdk_headers(self._sdk, request.method, key)
        given = {name for name, _ in request.headers}
        if any(name.startswith("x-stainless-") for name in given):  # another SDK: never mix its traits with ours
            given.update(name for name in prepared if name.startswith("x-stainless-"))
        headers = CIMultiDict((name, value) for name, value in prepared.items() if name not in given)
        headers.extend(request.headers)
        if request.body_length is not None:
            headers["content-length"] = str(request.body_length)
        return headers

    async def _send(self, request: UpstreamRequest, headers: CIMultiDict[str]) -> WireAnswer:
        """Send once; a reused connection that turns out to be dead is replaced by a new one, silently."""
        url = self._url(request)
        with opening:
            try:
                return await self._send_over(self._session, request, url, headers)
            except BrokenOff as error:
                if not error.stale or not is_repeatable(request):
                    raise
                return await self._send_over(self._fresh_session, request, url, headers)

    def _url(self, request: UpstreamRequest) -> str:
        return self.options.base_url + request.path + (f"?{request.query}" if request.query else "")

    async def _send_over(
        self, session: aiohttp.ClientSession, request: UpstreamRequest, url: str, headers: CIMultiDict[str]
    ) -> WireAnswer:
        response = await session.request(
            request.method,
            URL(url, encoded=True),
            headers=headers,
            data=body_to_send(request.body),
            allow_redirects=False,
        )
        return WireAnswer(response)


def is_repeatable(request: UpstreamRequest) -> bool:
    """Tell whether the body can be sent again."""
    return request.body is None or isinstance(request.body, bytes)


def body_to_send(body: bytes | AsyncIterator[bytes] | None) -> bytes | AsyncIterator[bytes] | None:
    """Send a large body in pieces, so that other traffic passes in between."""
    if isinstance(body, bytes) and len(body) > PIECE_BYTES:
        return in_pieces(body)
    return body


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    """Cut a body into pieces."""
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
