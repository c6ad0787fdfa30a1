"""GET /v1/models: the demo's models, whose names say what they are."""

from proxy.upstream.demo.asgi import Reply, Request
from proxy.upstream.demo.body import JsonObject, json_document
from proxy.upstream.demo.problems import DemoRefusal
from proxy.upstream.demo.texts import CREATED, MODELS, OWNER


def list_models(_request: Request) -> Reply:
    """List all models."""
    return json_document({"object": "list", "data": [_model(name) for name in MODELS]})


def get_model(request: Request) -> Reply:
    """Return one model."""
    name = request.target_id
    if name not in MODELS:
        raise DemoRefusal(
            f"The model '{name}' does not exist; the demo lists {', '.join(MODELS)}.",
            status=404,
            code="model_not_found",
            param="model",
        )
    return json_document(_model(name))


def _model(name: str) -> JsonObject:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": OWNER}
