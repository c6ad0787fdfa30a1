"""What the SDK itself would send: its client, and the headers it puts on a request."""

import ssl
from typing import Any

import aiohttp
import httpx2
import openai
from multidict import istr

from proxy.upstream.options import CONNECT_LIMIT_S, UpstreamOptions

# The transport sets these itself, from what is really sent.
FRAMING_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding"})
# The one header that differs from the SDK's: what the relay copies must be readable as it passes.
NO_ENCODING = {"accept-encoding": "identity"}


def open_sdk(options: UpstreamOptions, context: ssl.SSLContext, session: aiohttp.ClientSession) -> openai.AsyncOpenAI:
    """Return the SDK's client on its official aiohttp transport, sharing the relay's session, which knows the proxy."""
    timeout = httpx2.Timeout(options.timeout_s, connect=CONNECT_LIMIT_S)
    http_client = openai.DefaultAioHttpClient(verify=context, trust_env=False, follow_redirects=False, timeout=timeout)
    # The transport takes a session made elsewhere only through this attribute; a contract test watches it.
    transport: Any = http_client._transport_for_url(httpx2.URL(options.base_url))  # noqa: SLF001  as above
    transport.client = session
    return openai.AsyncOpenAI(
        api_key="each request brings its own",
        base_url=options.base_url,
        organization=options.organization,
        project=options.project,
        timeout=timeout,
        max_retries=options.max_retries,
        http_client=http_client,
    )


async def sdk_headers(sdk: openai.AsyncOpenAI, method: str, key: str) -> dict[istr, str]:
    """Return the headers the SDK sends with this method and key, names ready for the HTTP client."""
    recorder = Recorder()
    async with httpx2.AsyncClient(transport=recorder, trust_env=False) as http_client:
        client = sdk.with_options(api_key=key, max_retries=0, http_client=http_client)
        if method in ("GET", "HEAD"):
            await client.get("/", cast_to=httpx2.Response)
        else:
            await client.post("/", cast_to=httpx2.Response, body={})
    headers = {name: value for name, value in recorder.headers.items() if name not in FRAMING_HEADERS}
    if not key:  # the SDK would show an empty token
        headers.pop("authorization", None)
    return {istr(name): value for name, value in (headers | NO_ENCODING).items()}


class Recorder(httpx2.AsyncBaseTransport):
    """A transport that keeps the request's headers instead of sending it."""

    headers: httpx2.Headers

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Keep the headers and answer with nothing."""
        self.headers = request.headers
        return httpx2.Response(200, request=request, json={})
