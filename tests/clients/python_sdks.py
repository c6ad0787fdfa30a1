"""The official SDK for Python, synchronous and asynchronous, as the table's rows use it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import openai

from clients.outcome import Outcome
from clients.scenario import Call

QUESTION: Any = [{"role": "user", "content": "Hi"}]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
FUNCTIONS: Any = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}]


def arguments(call: Call, *, asks_usage: bool) -> dict[str, Any]:
    """Return what the SDK's method is called with."""
    if call == "completions stream":
        return {"model": "m", "prompt": "Hi", "stream": True}
    if call.startswith("chat"):
        usage = {"stream_options": {"include_usage": True}} if asks_usage and call == "chat stream" else {}
        return {"model": "m", "messages": QUESTION, "tools": TOOLS, "stream": call == "chat stream", **usage}
    return {"model": "m", "input": "Hi", "tools": FUNCTIONS, "stream": call == "responses stream"}


def method(sdk: openai.OpenAI | openai.AsyncOpenAI, call: Call) -> Callable[..., Any]:
    """Return the SDK's method for a call."""
    if call.startswith("responses"):
        return sdk.responses.create
    return sdk.completions.create if call == "completions stream" else sdk.chat.completions.create


class Gathering:
    """Gather what comes, piece by piece; what was gathered before an error stays."""

    def __init__(self) -> None:
        self.outcome = Outcome()
        self._calls: dict[Any, list[str]] = {}

    def take(self, call: Call, piece: Any) -> None:
        """Take a chunk, an event or a whole answer."""
        {
            "chat": self._completion,
            "chat stream": self._chunk,
            "completions stream": self._text_chunk,
            "responses": self._response,
            "responses stream": self._event,
        }[call](piece)

    def fail(self, error: Exception) -> Outcome:
        """Return the outcome of what raised."""
        status, code = getattr(error, "status_code", None), getattr(error, "code", None)
        return replace(self.outcome, error=f"{type(error).__name__}: {error}", status=status, code=code, raised=True)

    def _add(self, **fields: Any) -> None:
        self.outcome = replace(self.outcome, **fields)

    def _completion(self, answer: Any) -> None:
        choice = answer.choices[0]
        calls = [[call.function.name, call.function.arguments] for call in choice.message.tool_calls or []]
        self._add(
            text=choice.message.content or "",
            tool_calls=calls,
            finish=choice.finish_reason,
            usage=usage_of(answer.usage),
        )

    def _chunk(self, chunk: Any) -> None:
        if chunk.usage:
            self._add(usage=usage_of(chunk.usage))
        for choice in chunk.choices:
            self._add(text=self.outcome.text + (choice.delta.content or ""))
            for call in choice.delta.tool_calls or []:
                gathered = self._calls.setdefault(call.index, ["", ""])
                gathered[0] += call.function.name or ""
                gathered[1] += call.function.arguments or ""
                self._add(tool_calls=list(self._calls.values()))
            if choice.finish_reason:
                self._add(finish=choice.finish_reason)

    def _text_chunk(self, chunk: Any) -> None:
        for choice in chunk.choices:
            self._add(text=self.outcome.text + choice.text)
            if choice.finish_reason:
                self._add(finish=choice.finish_reason)

    def _response(self, answer: Any) -> None:
        calls = [[item.name, item.arguments] for item in answer.output if item.type == "function_call"]
        self._add(text=answer.output_text, tool_calls=calls, usage=usage_of(answer.usage))
        if answer.error:
            self._add(error=f"{answer.status}: {answer.error.message}", code=answer.error.code)
        else:
            self._add(finish=answer.status)

    def _event(self, event: Any) -> None:
        if event.type == "response.output_text.delta":
            self._add(text=self.outcome.text + event.delta)
        elif event.type == "response.output_item.done" and event.item.type == "function_call":
            self._add(tool_calls=[*self.outcome.tool_calls, [event.item.name, event.item.arguments]])
        elif event.type in ("response.completed", "response.incomplete"):
            self._add(finish=event.response.status, usage=usage_of(event.response.usage))
        elif event.type == "response.failed":
            self._add(error=f"response.failed: {event.response.error.message}", code=event.response.error.code)
        elif event.type == "error":
            self._add(error=f"error: {event.message}", code=event.code)


def usage_of(usage: Any) -> dict[str, int] | None:
    """Return input, output and sum, by the names they have."""
    if usage is None:
        return None
    return {name: count for name, count in usage.to_dict().items() if isinstance(count, int)}


@cache
def no_tls() -> ssl.SSLContext:
    """Return a context for upstreams without TLS: the SDK's own takes longer to make than all the rest."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def run_sync(base_url: str, call: Call, *, asks_usage: bool, timeout_s: float) -> Outcome:
    """Make a call with the synchronous SDK."""
    gathering = Gathering()
    http = openai.DefaultHttpxClient(verify=no_tls(), trust_env=False)
    with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=timeout_s, http_client=http) as sdk:
        create = method(sdk, call)
        try:
            answer = create(**arguments(call, asks_usage=asks_usage))
            pieces: Iterator[Any] = answer if call.endswith("stream") else iter([answer])
            for piece in pieces:
                gathering.take(call, piece)
        except Exception as error:  # noqa: BLE001  whatever it raises is what the table tells
            return gathering.fail(error)
    return gathering.outcome


def run_async(base_url: str, call: Call, *, asks_usage: bool, timeout_s: float) -> Outcome:
    """Make a call with the asynchronous SDK, on an event loop of its own."""
    return asyncio.run(make_call(base_url, call, asks_usage=asks_usage, timeout_s=timeout_s))


async def make_call(base_url: str, call: Call, *, asks_usage: bool, timeout_s: float) -> Outcome:
    """Make a call with the asynchronous SDK."""
    gathering = Gathering()
    http = openai.DefaultAsyncHttpxClient(verify=no_tls(), trust_env=False)
    options: Any = {"base_url": base_url, "api_key": "any", "max_retries": 0, "timeout": timeout_s}
    async with openai.AsyncOpenAI(**options, http_client=http) as sdk:
        create = method(sdk, call)
        try:
            answer = await create(**arguments(call, asks_usage=asks_usage))
            pieces: AsyncIterator[Any] = answer if call.endswith("stream") else once(answer)
            async for piece in pieces:
                gathering.take(call, piece)
        except Exception as error:  # noqa: BLE001  as above
            return gathering.fail(error)
    return gathering.outcome


async def once(answer: Any) -> AsyncIterator[Any]:
    """Yield one thing."""
    yield answer
