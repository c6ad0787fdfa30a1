"""Answers that keep clients waiting: keep-alives fill the silence, and what is wrong is told within the stream."""

from clients.broken_answers import ERROR, refusal
from clients.scenario import Call, Expected, Fault, Same, Scenario, Whole
from clients.whole_answers import RESPONSE, SAID, TEXT, TOOLS
from fakes.scripted_upstream import Answer, CloseBeforeHeaders, Delayed, Fin, Html, Json, Sse, completion

SILENCE_S = 0.3  # longer than the proxy that is tried here leaves a client without a word

SLOW_AT_FIRST: list[tuple[str, Call, Answer, Expected]] = [
    ("a text", "chat stream", Sse(TEXT), Same()),
    ("tool calls", "chat stream", Sse(TOOLS), Same()),
    ("plain JSON instead of a stream", "chat stream", Json(completion(SAID)), Whole(SAID)),
    ("refused with 400", "chat stream", refusal(400), Fault("scripted")),
    ("refused with 401", "chat stream", refusal(401), Fault("upstream_invalid_api_key")),
    ("refused with 429", "chat stream", refusal(429), Fault("scripted")),
    ("refused with 500", "chat stream", refusal(500), Fault("scripted")),
    ("refused with 502 and a page", "chat stream", Html(status=502), Fault("upstream_status_502")),
    ("closed before the answer", "chat stream", CloseBeforeHeaders(), Fault("upstream_protocol_error")),
    ("a page instead of an answer", "chat stream", Html(), Fault("upstream_invalid_response")),
    ("an error with status 200", "chat stream", Json(ERROR), Fault("scripted")),
    ("ends with FIN midway", "chat stream", Sse(TEXT[:-2], done=False, end=Fin()), Fault("upstream_truncated")),
    ("a text", "responses stream", Sse(RESPONSE, done=False), Same()),
    ("refused with 429", "responses stream", refusal(429), Fault("scripted")),
    ("closed before the answer", "responses stream", CloseBeforeHeaders(), Fault("upstream_protocol_error")),
    (
        "ends with FIN midway",
        "responses stream",
        Sse(RESPONSE[:-1], done=False, end=Fin()),
        Fault("upstream_truncated"),
    ),
    ("refused with 429", "chat", refusal(429), Fault("scripted")),
    ("a text", "chat", Json(completion(SAID)), Same()),
]

SLOW = [
    *(
        Scenario(f"after a long silence: {name}", call, Delayed(answer, SILENCE_S), expected, is_slow=True)
        for name, call, answer, expected in SLOW_AT_FIRST
    ),
    Scenario("silences between the chunks", "chat stream", Sse(TEXT, gap_s=0.12), Same(), is_slow=True),
    Scenario("silences within the chunks", "chat stream", Sse(TEXT[-3:], cut=150, gap_s=0.12), Same(), is_slow=True),
    Scenario(
        "silences between the events", "responses stream", Sse(RESPONSE, done=False, gap_s=0.08), Same(), is_slow=True
    ),
]
