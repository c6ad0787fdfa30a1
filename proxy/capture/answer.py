"""Put the answer's pieces together again: streamed text, reasoning, calls with their arguments, as one message."""

from collections.abc import Callable, Iterable
from typing import Any

from proxy.capture.conversation import (
    CHAT,
    COMPLETIONS,
    MESSAGES,
    RESPONSES,
    Message,
    Part,
    call_part,
    listed,
    message,
    of_items,
    of_message,
    part_of,
    text_part,
    word,
)
from proxy.capture.media import MediaList
from proxy.stream.event_json import read_value
from proxy.stream.sse import EventSplitter

ANSWER = "answer"
ENDS = ("response.completed", "response.incomplete", "response.failed")


def of_answer(api: str, body: bytes, media: MediaList) -> list[Message]:
    """Return the messages of an answer, whole or as far as it has come."""
    if not body.strip():
        return []
    if not looks_like_json(body):
        return of_stream(api, list(events_in(body)), media)
    is_json, value = read_value(body)
    if not is_json or not isinstance(value, dict):
        return []
    return of_object(api, value, media)


def looks_like_json(body: bytes) -> bool:
    """Tell whether a body begins as JSON does, not as a stream of events."""
    return body.lstrip()[:1] in (b"{", b"[")


def events_in(body: bytes) -> Iterable[dict[str, Any]]:
    """Yield the JSON objects of a stream's events."""
    splitter = EventSplitter()
    events = splitter.feed(body)
    rest = splitter.end()
    for event in [*events, *([rest] if rest else [])]:
        _, value = read_value(event.data) if event.data else (False, None)
        if isinstance(value, dict):
            yield value


def of_object(api: str, value: dict[str, Any], media: MediaList) -> list[Message]:
    """Return the messages of a whole answer."""
    if isinstance(value.get("error"), dict):
        return [message("assistant", [error_part(value["error"])], ANSWER)]
    if api == CHAT:
        return [
            finished(of_message(choice.get("message"), media, ANSWER), choice.get("finish_reason"))
            for choice in objects(value.get("choices"))
        ]
    if api == RESPONSES:
        said = of_items(value.get("output") or [], media, ANSWER)
        return [*said[:-1], finished(said[-1], value.get("status"))] if said else []
    if api == MESSAGES and "content" in value:
        parts = [part_of(each, media) for each in listed(value["content"])]
        return [finished(message("assistant", parts, ANSWER), value.get("stop_reason"))]
    if api == COMPLETIONS:
        return [
            finished(message("assistant", [text_part(choice.get("text"))], ANSWER), choice.get("finish_reason"))
            for choice in objects(value.get("choices"))
        ]
    return []


def of_stream(api: str, events: list[dict[str, Any]], media: MediaList) -> list[Message]:
    """Return the messages of a stream, and the error it may end in."""
    readers: dict[str, Callable[[list[dict[str, Any]], MediaList], list[Message]]] = {
        CHAT: of_chat_stream,
        COMPLETIONS: of_chat_stream,
        RESPONSES: of_responses_stream,
        MESSAGES: of_messages_stream,
    }
    messages = readers[api](events, media) if api in readers else []
    failed = next((event["error"] for event in events if isinstance(event.get("error"), dict)), None)
    if failed is None and api == RESPONSES:
        failed = next((event for event in events if event.get("type") == "error"), None)
    return [*messages, message("assistant", [error_part(failed)], ANSWER)] if failed else messages


class Growing:
    """The parts of one message while its pieces are read, in the order in which they began."""

    def __init__(self) -> None:
        self._parts: dict[Any, Part] = {}
        self._pieces: dict[Any, list[str]] = {}

    def begin(self, key: Any, part: Part) -> None:
        """Begin a part, once."""
        self._parts.setdefault(key, part)

    def add(self, key: Any, kind: str, text: Any) -> None:
        """Add to a part's text, which begins with the first piece."""
        if isinstance(text, str) and text:
            self._parts.setdefault(key, {"type": kind})
            self._pieces.setdefault(key, []).append(text)

    def parts(self) -> list[Part]:
        """Return the parts with their texts; those without any are left out, but for calls."""
        done = []
        for key, part in self._parts.items():
            text = "".join(self._pieces.get(key, ()))
            if part["type"] == "tool_call":
                done.append({**part, "arguments": text or part.get("arguments", "")})
            elif text or part.get("text"):
                done.append({**part, "text": text or part["text"]})
            elif part["type"] not in ("text", "reasoning", "refusal"):
                done.append(part)
        return done


def of_chat_stream(events: list[dict[str, Any]], media: MediaList) -> list[Message]:  # noqa: ARG001  a reader's signature
    """Put chunks of Chat Completions, or of completions, together; one message for each choice."""
    growing: dict[Any, Growing] = {}
    finish: dict[Any, Any] = {}
    for choice in (choice for event in events for choice in objects(event.get("choices"))):
        index, delta = choice.get("index", 0), choice.get("delta")
        index = index if isinstance(index, int) else 0
        grown = growing.setdefault(index, Growing())
        finish[index] = choice.get("finish_reason") or finish.get(index)
        if not isinstance(delta, dict):
            grown.add("text", "text", choice.get("text"))
            continue
        for name in ("reasoning_content", "reasoning"):
            if isinstance(delta.get(name), str):
                grown.add("reasoning", "reasoning", delta[name])
                break
        grown.add("text", "text", delta.get("content"))
        grown.add("refusal", "refusal", delta.get("refusal"))
        for place, call in enumerate(objects(delta.get("tool_calls"))):
            function: Any = call.get("function") if isinstance(call.get("function"), dict) else {}
            key = ("call", call["index"] if isinstance(call.get("index"), int) else place)
            grown.begin(key, call_part(call.get("id"), function.get("name"), ""))
            grown.add(key, "tool_call", function.get("arguments"))
    return [
        finished(message("assistant", growing[index].parts(), ANSWER), finish[index])
        for index in sorted(growing)
        if growing[index].parts() or finish[index]
    ]


def of_responses_stream(events: list[dict[str, Any]], media: MediaList) -> list[Message]:
    """Put events of Responses together; the last one holds all where the stream came to its end."""
    for event in reversed(events):
        if event.get("type") in ENDS and isinstance(event.get("response"), dict):
            whole = of_object(RESPONSES, event["response"], media)
            if whole:
                return whole
            break
    grown = Growing()
    for event in events:
        kind, key = word(event.get("type"), ""), (event.get("output_index"), event.get("content_index"))
        if kind == "response.output_item.added" and isinstance(item := event.get("item"), dict):
            if item.get("type") in ("function_call", "custom_tool_call"):
                grown.begin(("call", key[0]), call_part(item.get("call_id"), item.get("name"), ""))
        elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
            grown.add(("call", key[0]), "tool_call", event.get("delta"))
        elif kind == "response.output_text.delta":
            grown.add(("text", key), "text", event.get("delta"))
        elif kind == "response.refusal.delta":
            grown.add(("refusal", key), "refusal", event.get("delta"))
        elif kind.startswith("response.reasoning") and kind.endswith(".delta"):
            grown.add(("reasoning", key[0], event.get("summary_index")), "reasoning", event.get("delta"))
    parts = grown.parts()
    return [message("assistant", parts, ANSWER)] if parts else []


def of_messages_stream(events: list[dict[str, Any]], media: MediaList) -> list[Message]:
    """Put events of Claude's API together."""
    grown, reason = Growing(), None
    for event in events:
        kind, index, delta = event.get("type"), event.get("index"), event.get("delta")
        if kind == "content_block_start" and isinstance(block := event.get("content_block"), dict):
            part = part_of(block, media)
            grown.begin(index, {**part, "arguments": ""} if part["type"] == "tool_call" else part)
        elif kind == "content_block_delta" and isinstance(delta, dict):
            grown.add(index, "text", delta.get("text"))
            grown.add(index, "reasoning", delta.get("thinking"))
            grown.add(index, "tool_call", delta.get("partial_json"))
        elif kind == "message_delta" and isinstance(delta, dict):
            reason = delta.get("stop_reason") or reason
    parts = grown.parts()
    return [finished(message("assistant", parts, ANSWER), reason)] if parts or reason else []


def finished(said: Message, reason: Any) -> Message:
    """Return a message with the reason for its end, as the upstream names it."""
    return {**said, "finish": word(reason, None)}


def error_part(error: dict[str, Any]) -> Part:
    """Return an error as a part."""
    words = error.get("message") or error.get("code") or error.get("type")
    return {"type": "error", "text": words if isinstance(words, str) else str(words)}


def objects(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list."""
    return [each for each in listed(value) if isinstance(each, dict)]
