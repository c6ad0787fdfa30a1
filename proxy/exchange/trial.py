"""Try one upstream: ask for its models, then for a chat of one token; each with its time, and its own words. Blocks."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from proxy.errors.proxy_error import ProxyError
from proxy.exchange.models import read_whole
from proxy.exchange.refusal_words import read_words
from proxy.http.headers import Headers
from proxy.policy.refused_parameters import repair_for
from proxy.settings.upstreams import KEY_PLACE, Upstream
from proxy.stream.event_json import read_object
from proxy.upstream.messages import UpstreamRequest
from proxy.upstream.options import UpstreamOptions, naming

if TYPE_CHECKING:
    from proxy.upstream.client import UpstreamClient

LIMIT_S = 15.0  # for each question
MAX_WORDS = 300  # characters of what an upstream says
MAX_REPAIRS = 3
ANTHROPIC = "x-api-key"  # who takes its key so speaks Claude's API
VERSION = ("anthropic-version", "2023-06-01")
NO_CHATS = re.compile(
    r"embed|whisper|tts|dall-e|image|moderation|audio|realtime|transcri|rerank|sora|video|davinci|babbage|instruct"
    r"|search|codex|-pro\b|ocr|guard|bge|clip",
    re.IGNORECASE,
)
SMALL = re.compile(r"nano|mini|small|lite|flash|haiku|instant|tiny|[_:-]\d(?:\.\d)?b\b", re.IGNORECASE)


@dataclass(frozen=True)
class Step:
    """One question: whether it was answered well, in which time, and what is to be said of it."""

    name: str
    is_good: bool
    words: str
    lasts_s: float | None = None  # None: it was not asked

    def __str__(self) -> str:
        """Return the one line."""
        return self.words + (f" ({self.lasts_s:.2f} s)" if self.lasts_s is not None else "")


def try_out(
    upstream: Upstream, options: UpstreamOptions, key: str, hide: Callable[[str], str], model: str | None = None
) -> list[Step]:
    """Return what came of each question; `model` is the one to chat with, else one is picked from the list."""
    options = replace(options, timeout_s=min(options.timeout_s, LIMIT_S), max_retries=0)
    return [replace(step, words=hide(step.words)) for step in asyncio.run(asked(upstream, options, key, model))]


async def asked(upstream: Upstream, options: UpstreamOptions, key: str, model: str | None) -> list[Step]:
    """Ask both questions with a client of their own."""
    from proxy.upstream.client import UpstreamClient  # noqa: PLC0415  brings the SDK; a start must not wait for it

    try:
        with naming(options):
            client = UpstreamClient(options)
    except ProxyError as error:
        return [Step("models", False, str(error))]
    questions = Questions(client, key, is_claude=upstream.auth == ANTHROPIC)
    try:
        listed, models = await models_of(questions, upstream)
        picked = model or pick(upstream, models)
        if picked is None:
            return [listed, Step("chat", listed.is_good, "not asked: which model to ask is not known")]
        return [listed, await chat_with(questions, picked)]
    finally:
        await client.close()


@dataclass(frozen=True)
class Questions:
    """How an upstream is asked."""

    client: "UpstreamClient"
    key: str
    is_claude: bool

    async def ask(self, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, bytes]:
        """Return status and body of the answer; raises UpstreamFailure, asyncio.TimeoutError."""
        headers = Headers((VERSION,)) if self.is_claude else Headers()
        written = None if body is None else json.dumps(body).encode()
        if written is not None:
            headers = headers.plus(("content-type", "application/json"))
        request = UpstreamRequest(
            "GET" if body is None else "POST", path, "", headers, written, None if written is None else len(written)
        )
        with naming(self.client.options):
            answer = await asyncio.wait_for(self.client.send(request, self.key), LIMIT_S)
        return answer.status, await asyncio.wait_for(read_whole(answer), LIMIT_S)


async def models_of(questions: Questions, upstream: Upstream) -> tuple[Step, list[str]]:
    """Ask for the models; return what came of it, and their names."""
    began = time.monotonic()
    try:
        status, body = await questions.ask("/models")
    except (ProxyError, asyncio.TimeoutError) as error:
        return failed("models", error, began), []
    lasts_s = time.monotonic() - began
    value = read_object(body)
    rows = value.get("data") if value else None
    if status == 200 and isinstance(rows, list):
        names = [str(row["id"]) for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)]
        shown = "needs no key" if not questions.key and not has_key_place(upstream) else "accepts the key"
        return Step("models", True, f"{shown} and lists {len(names)} models", lasts_s), names
    if status == 200:
        return Step("models", False, f"what answers at {upstream.base_url} lists no models", lasts_s), []
    return Step("models", False, refusal(status, body, upstream.base_url), lasts_s), []


async def chat_with(questions: Questions, model: str) -> Step:
    """Ask a model for one token, in the words it takes; return what came of it."""
    path = "/messages" if questions.is_claude else "/chat/completions"
    body: dict[str, Any] = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    began = time.monotonic()
    for _ in range(MAX_REPAIRS):
        asked_at = time.monotonic()
        try:
            status, answer = await questions.ask(path, body)
        except (ProxyError, asyncio.TimeoutError) as error:
            return failed(f"chat with {model}", error, began)
        lasts_s = time.monotonic() - asked_at
        change = repair_for(answer, body) if status in (400, 422) else None
        if change is None:
            break
        value = body.pop(change.parameter)
        if change.new_name is not None:
            body[change.new_name] = value
    limit = next((name for name in ("max_completion_tokens", "max_tokens") if name in body), "no limit of tokens")
    if status == 200 and is_chat(answer):
        return Step("chat", True, f"{model} answers a chat of one token, with {limit}", lasts_s)
    if status == 200:
        return Step("chat", False, f"{model} answers what is no chat", lasts_s)
    if status in (400, 422) and says_limit_reached(answer):  # a model that thinks has no room for a word
        return Step("chat", True, f"{model} answers, and one token was too few for it", lasts_s)
    return Step("chat", False, f"{model}: {refusal(status, answer, '')}", lasts_s)


def failed(name: str, error: BaseException, began: float) -> Step:
    """Return what came of a question without an answer."""
    what = str(error) if isinstance(error, ProxyError) else f"no answer within {LIMIT_S:.0f} s"
    return Step(name.partition(" ")[0], False, f"{name}: {what}", time.monotonic() - began)


def refusal(status: int, body: bytes, base_url: str) -> str:
    """Return a refusal in the upstream's own words, where it has any."""
    said = " ".join(read_words(body).message.split())[:MAX_WORDS]
    words = f", and says: {said}" if said else ""
    if status == 401:
        return f"the key is refused (status 401){words}"
    if status == 404 and base_url:
        return f"no models are listed at {base_url} (status 404){words}"
    return f"refused with status {status}{words}"


def pick(upstream: Upstream, models: list[str]) -> str | None:
    """Return the model to chat with: one that costs little, of those that are always sent there if they are named."""
    named = [model for model in upstream.models if not set(model) & set("*?")]
    chatting = [model for model in models if not NO_CHATS.search(model)]
    return next(in_order(named, chatting, models), None)


def in_order(named: list[str], chatting: list[str], models: list[str]) -> Iterator[str]:
    """Yield the models from the one that suits best."""
    yield from (model for model in named if model in models)
    yield from (model for model in chatting if SMALL.search(model))
    yield from (*chatting, *named, *models)


def is_chat(body: bytes) -> bool:
    """Tell whether an answer is a chat's, of OpenAI's form or of Claude's."""
    value = read_object(body) or {}
    return isinstance(value.get("choices"), list) or isinstance(value.get("content"), list)


def says_limit_reached(body: bytes) -> bool:
    """Tell whether an error says that the model had begun, and found the limit of tokens too low."""
    said = read_words(body).message.lower()
    return "max_tokens" in said and ("limit was reached" in said or "limit reached" in said)


def has_key_place(upstream: Upstream) -> bool:
    """Tell whether a key is put into what is added to each request."""
    return any(KEY_PLACE in value for value in (*upstream.headers.values(), *upstream.query.values()))
