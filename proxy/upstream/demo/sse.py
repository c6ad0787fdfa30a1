"""Event streams as OpenAI frames them."""

import json

from proxy.upstream.demo.body import JsonObject

DONE = b"data: [DONE]\n\n"


def event(payload: JsonObject, name: str | None = None) -> bytes:
    """Return one event; the Responses API names its events, the others do not."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(payload)}\n\n".encode()
