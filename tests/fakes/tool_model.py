"""A model that plays a list of turns; it reads from the conversation which is next, so many may ask at once."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fakes.response_turns import call, events, message, raw, response
from fakes.scripted.answers import Answer, Json, Sse
from fakes.scripted.recorded import Recorded
from fakes.scripted.steps import Step
from fakes.tool_turns import called, called_chunks, text_chunks

Calls = Sequence[tuple[str, dict[str, Any]]]  # name and arguments of each


@dataclass(frozen=True)
class PlayedTurn:
    """What the model says, and then calls."""

    text: str = ""
    calls: Calls = ()


@dataclass(frozen=True)
class ToolModel(Answer):
    """Answer chats and responses, whole or streamed, turn by turn."""

    turns: Sequence[PlayedTurn]

    def script(self, request: Recorded) -> Iterable[Step]:
        return self.answer_to(request).script(request)

    def answer_to(self, request: Recorded) -> Answer:
        """Return the answer to a request."""
        body = request.json()
        items = body.get("messages") or body["input"]
        number = len(rounds_in(items)) if isinstance(items, list) else 0
        turn = self.turns[min(number, len(self.turns) - 1)]
        calls = [
            (f"t{number}-{index}", name, json.dumps(arguments)) for index, (name, arguments) in enumerate(turn.calls)
        ]
        if "messages" in body:
            return chat_answer(body, turn.text, calls, f"chatcmpl-{number}")
        out = [message(turn.text, f"msg_{number}")] if turn.text else []
        out += [call(*one) for one in calls]
        response_id = f"resp_{number}"
        return (
            Sse(raw(events(*out, response_id=response_id)), done=False)
            if body.get("stream")
            else Json(response(*out, response_id=response_id))
        )


def chat_answer(body: Any, text: str, calls: list[tuple[str, str, str]], answer_id: str) -> Answer:
    """Return a turn as a chat completion."""
    asked_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    words = [text] if text else []
    if body.get("stream"):
        if calls:
            return Sse(called_chunks(*calls, words=words, usage=asked_usage, answer_id=answer_id))
        return Sse(text_chunks(*words, usage=asked_usage, answer_id=answer_id))
    whole = called(*calls, text=text or None, answer_id=answer_id)
    if not calls:
        whole["choices"][0]["message"] = {"role": "assistant", "content": text}
        whole["choices"][0]["finish_reason"] = "stop"
    return Json(whole)


def rounds_in(items: list[Any]) -> set[str]:
    """Return the turns whose calls a conversation holds, by the beginning of their ids."""
    ids = [one["id"] for item in items for one in item.get("tool_calls") or ()]
    ids += [str(item["call_id"]) for item in items if item.get("type") == "function_call"]
    return {call_id.partition("-")[0] for call_id in ids}
