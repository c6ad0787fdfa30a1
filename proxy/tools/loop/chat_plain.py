"""The loop for whole chat completions."""

import re
from typing import Any

from proxy.http.answer import Answer
from proxy.tools.loop import chat
from proxy.tools.loop.mixed_turns import key_for
from proxy.tools.loop.offer import objects
from proxy.tools.loop.request import compact, sum_usage, whole_answer
from proxy.tools.loop.session import Session
from proxy.tools.loop.whole import read_whole
from proxy.tools.tool import JsonObject

# Without this an answer calls nothing. A letter of the member's name may be written as an escape.
CALLING = re.compile(rb"tool_calls|\\u00[567]")


async def answer_whole(session: Session, fields: JsonObject) -> Answer:
    """Return one completion for all rounds; raises ProxyError. An answer that needs no work of ours stays as it is."""
    first: JsonObject | None = None
    texts: list[str] = []
    usage: Any = None
    changes: JsonObject = {}
    while True:
        answer = await (session.request_turn(changes) if changes else session.request_first_turn())
        if not changes and answer.body is not None and not CALLING.search(answer.body):
            return answer
        answer, completion = await read_whole(answer)
        choices = objects((completion or {}).get("choices"))
        if completion is None or len(choices) != 1 or not isinstance(choices[0].get("message"), dict):
            return answer
        turn = chat.read_turn(choices[0]["message"], choices[0].get("finish_reason") or "stop", session.offer)
        if not turn.wants_results or not session.may_run:
            break
        records = await session.run(turn.ours, is_mixed=bool(turn.clients))
        session.trail += chat.turn_items(turn, records)
        if turn.clients:
            session.mixed_turns.keep(
                key_for(session.request.caller, turn.clients, chat.asked(fields["messages"])), session.trail
            )
            break
        first = first or completion
        texts += [turn.text] if "response_format" not in fields else []
        usage = sum_usage(usage, completion.get("usage"))
        changes = {**chat.next_changes(fields, session.trail), **session.choice()}
    if first is None and not turn.ours:
        return answer
    texts.append(turn.text)
    if not session.may_run and turn.leaves_open and not (turn.text and "response_format" in fields):
        texts.append(session.limit_told)
    merged = chat.merge(completion, turn, first, texts, usage)
    return whole_answer(200, answer.headers, compact(merged), merged.get("usage"))
