"""Ask a package index which version of a package is the latest. It gets no key. Blocks."""

import asyncio
import json
import re
from urllib.parse import urlsplit

from proxy.errors.upstream import UpstreamProtocolFailure
from proxy.upstream.client import origin_of
from proxy.upstream.dial import Dialer
from proxy.upstream.network_proxy import NetworkProxy, find_network_proxy
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.pool import Pool
from proxy.upstream.tls import tls_context
from proxy.upstream.wire_request import WireRequest

LIMIT_S = 15.0
MAX_BYTES = 8_388_608
RELEASE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){0,5}")  # a final one: others are offered to nobody


def latest_version(url: str, user_agent: str) -> str | None:
    """Return the latest final version that the index's JSON names, None for none; raises ProxyError."""
    try:
        return asyncio.run(asyncio.wait_for(ask(url, user_agent), LIMIT_S))
    except (TimeoutError, asyncio.TimeoutError) as error:  # two classes before Python 3.11
        raise UpstreamProtocolFailure(f"the package index did not answer within {LIMIT_S:.0f} s") from error


async def ask(url: str, user_agent: str) -> str | None:
    """Ask on the event loop."""
    variable = find_network_proxy(url)
    options = UpstreamOptions(url, LIMIT_S, 0, None, None, None, variable)
    parts = urlsplit(url)
    pool = Pool(Dialer(origin_of(url), tls_context(options), NetworkProxy.of(variable) if variable else None), LIMIT_S)
    target = parts.path or "/"
    lines = [f"GET {target} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}", f"User-Agent: {user_agent}"]
    head = "\r\n".join([*lines, "Accept: application/json", "Accept-Encoding: identity", "", ""])
    try:
        answer = await pool.send(WireRequest(head.encode("ascii"), b""))
        try:
            if answer.status != 200:
                raise UpstreamProtocolFailure(f"the package index answered {answer.status}")
            body = bytearray()
            while chunk := await answer.next_chunk():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise UpstreamProtocolFailure("the package index sends more than anybody needs")
        finally:
            answer.close()
    finally:
        await pool.close()
    return version_in(bytes(body))


def version_in(body: bytes) -> str | None:
    """Return the version of the index's JSON, None where it names no final one; raises UpstreamProtocolFailure."""
    try:
        info = json.loads(body)["info"]
        version, is_yanked = info["version"], info.get("yanked", False)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UpstreamProtocolFailure("the package index does not answer in its usual form") from error
    return version if isinstance(version, str) and RELEASE.fullmatch(version) and not is_yanked else None
