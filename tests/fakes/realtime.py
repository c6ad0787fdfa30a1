"""A model that speaks the realtime API's events, as far as a conversation in text needs them."""

import json
from typing import Any

from websockets.asyncio.server import ServerConnection

SESSION: Any = {"type": "realtime", "output_modalities": ["text"], "instructions": "Be brief."}
PLACE = {"response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}


async def converse(connection: ServerConnection) -> None:
    """Answer as the API does: a session, then for each response its pieces and its end."""
    await tell(connection, "session.created", session=SESSION)
    said = ""
    async for message in connection:
        event = json.loads(message)
        if event["type"] == "session.update":
            await tell(connection, "session.updated", session=event["session"])
        elif event["type"] == "conversation.item.create":
            said = event["item"]["content"][0]["text"]
        elif event["type"] == "response.create":
            for word in ("You said ", said):
                await tell(connection, "response.output_text.delta", delta=word, **PLACE)
            await tell(connection, "response.done", response={"id": "r", "status": "completed"})


async def tell(connection: ServerConnection, kind: str, **fields: Any) -> None:
    """Send an event."""
    await connection.send(json.dumps({"type": kind, "event_id": "e", **fields}))
