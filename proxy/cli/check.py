"""The test client: ask a running proxy for health, models, a chat and a stream, with the official SDK."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import openai
from openai.types.chat import ChatCompletion

from proxy.command import command
from proxy.errors.keyring import KeyringFailure
from proxy.keys.proxy_keys import ProxyKeys

QUESTION = "Answer with one short sentence: are you there?"
LIMIT_S = 60.0
PREFERRED_MODELS = ("gpt-5-mini", "gpt-4o-mini")

Say = Callable[[str], object]


@dataclass(frozen=True)
class Target:
    """The proxy to check."""

    base_url: str
    proxy_key: str | None
    model: str | None = None


def run_checks(target: Target, *, stream: bool, say: Say) -> bool:
    """Check one thing after the other and tell each outcome; returns whether all went well."""
    if not target.base_url.startswith(("http://", "https://")):
        say(f"FAILED   {target.base_url} is no base URL; one looks like http://127.0.0.1:8000/v1")
        return False
    try:
        say(f"health   {check_health(target)}")
        with open_client(target) as client:
            models = check_models(client)
            say(f"models   {len(models)} listed, such as {', '.join(models[:3]) or 'none'}")
            model = target.model or choose_model(models)
            say(f"chat     {model}: {check_chat(client, model)}")
            if stream:
                say(f"stream   {model}: {check_stream(client, model)}")
    except (openai.OpenAIError, http.client.HTTPException, CheckFailed, OSError, ValueError) as error:
        say(f"FAILED   {explain(error)}")
        return False
    say("All is well.")
    return True


def own_key(proxy_keys: ProxyKeys) -> str | None:
    """Return one of this computer's proxy keys, None where there is none or the keyring cannot be read."""
    with suppress(KeyringFailure):
        proxy_keys.read()
    return next((key.key for key in proxy_keys.current), None)


def open_client(target: Target) -> openai.OpenAI:
    """Return the official client, pointed at the proxy itself: a system proxy has no business on this way."""
    return openai.OpenAI(
        base_url=target.base_url,
        api_key=target.proxy_key or "no-proxy-key",
        max_retries=0,
        http_client=openai.DefaultHttpxClient(trust_env=False, timeout=LIMIT_S),
    )


class CheckFailed(Exception):
    """An answer came and is not what it should be."""


def check_health(target: Target) -> str:
    """Return what the health address says; raises URLError."""
    headers = {"Authorization": f"Bearer {target.proxy_key}"} if target.proxy_key else {}
    request = urllib.request.Request(f"{target.base_url}/health", headers=headers)  # noqa: S310  the user's own address
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=LIMIT_S) as answer:
        return str(answer.read().decode("utf-8", "replace"))


def check_models(client: openai.OpenAI) -> list[str]:
    """Return the ids of the models."""
    answer = client.get("/models", cast_to=object)
    models = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(models, list):
        raise CheckFailed("what answers there lists no models; is it the proxy?")
    return [str(model.get("id")) for model in models if isinstance(model, dict)]


def choose_model(models: list[str]) -> str:
    """Return a model that chats, preferably a cheap one; raises CheckFailed when there is none."""
    for preferred in PREFERRED_MODELS:
        if preferred in models:
            return preferred
    chatting = [model for model in models if "gpt" in model or "chat" in model]
    if not models:
        raise CheckFailed("the upstream lists no models; name one with --model")
    return (chatting or models)[0]


def check_chat(client: openai.OpenAI, model: str) -> str:
    """Return the text of a plain answer; raises CheckFailed when there is none."""
    completion = client.chat.completions.create(model=model, messages=[{"role": "user", "content": QUESTION}])
    if not isinstance(completion, ChatCompletion):
        raise CheckFailed("the chat's answer is no completion")
    if not completion.choices or not completion.choices[0].message.content:
        raise CheckFailed("the chat's answer holds no text")
    return repr(completion.choices[0].message.content)


def check_stream(client: openai.OpenAI, model: str) -> str:
    """Return the text of a streamed answer and its number of chunks; raises CheckFailed when it is incomplete."""
    pieces: list[str] = []
    finish: str | None = None
    with client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": QUESTION}], stream=True
    ) as stream:
        for chunk in stream:
            if chunk.choices:
                pieces.append(chunk.choices[0].delta.content or "")
                finish = chunk.choices[0].finish_reason or finish
    if finish is None:
        raise CheckFailed("the stream ended without a finish_reason")
    return f"{''.join(pieces)!r} in {len(pieces)} chunks"


def explain(error: Exception) -> str:
    """Say what went wrong and, where it is known, what to do."""
    if isinstance(error, openai.APIStatusError):
        return f"{error.status_code}: {error.message.removeprefix(f'Error code: {error.status_code} - ')}"
    if isinstance(error, urllib.error.HTTPError):
        return f"health answered {error.code}: {error.read().decode('utf-8', 'replace')}"
    if isinstance(error, (openai.APIConnectionError, urllib.error.URLError)):
        return f"nothing answers there. Is the proxy running, and on this port? `{command('serve')}` starts one"
    if isinstance(error, http.client.BadStatusLine):
        return "what answers there does not speak HTTP"
    if isinstance(error, UnicodeError):
        return "PROXY_API_KEY cannot be a key: it holds characters other than ASCII"
    return str(error)
