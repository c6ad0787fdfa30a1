"""The loop for whole responses."""

from collections.abc import Sequence
from typing import Any

from proxy.http.answer import Answer
from proxy.tools.loop import responses
from proxy.tools.loop.offer import objects
from proxy.tools.loop.request import compact, sum_usage, whole_answer
from proxy.tools.loop.responses import ResponseTurn
from proxy.tools.loop.session import Session
from proxy.tools.loop.whole import read_whole
from proxy.tools.tool import JsonObject


async def answer_whole(session: Session, fields: JsonObject) -> Answer:
    """Return one response for all rounds, in which no tool of ours is named; raises ProxyError."""
    turns: list[tuple[ResponseTurn, Sequence[JsonObject]]] = []
    shown: list[JsonObject] = []
    usage: Any = None
    changes: JsonObject = {}
    while True:
        answer, response = await read_whole(
            await (session.request_turn(changes) if changes else session.request_first_turn())
        )
        if response is None or not isinstance(response.get("output"), list):
            return answer
        offer = session.offer  # known now that the first turn is here
        turn = responses.read_turn(objects(response["output"]), response.get("status"), offer)
        if not turn.wants_results or not session.may_run:
            break
        records = await session.run(turn.ours, is_mixed=bool(turn.clients))
        outputs = responses.output_items(turn, records)
        turns.append((turn, outputs))
        if turn.clients:
            responses.keep(session.mixed_turns, session.request.caller, turns, offer)
            break
        session.trail += responses.turn_items(fields, turn, records, offer)
        shown += turn.visible(offer)
        usage = sum_usage(usage, response.get("usage"))
        changes = {**responses.next_changes(fields, session.trail, outputs), **session.choice()}
    if not session.may_run and turn.leaves_open:
        response = {**response, "output": [*response["output"], responses.message_item(session.limit_told)]}
    merged = responses.merge(response, fields, offer, shown, usage)
    if merged == response:
        return answer
    total = merged.get("usage")
    return whole_answer(200, answer.headers, compact(merged), total if isinstance(total, dict) else None)
