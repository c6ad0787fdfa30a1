"""What the demo says, how it counts tokens, and in what pieces and events a stream sends it."""

import json
import re
import secrets

MAX_QUOTE_CHARACTERS = 600
PIECE_CHARACTERS = 12
CHARACTERS_PER_TOKEN = 4


def new_id(prefix: str) -> str:
    """Return a fresh identifier such as `chatcmpl-…` or `call_…`."""
    return f"{prefix}{secrets.token_hex(12)}"


def count_tokens(text: str) -> int:
    """Return a plausible number of tokens, at least 1."""
    return max(1, len(text) // CHARACTERS_PER_TOKEN)


def cut_to_tokens(text: str, tokens: int | None) -> tuple[str, str]:
    """Return what fits into so many tokens (None: all), and the API's word for why it ends there."""
    if tokens is None or len(text) <= tokens * CHARACTERS_PER_TOKEN:
        return text, "stop"
    return text[: tokens * CHARACTERS_PER_TOKEN], "length"


def split_words(text: str) -> list[str]:
    """Split a text into words that keep their spaces; joined they are the text again."""
    return re.findall(r"\s*\S+|\s+$", text)


def split_arguments(arguments: str) -> list[str]:
    """Split the arguments of a call into the pieces of a stream."""
    return re.findall(f".{{1,{PIECE_CHARACTERS}}}", arguments)


def format_event(payload: dict[str, object]) -> bytes:
    """Return one event of a stream; those of the Responses API have a type, which is their name too."""
    name = f"event: {payload['type']}\n" if "type" in payload else ""
    return f"{name}data: {json.dumps(payload)}\n\n".encode()


def greeting(said: str, tool_names: list[str]) -> str:
    """Return the answer to a message of the user's."""
    parts = ["This is the demo upstream of OpenAI Tray Proxy; no model is at work here."]
    parts.append(f"You said: {_quote(said)}" if said else "You said nothing.")
    if tool_names:
        parts.append(f"Mention a tool by its name ({', '.join(tool_names[:5])}) and the demo will call it.")
    parts.append("Store an OpenAI key to reach a real model.")
    return " ".join(parts)


def report_results(results: list[str]) -> str:
    """Return the answer to the results of tools."""
    quoted = " and ".join(_quote(result) for result in results)
    return f"This is the demo upstream of OpenAI Tray Proxy. The tool answered: {quoted}"


def _quote(text: str) -> str:
    return f"“{text}”" if len(text) <= MAX_QUOTE_CHARACTERS else f"“{text[:MAX_QUOTE_CHARACTERS]}…”"
