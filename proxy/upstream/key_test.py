"""Ask the upstream whether it accepts a key. Blocks: for worker threads, not for the event loop."""

import httpx2
import openai

from proxy.errors import ProxyError
from proxy.upstream.errors import opening
from proxy.upstream.options import CONNECT_LIMIT_S, UpstreamOptions
from proxy.upstream.session import tls_context

LIMIT_S = 15.0


def try_key(options: UpstreamOptions, key: str) -> str | None:
    """Return None where the upstream accepts the key, else a sentence that says what it answered."""
    try:
        with open_client(options, key) as client, opening:
            return ask(client, options.base_url)
    except ProxyError as error:
        return str(error)


def ask(client: openai.OpenAI, base_url: str) -> str | None:
    """Return what the upstream's answer says of the key; raises the SDK's connection errors."""
    try:
        client.models.list()
    except openai.AuthenticationError:
        return f"The upstream refuses this key. Was it copied whole, and is it one for {base_url}?"
    except openai.NotFoundError:
        return f"The upstream lists no models at {base_url}, so whether it accepts the key is not known. Is that right?"
    except openai.APIStatusError as error:
        return f"The upstream answered {error.status_code}; whether it accepts the key is not known."
    return None


def open_client(options: UpstreamOptions, key: str) -> openai.OpenAI:
    """Return the official client for one try; raises SettingError."""
    timeout = httpx2.Timeout(LIMIT_S, connect=CONNECT_LIMIT_S)
    http_client = openai.DefaultHttpxClient(
        verify=tls_context(options), proxy=options.http_proxy, trust_env=False, follow_redirects=False, timeout=timeout
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
