"""Ask the upstream whether it accepts a key. Blocks: for worker threads, not for the event loop."""

import json
import re
import ssl

import httpx2
import openai

from proxy.errors.proxy_error import ProxyError
from proxy.errors.upstream import (
    NetworkProxyRefused,
    NetworkProxyUnreachable,
    UpstreamFailure,
    UpstreamProtocolFailure,
    UpstreamTlsFailure,
)
from proxy.upstream.errors import opening
from proxy.upstream.network_proxy import AUTH_REQUIRED, AUTHORIZATION, NO_ANSWER, NO_HTTP, NetworkProxy
from proxy.upstream.options import CONNECT_LIMIT_S, UpstreamOptions
from proxy.upstream.session import tls_context

LIMIT_S = 15.0
STATUS_FIRST = re.compile(r"\d\d\d\b")


def try_key(options: UpstreamOptions, key: str) -> str | None:
    """Return None where the upstream accepts the key, else a sentence that says what it answered."""
    try:
        proxy = NetworkProxy.of(options.network_proxy) if options.network_proxy else None
        with opening, open_client(options, key, proxy) as client:
            return list_models(client, options.base_url, proxy)
    except ProxyError as error:
        return str(error)


def list_models(client: openai.OpenAI, base_url: str, proxy: NetworkProxy | None) -> str | None:
    """Return what the upstream's answer says of the key; raises the SDK's connection errors, and UpstreamFailure."""
    is_tunnel = base_url.startswith("https:")
    try:
        answer = client.get("/models", cast_to=object)
    except openai.AuthenticationError:
        return f"The upstream refuses this key. Was it copied whole, and is it one for {base_url}?"
    except openai.NotFoundError:
        return f"The upstream lists no models at {base_url}, so whether it accepts the key is not known. Is that right?"
    except openai.APIStatusError as error:
        if proxy is not None and not is_tunnel and error.status_code == AUTH_REQUIRED:
            raise proxy.refusal(error.status_code) from error
        return f"The upstream answered {error.status_code}; whether it accepts the key is not known."
    except openai.APIConnectionError as error:
        failure = failure_of(proxy, error.__cause__, is_tunnel=is_tunnel) if proxy else None
        if failure is None:
            raise
        raise failure from error
    except (json.JSONDecodeError, UnicodeDecodeError):
        answer = None
    if not isinstance(answer, (dict, list)):
        return f"What answers at {base_url} lists no models, so whether it accepts the key is not known. Is that right?"
    return None


def failure_of(proxy: NetworkProxy, error: BaseException | None, *, is_tunnel: bool) -> UpstreamFailure | None:
    """Return what to say of a request that came to nothing, None where that is not the network's proxy's doing."""
    if isinstance(error, httpx2.ProxyError):
        status = STATUS_FIRST.match(str(error))
        return proxy.refusal(int(status[0])) if status else NetworkProxyRefused(f"{proxy} {NO_HTTP}")
    if isinstance(error, httpx2.ConnectTimeout):
        return NetworkProxyUnreachable(f"{proxy} opened no way in time")
    if isinstance(error, httpx2.ConnectError):
        return UpstreamTlsFailure(str(error)) if is_tls(error) else NetworkProxyUnreachable(f"{proxy}: {error}")
    if isinstance(error, httpx2.TimeoutException) or not isinstance(error, httpx2.TransportError):
        return None
    if is_tunnel:  # both ends may have broken off
        return UpstreamProtocolFailure(f"the way led through {proxy}")
    is_no_http = isinstance(error, httpx2.RemoteProtocolError) and "disconnected" not in str(error)
    return NetworkProxyRefused(f"{proxy} {NO_HTTP if is_no_http else NO_ANSWER}")


def is_tls(error: BaseException | None) -> bool:
    """Tell whether TLS is behind an error, somewhere in its chain of causes."""
    return error is not None and (isinstance(error, ssl.SSLError) or is_tls(error.__cause__ or error.__context__))


def open_client(options: UpstreamOptions, key: str, proxy: NetworkProxy | None) -> openai.OpenAI:
    """Return the official client for one try; raises SettingError."""
    timeout = httpx2.Timeout(LIMIT_S, connect=CONNECT_LIMIT_S)
    context = tls_context(options)
    login = {AUTHORIZATION: proxy.authorization} if proxy and proxy.authorization else {}
    http_client = openai.DefaultHttpxClient(
        verify=context,
        proxy=httpx2.Proxy(proxy.url, headers=login, ssl_context=context if proxy.is_tls else None) if proxy else None,
        trust_env=False,
        follow_redirects=False,
        timeout=timeout,
    )
    return openai.OpenAI(
        api_key=key,
        base_url=options.base_url,
        organization=options.organization,
        project=options.project,
        timeout=timeout,
        max_retries=0,
        http_client=http_client,
    )
