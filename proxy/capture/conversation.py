"""Read a request's JSON as a conversation: who says what, with tool calls, results, reasoning, images. For any API.

A message is {"role", "from": "request" or "answer", "parts"}; a part has a "type": text, reasoning, tool_call,
tool_result, image, audio, file, refusal, error, or other, which holds JSON as text. Nothing a client or an upstream
sends raises here: what is not understood is shown as it is.
"""

import json
from collections.abc import Callable
from typing import Any

from proxy.capture.media import MediaList

Part = dict[str, Any]
Message = dict[str, Any]

CHAT, RESPONSES, MESSAGES, COMPLETIONS, EMBEDDINGS, OTHER = (
    *("chat", "responses", "messages"),
    *("completions", "embeddings", "other"),
)
API_OF = {
    "/chat/completions": CHAT,
    "/responses": RESPONSES,
    "/messages": MESSAGES,
    "/messages/count_tokens": MESSAGES,
    "/completions": COMPLETIONS,
    "/embeddings": EMBEDDINGS,
}
TEXT_TYPES = ("text", "input_text", "output_text", "summary_text", "reasoning_text")


def of_request(api: str, fields: dict[str, Any], media: MediaList) -> list[Message]:
    """Return the messages of a request's JSON object."""
    messages: list[Message] = []
    if api == RESPONSES:
        if fields.get("instructions"):
            messages.append(message("system", parts_of(fields["instructions"], media)))
        messages += of_items(fields.get("input"), media)
    elif api in (CHAT, MESSAGES):
        if fields.get("system"):
            messages.append(message("system", parts_of(fields["system"], media)))
        messages += [of_message(each, media) for each in listed(fields.get("messages"))]
    elif api == COMPLETIONS:
        messages += [message("user", [text_part(each)]) for each in listed(fields.get("prompt"))]
    elif api == EMBEDDINGS:
        messages += [message("user", [text_part(each)]) for each in listed(fields.get("input"))]
    return messages


def of_items(items: Any, media: MediaList, source: str = "request") -> list[Message]:
    """Return the messages of the items of Responses, as input or as output."""
    if isinstance(items, str):
        return [message("user", [text_part(items)], source)]
    return [of_item(item, media, source) for item in listed(items)]


def of_item(item: Any, media: MediaList, source: str) -> Message:
    """Return the message of one item of Responses."""
    if not isinstance(item, dict):
        return message("user", [text_part(item)], source)
    kind = item.get("type", "message")
    if kind == "message":
        return message(word(item.get("role"), "user"), parts_of(item.get("content"), media), source)
    if kind == "function_call_output":
        return message("tool", [result_part(item.get("call_id"), item.get("output"), media)], source)
    if kind in ("function_call", "custom_tool_call"):
        arguments = item.get("arguments", item.get("input"))
        return message("assistant", [call_part(item.get("call_id"), item.get("name"), arguments)], source)
    if kind == "reasoning":
        said = [*listed(item.get("summary")), *listed(item.get("content"))]
        text = "\n\n".join(word(each.get("text"), "") for each in said if isinstance(each, dict))
        return message("assistant", [{"type": "reasoning", "text": text}], source)
    return message("assistant", [other_part(item)], source)


def of_message(said: Any, media: MediaList, source: str = "request") -> Message:
    """Return a message of Chat Completions or of Claude's API."""
    if not isinstance(said, dict):
        return message("user", [text_part(said)], source)
    role, content = word(said.get("role"), "user"), said.get("content")
    if role in ("tool", "function"):
        return message("tool", [result_part(said.get("tool_call_id", said.get("name")), content, media)], source)
    parts: list[Part] = []
    for name in ("reasoning_content", "reasoning"):
        if isinstance(said.get(name), str) and said[name]:
            parts.append({"type": "reasoning", "text": said[name]})
            break
    parts += parts_of(content, media)
    if isinstance(said.get("refusal"), str):
        parts.append({"type": "refusal", "text": said["refusal"]})
    for call in (*listed(said.get("tool_calls")), *listed(said.get("function_call"))):
        function = call.get("function", call.get("custom", call)) if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = function.get("arguments", function.get("input"))
            parts.append(call_part(call.get("id"), function.get("name"), arguments))
    if isinstance(said.get("audio"), dict):
        parts.append(audio_part(said["audio"], media))
    return message(role, parts, source)


def parts_of(content: Any, media: MediaList) -> list[Part]:
    """Return the parts of a message's content."""
    return [part_of(each, media) for each in listed(content)]


def part_of(piece: Any, media: MediaList) -> Part:
    """Return one part."""
    if not isinstance(piece, dict):
        return text_part(piece)
    reader = READERS.get(word(piece.get("type"), ""))
    return reader(piece, media) if reader else other_part(piece)


def image_part(piece: Part, media: MediaList) -> Part:
    """Return an image of any of the APIs."""
    image = piece.get("image_url")
    if image is not None:
        return media.part("image", image.get("url") if isinstance(image, dict) else image)
    return source_part("image", piece, media)


def source_part(kind: str, piece: Part, media: MediaList) -> Part:
    """Return an image or a document of Claude's API."""
    source = piece.get("source")
    if not isinstance(source, dict):
        return media.part(kind, None)
    if source.get("type") == "base64":
        return media.encoded_part(kind, source.get("media_type"), source.get("data"), piece.get("title"))
    if source.get("type") == "text":
        return text_part(source.get("data"))
    return media.part(kind, source.get("url"), piece.get("title"))


def audio_part(piece: Part, media: MediaList) -> Part:
    """Return a sound: one that is sent in, or the answer's."""
    sound = piece.get("input_audio", piece)
    if not isinstance(sound, dict) or not isinstance(sound.get("data"), str):
        return other_part(piece)
    found = media.encoded_part("audio", f"audio/{word(sound.get('format'), 'wav')}", sound["data"])
    return {**found, "transcript": sound.get("transcript") if isinstance(sound.get("transcript"), str) else None}


def file_part(piece: Part, media: MediaList) -> Part:
    """Return a file, by its content or its name."""
    inner = piece.get("file", piece)
    if not isinstance(inner, dict):
        return other_part(piece)
    name = inner.get("filename") or inner.get("file_id")
    return media.part("file", inner.get("file_data") or inner.get("file_url"), name)


def thinking_part(piece: Part, media: MediaList) -> Part:  # noqa: ARG001  a reader's signature
    """Return what Claude's API calls thinking."""
    return {"type": "reasoning", "text": word(piece.get("thinking"), "")}


READERS: dict[str, Callable[[Part, MediaList], Part]] = {
    **dict.fromkeys(TEXT_TYPES, lambda piece, _: text_part(piece.get("text"))),
    "refusal": lambda piece, _: {"type": "refusal", "text": word(piece.get("refusal"), "")},
    **dict.fromkeys(("image_url", "input_image", "image"), image_part),
    "input_audio": audio_part,
    **dict.fromkeys(("file", "input_file"), file_part),
    "document": lambda piece, media: source_part("file", piece, media),
    "thinking": thinking_part,
    "tool_use": lambda piece, _: call_part(piece.get("id"), piece.get("name"), piece.get("input")),
    "tool_result": lambda piece, media: result_part(
        piece.get("tool_use_id"), piece.get("content"), media, is_error=piece.get("is_error") is True
    ),
}


def call_part(call_id: Any, name: Any, arguments: Any) -> Part:
    """Return a call of a tool; its arguments are text."""
    text = arguments if isinstance(arguments, str) else written(arguments)
    return {"type": "tool_call", "id": word(call_id, None), "name": word(name, None), "arguments": text}


def result_part(call_id: Any, content: Any, media: MediaList, *, is_error: bool = False) -> Part:
    """Return the result of a call, as parts of its own."""
    return {
        "type": "tool_result",
        "id": word(call_id, None),
        "parts": [part_of(each, media) for each in listed(content)],
        "is_error": is_error,
    }


def text_part(text: Any) -> Part:
    """Return a text."""
    return {"type": "text", "text": text if isinstance(text, str) else written(text)}


def other_part(value: Part) -> Part:
    """Return what is not known here, as JSON."""
    return {"type": "other", "name": word(value.get("type"), None), "text": written(value)}


def message(role: str, parts: list[Part], source: str = "request") -> Message:
    """Return a message."""
    return {"role": role, "from": source, "parts": parts}


def listed(value: Any) -> list[Any]:
    """Return a list as it is, nothing as an empty one, anything else as a list of it."""
    if value is None or value == "":
        return []
    return value if isinstance(value, list) else [value]


def word(value: Any, default: Any) -> Any:
    """Return a text, the default for anything else."""
    return value if isinstance(value, str) else default


def written(value: Any) -> str:
    """Return a value as JSON."""
    return "" if value is None else json.dumps(value, ensure_ascii=False)
