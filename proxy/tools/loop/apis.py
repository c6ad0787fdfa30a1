"""Begin the loop for one request: what it is offered, what is put back into it, and in which form it is answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from proxy.http.answer import Answer
from proxy.settings.model import Settings
from proxy.tools.loop import chat, chat_plain, responses, responses_plain
from proxy.tools.loop.chat_stream import ChatEditor
from proxy.tools.loop.mixed_turns import MixedTurns
from proxy.tools.loop.request import Offer, ToolRequest
from proxy.tools.loop.responses_stream import ResponsesEditor
from proxy.tools.loop.session import LoopParts, Session
from proxy.tools.loop.streamed import Editor, LoopedAnswer, is_stream
from proxy.tools.switches import is_off
from proxy.tools.tool import JsonObject, Tool


@dataclass(frozen=True)
class Api:
    """What the loop needs to know of one of the two APIs."""

    offer: Callable[[JsonObject, Mapping[str, Tool]], Offer | None]
    restore_results: Callable[[JsonObject, MixedTurns, str], JsonObject]
    answer_whole: Callable[[Session, JsonObject], Awaitable[Answer]]
    editor: Callable[[Session, JsonObject], Editor]


APIS = {
    "/chat/completions": Api(chat.offer, chat.restore_results, chat_plain.answer_whole, ChatEditor),
    "/responses": Api(responses.offer, responses.restore_results, responses_plain.answer_whole, ResponsesEditor),
}


async def open_loop(request: ToolRequest, tools: Mapping[str, Tool], settings: Settings, parts: LoopParts) -> Answer:
    """Return the answer to a request; raises ProxyError."""
    api, fields = APIS[request.path], request.fields
    changes = parts.response_ids.changes(fields)
    if parts.mixed_turns:
        changes = {**changes, **api.restore_results(fields, parts.mixed_turns, request.caller)}
    fields = {**fields, **changes}
    allowed: Mapping[str, Tool] = {
        name: tool
        for name, tool in tools.items()
        if parts.consent.rule_for(tool) != "never"
        and not is_off(settings.tool_off, name, (request.client, request.key_name))
    }
    allowed = parts.without_tools.allowed(
        request.upstream, fields.get("model"), allowed, beside_others=bool(fields.get("tools"))
    )
    offer = api.offer(fields, allowed)
    if offer is None:
        return await request.send(request.rewrite(request.content, changes) if changes else request.content)
    session = Session(request, offer, changes, settings, parts)
    if fields.get("stream") is not True:
        return await api.answer_whole(session, fields)
    first = await session.request_first_turn()
    return LoopedAnswer(first, session, api.editor(session, fields)) if is_stream(first) else first
