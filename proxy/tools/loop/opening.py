"""Begin the loop for one request: what it is offered, what is put back into it, and in which form it is answered."""

from collections.abc import Mapping

from proxy.settings.model import Settings
from proxy.stream.relay import Answer
from proxy.tools.loop import chat
from proxy.tools.loop.chat_plain import answer_whole
from proxy.tools.loop.chat_stream import ChatEditor
from proxy.tools.loop.request import ToolRequest
from proxy.tools.loop.session import Session, Workshop
from proxy.tools.loop.streamed import LoopedAnswer, is_stream
from proxy.tools.tool import Tool


async def open_loop(request: ToolRequest, tools: Mapping[str, Tool], settings: Settings, workshop: Workshop) -> Answer:
    """Return the answer to a request; raises ProxyError."""
    fields = request.fields
    changes = chat.put_back(fields, workshop.kept, request.caller) if workshop.kept else {}
    fields = {**fields, **changes}
    allowed = {name: tool for name, tool in tools.items() if workshop.consent.rule_for(tool) != "never"}
    offer = chat.offer(fields, allowed)
    if offer is None:
        return await request.ask(request.rewrite(request.content, changes) if changes else request.content)
    session = Session(request, offer, {**changes, **chat.first_changes(fields, offer)}, settings, workshop)
    if fields.get("stream") is not True:
        return await answer_whole(session, fields)
    first = await session.ask()
    return LoopedAnswer(first, session, ChatEditor(session, fields)) if is_stream(first) else first
