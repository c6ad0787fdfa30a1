"""Names of tools that every provider takes, each tool's its own: `server__tool`, 64 letters, digits, _ and -."""

import hashlib
import re
from collections.abc import Iterable

NAME_LIMIT = 64
HASH_LENGTH = 8
OTHER = re.compile(r"[^A-Za-z0-9_-]")


def full_names(server: str, tools: Iterable[str]) -> dict[str, str]:
    """Return each tool's full name; where two would be equal, the one that had to be changed gets a mark."""
    plain = {tool: full_name(server, tool) for tool in tools}
    counts: dict[str, list[str]] = {}
    for tool, name in plain.items():
        counts.setdefault(name, []).append(tool)
    return {
        tool: name if len(counts[name]) == 1 or cleaned(tool) == tool else marked(name, f"{server}__{tool}")
        for tool, name in plain.items()
    }


def full_name(server: str, tool: str) -> str:
    """Return `server__tool` in the letters a name may have, with a mark of its own where too much was lost."""
    whole = f"{server}__{tool}"
    name = f"{cleaned(server)}__{cleaned(tool)}"
    is_poor = False
    if not re.search(r"[A-Za-z0-9]", cleaned(tool)):
        name, is_poor = f"{cleaned(server)}__tool", True
    if not re.search(r"[A-Za-z0-9]", cleaned(server)):
        name, is_poor = f"server{name[len(cleaned(server)) :]}", True
    if not name[0].isalpha():
        name = f"mcp_{name}"  # Gemini refuses names that begin with a digit
    return marked(name, whole) if is_poor or len(name) > NAME_LIMIT else name


def marked(name: str, whole: str) -> str:
    """Return a name with a mark that no other tool's has, cut to fit."""
    mark = hashlib.sha256(whole.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_LENGTH]
    return f"{name[: NAME_LIMIT - HASH_LENGTH - 1]}_{mark}"


def cleaned(text: str) -> str:
    """Return a text in the letters a name may have."""
    return OTHER.sub("_", text)
