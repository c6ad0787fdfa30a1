"""Take keys out of values before they are shown, text by text: what is written around them must stay readable."""

import json
from collections.abc import Callable, Iterator
from typing import Any

Hide = Callable[[str], str]  # takes the keys out of a text


def hidden_json(value: Any, hide: Hide) -> str:
    """Return a value as JSON without the keys; text by text only where there is something to take out."""
    texts = "\n".join(texts_in(value))  # as they are, not as JSON escapes them
    return written(value if hide(texts) == texts else hidden(value, hide))


def texts_in(value: Any) -> Iterator[str]:
    """Yield each text in a value, names of members among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for member in value.values():
            yield from texts_in(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from texts_in(member)


def hidden(value: Any, hide: Hide) -> Any:
    """Return a value with the keys taken out of each text in it, names of members among them."""
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {hide(name): hidden(member, hide) for name, member in value.items()}
    return [hidden(member, hide) for member in value] if isinstance(value, list | tuple) else value


def written(value: Any) -> str:
    """Return a value as JSON; half characters, which UTF-8 cannot hold, stay escaped."""
    text = json.dumps(value, ensure_ascii=False)
    return text if is_encodable(text) else json.dumps(value)


def is_encodable(text: str) -> bool:
    """Tell whether a text can be sent as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
