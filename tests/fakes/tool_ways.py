"""The four ways a model asks for tools: chats and responses, whole and streamed. One test serves for all of them."""

import json
from dataclasses import dataclass
from typing import Any

from fakes.asking import CHAT
from fakes.response_turns import message, response, streamed
from fakes.scripted.answers import Answer, Json, Sse
from fakes.scripted.samples import completion
from fakes.streaming import MESSAGES, RESPONSES
from fakes.tool_turns import chunk, text_chunks

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One of them."""

    is_chat: bool
    is_streamed: bool

    def __str__(self) -> str:
        return ("chat" if self.is_chat else "response") + (" stream" if self.is_streamed else "")

    @property
    def path(self) -> str:
        """Return the address."""
        return CHAT if self.is_chat else RESPONSES

    def body(self, **more: Any) -> JsonObject:
        """Return a request."""
        asked: JsonObject = {"messages": MESSAGES} if self.is_chat else {"input": "Hi"}
        return {"model": "m", **asked, **({"stream": True} if self.is_streamed else {}), **more}

    def turn(self, *functions: JsonObject) -> Answer:
        """Return a turn that calls functions, each given as a name and arguments in whatever form."""
        if not self.is_chat:
            items = [
                {"id": f"fc_{n}", "type": "function_call", "status": "completed", "call_id": f"call_{n}", **function}
                for n, function in enumerate(functions)
            ]
            return streamed(*items) if self.is_streamed else Json(response(*items))
        calls = [{"id": f"call_{n}", "type": "function", "function": one} for n, one in enumerate(functions)]
        if not self.is_streamed:
            return Json(completion("", tool_calls=calls))
        numbered = [{"index": n, **call} for n, call in enumerate(calls)]
        return Sse([chunk({"role": "assistant", "content": None, "tool_calls": numbered}), chunk({}, "tool_calls")])

    def last(self, text: str = "Done.") -> Answer:
        """Return a turn that only says something."""
        if self.is_chat:
            return Sse(text_chunks(text)) if self.is_streamed else Json(completion(text))
        return streamed(message(text)) if self.is_streamed else Json(response(message(text)))

    def results(self, body: Any) -> list[str]:
        """Return what a request tells of our calls."""
        if self.is_chat:
            return [one["content"] for one in body["messages"] if one["role"] == "tool"]
        items = body["input"] if isinstance(body["input"], list) else []
        return [one["output"] for one in items if one.get("type") == "function_call_output"]

    def calls(self, body: Any) -> list[JsonObject]:
        """Return the name and arguments of every call that a request goes on from."""
        if self.is_chat:
            return [call["function"] for one in body["messages"] for call in one.get("tool_calls", ())]
        return [one for one in body["input"] if one.get("type") == "function_call"]

    def calls_shown(self, raw: bytes) -> list[JsonObject]:
        """Return the name and arguments of every call in an answer to the client."""
        if not self.is_streamed:
            return self._calls_in(json.loads(raw))
        told = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: {")]
        if self.is_chat:
            choices = [choice for one in told for choice in one["choices"]]
            return [call["function"] for choice in choices for call in choice["delta"].get("tool_calls", ())]
        return self._calls_in(told[-1]["response"])

    def _calls_in(self, value: Any) -> list[JsonObject]:
        if self.is_chat:
            return [call["function"] for call in value["choices"][0]["message"].get("tool_calls", ())]
        return [item for item in value["output"] if item["type"] == "function_call"]


WAYS = [Way(is_chat, is_streamed) for is_chat in (True, False) for is_streamed in (False, True)]
