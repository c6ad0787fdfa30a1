"""Whether an upstream refused a request because of its tools, and because of which.

A refusal that merely mentions tools (the prompt is too long, the model is unknown, a message of the client's is wrong)
is none of those. The texts are those of OpenAI, OpenRouter, Groq, Mistral, DeepSeek, Gemini, Ollama, llama.cpp, vLLM.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from proxy.http.answer import Answer

REFUSING = (400, 404, 422, 501)
MAX_READ_BYTES = 65_536
MEMBERS = re.compile(r"(?i)\W*(tools|tool_choice|tool_config|toolconfig|functions|parallel_tool_calls)\b")
OTHER_CODES = re.compile(
    r"(?i)length|not_found|model_not|quota|rate_limit|billing|key|auth|content|policy|moderation|safety"
)
TOOL = r"(?:tools?|tool[ _-]?(?:us(?:e|age|ing)|call(?:s|ing)?|choice)|functions?|function[ _-]?call(?:s|ing)?)"
REFUSAL = (
    r"(?:not\s+(?:currently\s+)?(?:be\s+)?(?:support|enabl|allow|permit|avail|accept|implement)|n[o']t\s+support|no\s+support|"
    r"unsupported|disabled|found that support|requires?\b|unknown|unrecogni[sz]ed|unexpected|"
    r"invalid|extra|too\s+many|at\s+most|schema|cannot|can't|unable)"
)
WITHIN = r"(?:[^.!?\n]|[.!?](?=\w)){0,100}?"  # the same sentence
ABOUT_TOOLS = re.compile(
    rf"(?i)(?<![\w.-]){TOOL}(?![\w-]){WITHIN}{REFUSAL}|{REFUSAL}{WITHIN}(?<![\w.-]){TOOL}(?![\w-])"
)
ABOUT_LENGTH = re.compile(
    r"(?i)context[ _-]?(?:length|window|size)|max(?:imum)?\b.{0,40}\btokens?|too (?:long|large|many tokens)"
    r"|token limit|input length|prompt is"
)
ABOUT_MODEL = re.compile(
    r"(?i)\bmodel\b.{0,120}?(?:not (?:be )?found|does(?: not|n't) exist|unknown)|no such model|try pulling"
)
ABOUT_MESSAGES = re.compile(
    r"(?i)\bmessages?\b|tool_call_id|tool_calls?\b|tool_use_id|tool_result|\brole\b|preceding|function response"
)
PLACE = re.compile(r"(?i)\b(?:tools|functions?_?declarations|functions)(?:\[|\.)([0-9]{1,4})(?![0-9])")
GEMINI_PLACE = re.compile(r"(?i)function_?declarations\[([0-9]{1,4})\]")
NAMED = re.compile(r"[\"'`\u201c\u2018\u00ab]([A-Za-z0-9_.-]{1,64})[\"'`\u201d\u2019\u00bb]")


def refuses_tools(answer: Answer, model: object) -> bool:
    """Tell whether an answer is a refusal of the tools themselves."""
    if answer.status not in REFUSING or answer.body is None:
        return False
    error = read_error(answer.body)
    params = list(strings(error, ("param",)))
    if params:
        return any(MEMBERS.match(param) for param in params)
    if places := list(locations(error)):
        return any("tools" in place or "tool_choice" in place for place in places)
    if any(OTHER_CODES.search(code) for code in strings(error, ("code", "type")) if "tool" not in code):
        return False
    texts = [without(text, model) for text in strings(error, ("message", "detail", "msg", "error"))]
    return any(map(is_about_tools, texts))


def is_about_tools(text: str) -> bool:
    """Tell whether a sentence refuses tools."""
    if MEMBERS.match(text) or PLACE.search(text) or GEMINI_PLACE.search(text):
        return not ABOUT_MESSAGES.match(text)
    if any(other.search(text) for other in (ABOUT_LENGTH, ABOUT_MODEL, ABOUT_MESSAGES)):
        return False
    return ABOUT_TOOLS.search(text) is not None


def blamed(answer: Answer, names: Sequence[str]) -> frozenset[str]:
    """Return which of the tools a request named, in its order, the refusal of it is about; none where it does not say.

    The names may be those of the client's own tools too: what is not blamed is not left out for it.
    """
    error = read_error((answer.body or b"")[:MAX_READ_BYTES])
    texts = list(strings(error, ("param", "message", "detail", "msg", "error")))
    pattern = GEMINI_PLACE if any(GEMINI_PLACE.search(text) for text in texts) else PLACE
    numbers = {int(number) for text in texts for number in pattern.findall(text)}
    for place in locations(error):
        numbers |= {after for before, after in pairwise(place) if before == "tools" and type(after) is int}
    by_place = frozenset(names[number] for number in numbers if number < len(names))
    by_name = frozenset(name for text in texts for name in NAMED.findall(text)) & frozenset(names)
    return by_name or by_place


def read_error(body: bytes) -> Any:
    """Return what an upstream says of an error, as it says it: an object, a list, a text."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return {"message": body[:MAX_READ_BYTES].decode("utf-8", "replace")}


def walk(value: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield the members in a value, to a depth in which errors are told."""
    if depth > 6:
        return
    if isinstance(value, dict):
        for name, one in value.items():
            if name == "raw" and isinstance(one, str):  # OpenRouter passes on what another one said
                yield from walk(read_error(one.encode("utf-8", "replace")), depth + 1)
                continue
            yield str(name), one
            yield from walk(one, depth + 1)
    elif isinstance(value, list):
        for one in value[:100]:
            yield from walk(one, depth + 1)


def strings(error: Any, names: Iterable[str]) -> Iterator[str]:
    """Yield the texts of the members of these names."""
    wanted = frozenset(names)
    return (one[:MAX_READ_BYTES] for name, one in walk(error) if name in wanted and isinstance(one, str) and one)


def locations(error: Any) -> Iterator[list[Any]]:
    """Yield the places that FastAPI names: what of the body was wrong."""
    return (one for name, one in walk(error) if name == "loc" and isinstance(one, list))


def without(text: str, model: object) -> str:
    """Return a text without the model's name, in which "tool" or "function" may stand."""
    return text.replace(model, "MODEL") if isinstance(model, str) and len(model) > 1 else text
