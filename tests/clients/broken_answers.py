"""Answers in which something is wrong: every client has to learn of it."""

from typing import Any

from clients.replies import WORDS, encoded, message_item, response, response_events, stream_of, text_chunks, with_finish
from clients.scenario import Call, Fault, Scenario
from clients.whole_answers import CLOSE, RESPONSE, TEXT, TOOLS
from fakes.scripted_upstream import (
    Answer,
    CloseBeforeHeaders,
    Content,
    Fin,
    Gzip,
    HeadThenStall,
    Html,
    Json,
    RawBytes,
    Redirect,
    Reset,
    ResetBeforeHeaders,
    Script,
    ShortBody,
    SilentBeforeHeaders,
    Sse,
    Stall,
    Status,
    completion,
    completion_chunks,
)

HALF = completion_chunks(*WORDS, finish=None)
HALF_RESPONSE = response_events(ending=None)
HALF_TEXT = text_chunks(*WORDS, finish=None)
ERROR = {"error": {"message": "scripted error", "type": "server_error", "param": None, "code": "scripted"}}
FAILURE = {"code": "server_error", "message": "scripted failure"}
EVENTS = "text/event-stream"


def second_choice(chunk: dict[str, Any]) -> dict[str, Any]:
    """Return the same chunk for the choice that stands beside the first."""
    return {**chunk, "choices": [{**chunk["choices"][0], "index": 1}]}


def refusal(status: int, code: str = "scripted") -> Json:
    """Return an error of the API."""
    return Json({"error": {"message": "scripted error", "type": "t", "param": None, "code": code}}, status=status)


BEFORE: dict[str, tuple[Answer, str | None]] = {
    "refused with 400": (refusal(400), "scripted"),
    "refused with 401": (refusal(401), "upstream_invalid_api_key"),
    "refused with 404": (refusal(404, "model_not_found"), "model_not_found"),
    "refused with 429": (refusal(429), "scripted"),
    "refused with 429: no money left": (refusal(429, "insufficient_quota"), "insufficient_quota"),
    "refused with 500": (refusal(500), "scripted"),
    "refused with 502 and a page": (Html(status=502), "upstream_status_502"),
    "closed before the answer": (CloseBeforeHeaders(), "upstream_protocol_error"),
    "reset before the answer": (ResetBeforeHeaders(), "upstream_protocol_error"),
    "garbage instead of HTTP": (RawBytes(), "upstream_protocol_error"),
    "silent": (SilentBeforeHeaders(), "upstream_timeout"),
    "a page instead of an answer": (Html(), "upstream_invalid_response"),
    "an error with status 200": (Json(ERROR), "scripted"),
    "an error with status 200, only a text": (Json({"error": "scripted error"}), None),
    "a redirect": (Redirect("/v1/elsewhere"), "upstream_unexpected_status"),
    "an empty body": (Content(b"", "application/json"), None),
}
CHAT: dict[str, tuple[Answer, str | None]] = {
    "a body that breaks off": (ShortBody(completion("Hello")), "upstream_truncated"),
    "a body that breaks off with RST": (ShortBody(completion("Hello"), end=Reset()), "upstream_truncated"),
    "a body that stalls": (ShortBody(completion("Hello"), end=Stall()), "upstream_timeout"),
    "JSON that breaks off": (
        Content(encoded(completion("Hello"))[:-40], "application/json"),
        "upstream_invalid_response",
    ),
    "a list instead of an answer": (Json([completion("Hello")]), None),
}
CHAT_STREAM: dict[str, tuple[Answer, str | None]] = {
    "ends with FIN midway": (Sse(HALF, done=False, end=Fin()), "upstream_truncated"),
    "ends with RST midway": (Sse(HALF, done=False, end=Reset()), "upstream_truncated"),
    "ends cleanly midway": (Sse(HALF, done=False), "upstream_truncated"),
    "ends cleanly midway, with DONE": (Sse(HALF), "upstream_truncated"),
    "ends with the connection midway": (Sse(HALF, done=False, chunked=False, headers=CLOSE), "upstream_truncated"),
    "ends within an event": (Sse([*HALF, b'data: {"id":"chatcmpl-scri'], done=False), "upstream_truncated"),
    "ends within its last event": (Sse([*TEXT[:-2], encoded(TEXT[-2])[:-9]], done=False), "upstream_truncated"),
    "ends within tool calls": (Sse(TOOLS[:-3], done=False), "upstream_truncated"),
    "ends before it began": (Sse([], done=False), "upstream_truncated"),
    "nothing but comments": (Sse([b": keep-alive\n\n" * 3], done=False), "upstream_truncated"),
    "nothing but DONE": (Sse([]), "upstream_truncated"),
    "ends midway, every finish an empty word": (
        Sse([with_finish(chunk, "") for chunk in HALF], done=False),
        "upstream_truncated",
    ),
    "ends midway, as plain text": (Content(stream_of(HALF), "text/plain"), "upstream_truncated"),
    "ends midway, as bytes": (Content(stream_of(HALF), "application/octet-stream"), "upstream_truncated"),
    "a second choice ends with FIN midway": (
        Sse([second_choice(HALF[1]), *TEXT], done=False, end=Fin()),
        "upstream_truncated",
    ),
    "a second choice ends cleanly midway": (Sse([second_choice(HALF[1]), *TEXT]), "upstream_truncated"),
    "gzip that ends midway": (Gzip(stream_of(HALF), EVENTS), "upstream_truncated"),
    "lines of JSON instead of events": (
        Content(b"".join(encoded(chunk) + b"\n" for chunk in TEXT), "application/x-ndjson"),
        "upstream_invalid_response",
    ),
    "one chunk as plain JSON": (Json(TEXT[0]), None),
    "no content": (Script([Status(204)]), "upstream_invalid_response"),
    "plain JSON named a stream": (Content(encoded(ERROR), EVENTS), None),
    "a page named a stream": (Content(b"<html><body>Sign in</body></html>", EVENTS), None),
    "stalls before it began": (HeadThenStall(), "upstream_timeout"),
    "stalls midway": (Sse(HALF, done=False, end=Stall()), "upstream_timeout"),
    "an event that is not JSON": (
        Sse([*HALF, b"data: %b\n\n" % encoded(HALF[-1])[:-25], *TEXT[-2:]]),
        "upstream_invalid_event",
    ),
    "an error at once": (Sse([ERROR], done=False), "scripted"),
    "an error midway": (Sse([*HALF, ERROR], done=False), "scripted"),
    "an error midway, then DONE": (Sse([*HALF, ERROR]), "scripted"),
    "an error midway, then a reset": (Sse([*HALF, ERROR], done=False, end=Reset()), None),
    "an error that is only a text": (Sse([*HALF, {"error": "scripted error"}], done=False), None),
    "an error in another API's form": (
        Sse([*HALF, {"object": "error", "message": "scripted error", "type": "t", "code": 400}]),
        None,
    ),
    "an error that is no JSON": (Sse([*HALF, b"event: error\ndata: upstream exploded\n\n"], done=False), None),
    "an error with an event name": (
        Sse([*HALF, b"event: error\ndata: %b\n\n" % encoded(ERROR)], done=False),
        "scripted",
    ),
}
COMPLETIONS_STREAM: dict[str, tuple[Answer, str | None]] = {
    "ends with FIN midway": (Sse(HALF_TEXT, done=False, end=Fin()), "upstream_truncated"),
    "ends cleanly midway": (Sse(HALF_TEXT, done=False), "upstream_truncated"),
    "ends cleanly midway, with DONE": (Sse(HALF_TEXT), "upstream_truncated"),
    "an error midway": (Sse([*HALF_TEXT, ERROR], done=False), "scripted"),
}
RESPONSES: dict[str, tuple[Answer, str | None]] = {
    "a body that breaks off": (ShortBody(response([message_item()])), "upstream_truncated"),
    "a response that failed": (Json(response([message_item()], "failed", error=FAILURE)), "server_error"),
}
RESPONSES_STREAM: dict[str, tuple[Answer, str | None]] = {
    "ends with FIN midway": (Sse(HALF_RESPONSE, done=False, end=Fin()), "upstream_truncated"),
    "ends with RST midway": (Sse(HALF_RESPONSE, done=False, end=Reset()), "upstream_truncated"),
    "ends cleanly midway": (Sse(HALF_RESPONSE, done=False), "upstream_truncated"),
    "ends cleanly midway, with DONE": (Sse(HALF_RESPONSE), "upstream_truncated"),
    "ends within an event": (Sse([*HALF_RESPONSE, RESPONSE[-1][:80]], done=False), "upstream_truncated"),
    "ends before it began": (Sse([], done=False), "upstream_truncated"),
    "stalls midway": (Sse(HALF_RESPONSE, done=False, end=Stall()), "upstream_timeout"),
    "an event that is not JSON": (
        Sse([*HALF_RESPONSE, RESPONSE[-1][:80] + b"\n\n"], done=False),
        "upstream_invalid_event",
    ),
    "a response that failed": (Sse(response_events(ending="response.failed"), done=False), "server_error"),
    "an error midway": (Sse([*HALF_RESPONSE, ERROR], done=False), "scripted"),
}

ANSWERS: dict[Call, dict[str, tuple[Answer, str | None]]] = {
    "chat": BEFORE | CHAT,
    "chat stream": BEFORE | CHAT_STREAM,
    "completions stream": COMPLETIONS_STREAM,
    "responses": BEFORE | RESPONSES,
    "responses stream": BEFORE | RESPONSES_STREAM,
}
BROKEN = [
    Scenario(name, call, answer, Fault(code))
    for call, answers in ANSWERS.items()
    for name, (answer, code) in answers.items()
]
