"""Which of our tools a request is offered: none where the client has settled the matter itself."""

import re
from collections.abc import Callable, Iterable, Mapping

from proxy.http.json_text import Written
from proxy.tools.loop.request import Offer
from proxy.tools.tool import JsonObject, Tool

MAX_TOOLS = 128  # as many as the API takes, the client's included
NAME_LIMIT = 64
NAMELESS = "unnamed"
MAX_WRITTEN = 512  # tools whose definition is kept as it is written, for each API


def offer_for(
    choice: object, client_tools: Iterable[JsonObject], tools: Mapping[str, Tool], define: Callable[[Tool], Written]
) -> Offer | None:
    """Return what to add to a request, None where its tool choice leaves no room for ours, or there is nothing to add.

    `choice` is the request's tool_choice; `client_tools` its own definitions.
    """
    own = list(client_tools)
    client_names = frozenset(name_of(definition) for definition in own)
    room = max(MAX_TOOLS - len(own), 0)
    ours = dict([(name, tool) for name, tool in tools.items() if name not in client_names][:room])
    forced = name_of(choice) if isinstance(choice, dict) and choice.get("type") == "function" else None
    if not ours or not (choice in (None, "auto") or forced in ours):
        return None
    return Offer(ours, client_names, tuple(map(define, ours.values())), is_forced=forced is not None)


def name_of(definition: JsonObject) -> str:
    """Return the name in a definition or a choice: the Chat API wraps it in the type's own member."""
    inner = definition.get(str(definition.get("type")))
    name = (inner if isinstance(inner, dict) else definition).get("name")
    return name if isinstance(name, str) else ""


def sent_back_name(name: str) -> str:
    """Return a name as the API has it: a model may make up one that the upstream then refuses."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:NAME_LIMIT] or NAMELESS


def objects(value: object) -> list[JsonObject]:
    """Return the objects of a list, and nothing of what is not one."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
