"""Ask the upstream whether it accepts a key. Blocks: for worker threads, not for the event loop."""

import asyncio
import json
from dataclasses import replace

import openai

from proxy.errors.proxy_error import ProxyError
from proxy.upstream.client import UpstreamClient
from proxy.upstream.errors import opening
from proxy.upstream.options import UpstreamOptions
from proxy.upstream.transport import NO_KEY

LIMIT_S = 15.0


def try_key(options: UpstreamOptions, key: str) -> str | None:
    """Return None where the upstream accepts the key, else a sentence that says what it answered."""
    try:
        return asyncio.run(list_models(replace(options, timeout_s=min(options.timeout_s, LIMIT_S)), key))
    except ProxyError as error:
        return str(error)


async def list_models(options: UpstreamOptions, key: str) -> str | None:
    """Return what the upstream's answer says of the key; raises UpstreamFailure and SettingError."""
    client = UpstreamClient(options)
    try:
        with opening:
            return await answer_of(client, options.base_url, key)
    finally:
        await client.close()


async def answer_of(client: UpstreamClient, base_url: str, key: str) -> str | None:
    """Return what the upstream's answer says of the key; raises the SDK's connection errors, and UpstreamFailure."""
    unknown = "so whether it accepts the key is not known. Is that right?"
    try:
        answer = await client.sdk.with_options(api_key=key or NO_KEY).models.with_raw_response.list()
        models = json.loads(answer.http_response.content)
    except openai.AuthenticationError:
        return f"The upstream refuses this key. Was it copied whole, and is it one for {base_url}?"
    except openai.NotFoundError:
        return f"The upstream lists no models at {base_url}, {unknown}"
    except openai.APIStatusError as error:
        return f"The upstream answered {error.status_code}; whether it accepts the key is not known."
    except (ValueError, RecursionError):
        models = None
    if not isinstance(models, (dict, list)):
        return f"What answers at {base_url} lists no models, {unknown}"
    return None
