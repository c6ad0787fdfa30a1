"""Ask the upstream whether it accepts a key. Blocks: for worker threads, not for the event loop."""

import asyncio
import json
from dataclasses import dataclass, replace

import openai

from proxy.errors.keyring import KEY_REFUSED
from proxy.errors.proxy_error import ProxyError
from proxy.upstream.client import UpstreamClient
from proxy.upstream.errors import opening
from proxy.upstream.options import UpstreamOptions, naming
from proxy.upstream.transport import NO_KEY

LIMIT_S = 15.0
UNKNOWN = "so whether it accepts the key is not known. Is that right?"


@dataclass(frozen=True)
class KeyAnswer:
    """What an upstream answers to a key."""

    refusal: str | None = None  # a sentence; None: it accepts the key
    models: int | None = None  # how many it lists
    date: str | None = None  # the header, as it came


def try_key(options: UpstreamOptions, key: str) -> str | None:
    """Return None where the upstream accepts the key, else a sentence that says what it answered."""
    try:
        return asyncio.run(list_models(replace(options, timeout_s=min(options.timeout_s, LIMIT_S)), key)).refusal
    except ProxyError as error:
        return str(error)


async def list_models(options: UpstreamOptions, key: str) -> KeyAnswer:
    """Return what the upstream's answer says of the key; raises UpstreamFailure."""
    with naming(options):
        client = UpstreamClient(options)
        try:
            with opening:
                return await answer_of(client, options.base_url, key)
        finally:
            await client.close()


async def answer_of(client: UpstreamClient, base_url: str, key: str) -> KeyAnswer:
    """Return what the upstream's answer says of the key; raises the SDK's connection errors, and UpstreamFailure."""
    try:
        answer = await client.sdk.with_options(api_key=key or NO_KEY).models.with_raw_response.list()
    except openai.APIStatusError as error:
        return KeyAnswer(refusal_of(error, base_url), date=error.response.headers.get("date"))
    date = answer.http_response.headers.get("date")
    try:
        models = json.loads(answer.http_response.content)
    except (ValueError, RecursionError):
        models = None
    if not isinstance(models, (dict, list)):
        return KeyAnswer(f"What answers at {base_url} lists no models, {UNKNOWN}", date=date)
    rows = models.get("data") if isinstance(models, dict) else models
    return KeyAnswer(models=len(rows) if isinstance(rows, list) else None, date=date)


def refusal_of(error: openai.APIStatusError, base_url: str) -> str:
    """Say what a status that is no success means for the key."""
    if isinstance(error, openai.AuthenticationError):
        return f"{KEY_REFUSED}. Was it copied whole, and is it one for {base_url}?"
    if isinstance(error, openai.NotFoundError):
        return f"The upstream lists no models at {base_url}, {UNKNOWN}"
    return f"The upstream answered {error.status_code}; whether it accepts the key is not known."
