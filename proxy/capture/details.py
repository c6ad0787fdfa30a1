"""All that is held of one request, as JSON for a page; worked out when it is asked for, in a worker thread."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

from proxy.capture import answer, bodies, cache_miss, conversation, prompt
from proxy.capture.headers import origins, shown_headers, shown_query, shown_url
from proxy.capture.media import MediaList
from proxy.capture.record import Attempt, Record
from proxy.capture.rows import Row, row_of
from proxy.usage.prices import Prices

MAX_BODY_CHARACTERS = 2_000_000  # of one body that is shown; a download holds all
MAX_EVENTS = 5_000
LONG_BASE64 = re.compile(r"[A-Za-z0-9+/]{1000,}={0,2}")

NOTHING: dict[str, Any] = {
    "conversation": None,
    "client": None,
    "attempts": [],
    "answer": None,
    "events": [],
    "changes": [],
    "prompt": [],
    "cache_miss": None,
    "tool_rounds": [],
}


def of(record: Record, row: Row, held: Sequence[Record], prices: Prices, *, is_full: bool = False) -> dict[str, Any]:
    """Return a request with all that is held of it, bodies whole or as a page shows them; `held` is every one."""
    rounds = [dataclasses.asdict(each) for each in record.flow.tool_rounds if dataclasses.is_dataclass(each)]  # type: ignore[arg-type]  # they are no classes
    if not record.is_captured:
        return {"request": row, **NOTHING, "tool_rounds": rounds}
    media = MediaList()
    fields = bodies.fields_in(record.body) or {}
    said = conversation_of(record, fields, media)
    usage = record.flow.usage
    return {
        "request": row,
        "conversation": {
            "api": bodies.api_of(record),
            "messages": said,
            "tools": tools_of(fields),
            "parameters": {name: value for name, value in fields.items() if name not in LONG_FIELDS},
        },
        "client": {
            "query": shown_query(record.query),
            "headers": shown_headers(record.received),
            "not_sent": not_sent(record),
            **shown_body(record.body, is_full=is_full),
        },
        "attempts": [shown_attempt(attempt, record, fields, is_full=is_full) for attempt in list(record.attempts)],
        "answer": {
            "status": record.flow.status,
            "headers": shown_headers(record.answer_headers),
            **shown_body(record.answer_bytes(), is_full=is_full),
        },
        "events": events_of(record, is_full=is_full),
        "changes": changes_of(fields, bodies.sent_fields(record) or {}),
        "prompt": prompt.filling(bodies.sent_fields(record) or {}, said, usage.input_tokens if usage else None),
        "cache_miss": cache_miss.explain(record, held, prices),
        "tool_rounds": rounds,
    }


def whole(record: Record, held: Sequence[Record], prices: Prices) -> dict[str, Any]:
    """Return a request that is over with its row and whole bodies, to be kept."""
    missed = cache_miss.explained(record, held, prices)
    row = {**row_of(record, prices), "cache_miss": missed and missed["sentence"]}
    return of(record, row, held, prices, is_full=True)


LONG_FIELDS = frozenset({"messages", "input", "instructions", "system", "tools", "functions", "prompt"})


def conversation_of(record: Record, fields: dict[str, Any], media: MediaList) -> list[conversation.Message]:
    """Return the messages of a request and of its answer as far as it has come."""
    api = bodies.api_of(record)
    said = conversation.of_request(api, fields, media)
    return [*said, *answer.of_answer(api, record.answer_bytes(), media)]


def words_of(record: Record) -> str:
    """Return all that is said in a request and its answer, "" where nothing is held."""
    if not record.is_captured:
        return ""
    said = conversation_of(record, bodies.fields_in(record.body) or {}, MediaList())
    return "\n".join(text for each in said for part in each["parts"] for text in words_in(part))


def words_in(part: conversation.Part) -> list[str]:
    """Return the texts of a part."""
    if part["type"] == "tool_result":
        return [text for inner in part["parts"] for text in words_in(inner)]
    return [text for name in ("text", "name", "arguments", "transcript") if isinstance(text := part.get(name), str)]


def media_of(record: Record) -> MediaList:
    """Return the media of a request and its answer, numbered as in its conversation."""
    media = MediaList()
    conversation_of(record, bodies.fields_in(record.body) or {}, media)
    return media


def shown_attempt(attempt: Attempt, record: Record, fields: dict[str, Any], *, is_full: bool) -> dict[str, Any]:
    """Return one sending; a body that went as it came is not told twice."""
    is_same = attempt.body is not None and attempt.body == record.body
    headers = shown_headers(attempt.shown)
    body = shown_body(None if is_same else attempt.body, is_full=is_full)
    return {
        "at_s": round(attempt.at_s, 4),
        "upstream": attempt.upstream,
        "method": attempt.method,
        "url": shown_url(attempt.url),
        "headers": headers,
        "header_origins": origins(headers, record.received),
        **body,
        "bytes": len(attempt.body or b""),
        "same_as_client": is_same,
        "changes": [] if is_same else changes_of(fields, bodies.fields_in(attempt.body) or {}),
        "status": attempt.status,
        "answered_at_s": None if attempt.answered_at_s is None else round(attempt.answered_at_s, 4),
        "answer_headers": shown_headers(attempt.answer_headers),
        "failure": attempt.failure,
    }


def not_sent(record: Record) -> list[str]:
    """Return the names of the client's headers that went to no upstream."""
    sent = {name.lower() for attempt in record.attempts for name, _ in attempt.shown}
    return sorted({name for name, _ in record.received} - sent)


def shown_body(body: bytes | None, *, is_full: bool) -> dict[str, Any]:
    """Return a body as text: without what is long in base64, and cut where it is very long."""
    if body is None:
        return {"body": None, "bytes": 0, "is_cut": False}
    if is_full:
        return {"body": body.decode("utf-8", "replace"), "bytes": len(body), "is_cut": False}
    text = LONG_BASE64.sub(lambda found: f"[{len(found[0]):,} characters of base64]", body.decode("utf-8", "replace"))
    return {"body": text[:MAX_BODY_CHARACTERS], "bytes": len(body), "is_cut": len(text) > MAX_BODY_CHARACTERS}


def events_of(record: Record, *, is_full: bool) -> list[dict[str, Any]]:
    """Return the pieces of the answer with their times, as the client got them; the first ones of very many."""
    chunks = list(record.chunks)[: None if is_full else MAX_EVENTS]
    return [
        {"at_s": round(at_s, 4), "bytes": len(data), "text": shown_body(data, is_full=is_full)["body"]}
        for at_s, data in chunks
    ]


def tools_of(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the tools a request offers: name, description and size of each."""
    found = []
    for tool in conversation.listed(fields.get("tools") or fields.get("functions")):
        inner = tool.get("function", tool) if isinstance(tool, dict) else {}
        inner = inner if isinstance(inner, dict) else {}
        found.append(
            {
                "name": conversation.word(inner.get("name") or inner.get("type"), None),
                "description": conversation.word(inner.get("description"), None),
                "bytes": prompt.size_of(tool),
            }
        )
    return found


def changes_of(client: dict[str, Any], sent: dict[str, Any]) -> list[dict[str, Any]]:
    """Return which members of the client's JSON were sent as another value, or not; long ones by their size."""
    names = [*client, *(name for name in sent if name not in client)]
    return [
        {
            "name": name,
            "kind": "added" if name not in client else "removed" if name not in sent else "changed",
            "before": brief(client.get(name)),
            "after": brief(sent.get(name)),
        }
        for name in names
        if (name in client) != (name in sent) or client.get(name) != sent.get(name)
    ]


MAX_BRIEF_BYTES = 2_000


def brief(value: Any) -> Any:
    """Return a value, of a long one its size."""
    size = prompt.size_of(value)
    return value if size <= MAX_BRIEF_BYTES else f"[{size:,} bytes]"
