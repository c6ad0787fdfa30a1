"""What the demo says, how it counts tokens, and how it names things."""

import re
import secrets
import time

MODELS = ("demo-chat", "demo-tools", "demo-embedding")
OWNER = "openai-tray-proxy-demo"
CREATED = 1_735_689_600  # the demo's models have one birthday: 2025-01-01
QUOTE_LIMIT = 600
PIECE_LENGTH = 12
CHARACTERS_PER_TOKEN = 4
TOKENS_LIMIT = 1_000_000


def new_id(prefix: str) -> str:
    """Return a fresh identifier such as `chatcmpl-…` or `call_…`."""
    return f"{prefix}{secrets.token_hex(12)}"


def now() -> int:
    """Return the Unix time in seconds."""
    return int(time.time())


def count_tokens(text: str) -> int:
    """Return a plausible number of tokens, at least 1."""
    return max(1, len(text) // CHARACTERS_PER_TOKEN)


def cut_to_tokens(text: str, tokens: int | None) -> tuple[str, bool]:
    """Return what fits into so many tokens, and whether anything was cut off."""
    if tokens is None or len(text) <= tokens * CHARACTERS_PER_TOKEN:
        return text, False
    return text[: tokens * CHARACTERS_PER_TOKEN], True


def split_words(text: str) -> list[str]:
    """Split a text into words that keep their spaces; joined they are the text again."""
    return re.findall(r"\s*\S+|\s+$", text)


def split_arguments(arguments: str) -> list[str]:
    """Split the arguments of a call into the pieces of a stream."""
    return [arguments[start : start + PIECE_LENGTH] for start in range(0, len(arguments), PIECE_LENGTH)]


def quote(text: str) -> str:
    """Return a text in quotation marks, shortened where it is long."""
    return f"“{text}”" if len(text) <= QUOTE_LIMIT else f"“{text[:QUOTE_LIMIT]}…”"


def greeting(said: str, images: int, tool_names: list[str]) -> str:
    """Return the answer to a message of the user's."""
    parts = ["This is the demo upstream of OpenAI Tray Proxy; no model is at work here."]
    parts.append(f"You said: {quote(said)}" if said else "You said nothing.")
    if images:
        parts.append(f"You also sent {images} image{'s' * (images > 1)}, which the demo cannot see.")
    if tool_names:
        parts.append(f"Mention a tool by its name ({', '.join(tool_names[:5])}) and the demo will call it.")
    parts.append("Store an OpenAI key to reach a real model.")
    return " ".join(parts)


def report_results(results: list[str]) -> str:
    """Return the answer to the results of tools."""
    quoted = " and ".join(quote(result) for result in results)
    return f"This is the demo upstream of OpenAI Tray Proxy. The tool answered: {quoted}"
