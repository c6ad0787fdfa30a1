"""Begin the loop for one request: what it is offered, what is put back into it, and in which form it is answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.tools.loop import chat, chat_plain, responses, responses_plain
from proxy.tools.loop.chat_stream import ChatEditor
from proxy.tools.loop.kept import KeptTurns
from proxy.tools.loop.request import Offer, ToolRequest
from proxy.tools.loop.responses_stream import ResponsesEditor
from proxy.tools.loop.session import Session, Workshop
from proxy.tools.loop.streamed import Editor, LoopedAnswer, is_stream
from proxy.tools.tool import JsonObject, Tool


@dataclass(frozen=True)
class Api:
    """What the loop needs to know of one of the two APIs."""

    offer: Callable[[JsonObject, Mapping[str, Tool]], Offer | None]
    put_back: Callable[[JsonObject, KeptTurns, str], JsonObject]
    answer_whole: Callable[[Session, JsonObject], Awaitable[Answer]]
    editor: Callable[[Session, JsonObject], Editor]


APIS = {
    "/chat/completions": Api(chat.offer, chat.put_back, chat_plain.answer_whole, ChatEditor),
    "/responses": Api(responses.offer, responses.put_back, responses_plain.answer_whole, ResponsesEditor),
}


async def open_loop(request: ToolRequest, tools: Mapping[str, Tool], settings: Settings, workshop: Workshop) -> Answer:
    """Return the answer to a request; raises ProxyError."""
    api, fields = APIS[request.path], request.fields
    changes = workshop.aliases.changes(fields)
    if workshop.kept:
        changes = {**changes, **api.put_back(fields, workshop.kept, request.caller)}
    fields = {**fields, **changes}
    allowed = {name: tool for name, tool in tools.items() if workshop.consent.rule_for(tool) != "never"}
    is_unable = workshop.unable.holds(settings.openai_base_url, fields.get("model"))
    offer = None if is_unable and not fields.get("tools") else api.offer(fields, allowed)
    if offer is None:
        return await request.ask(request.rewrite(request.content, changes) if changes else request.content)
    own = fields.get("tools")
    added: JsonObject = {"tools": [*(own if isinstance(own, list) else ()), *offer.definitions]}
    session = Session(request, offer, {**changes, **added}, settings, workshop)
    if fields.get("stream") is not True:
        return await api.answer_whole(session, fields)
    first = await session.ask_first()
    return LoopedAnswer(first, session, api.editor(session, fields)) if is_stream(first) else first
