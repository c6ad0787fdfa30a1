"""POST /v1/moderations: nothing is ever flagged."""

from proxy.upstream.demo.asgi import Reply, Request
from proxy.upstream.demo.body import json_document, read_object
from proxy.upstream.demo.problems import missing_parameter
from proxy.upstream.demo.texts import new_id

CATEGORIES = (
    "harassment",
    "harassment/threatening",
    "hate",
    "hate/threatening",
    "illicit",
    "illicit/violent",
    "self-harm",
    "self-harm/instructions",
    "self-harm/intent",
    "sexual",
    "sexual/minors",
    "violence",
    "violence/graphic",
)
DEFAULT_MODEL = "demo-moderation"


def create_moderation(request: Request) -> Reply:
    """Judge one input or several: a list of strings has a result each, a list of parts has one."""
    body = read_object(request)
    given = body.get("input")
    if not given or not isinstance(given, (str, list)):
        raise missing_parameter("input")
    count = len(given) if isinstance(given, list) and all(isinstance(text, str) for text in given) else 1
    result = {
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, 1e-06),
        "category_applied_input_types": {category: ["text"] for category in CATEGORIES},
    }
    model = body.get("model") or DEFAULT_MODEL
    return json_document({"id": new_id("modr-"), "model": model, "results": [result] * count})
