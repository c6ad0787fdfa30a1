"""Serve `/v1/health`, which says that the proxy runs. The upstream is not asked."""

from flask import Blueprint, Response


def blueprint() -> Blueprint:
    """Return the routes."""
    health = Blueprint("health", __name__)

    @health.get("/v1/health", endpoint="health")
    def answer() -> Response:
        return Response('{"status":"ok"}', content_type="application/json")

    return health
