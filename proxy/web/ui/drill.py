"""Serve the fault drill as JSON: the fault for a client's next answer, and whether it has happened."""

from flask import Blueprint, Response, request

from proxy.capture.hiding import Hide, hidden_json
from proxy.errors.request import NothingToBreak
from proxy.exchange.drills import Drills

Answered = tuple[Response, int]


def add_routes(pages: Blueprint, root: str, drills: Drills, hide: Hide) -> None:
    """Add the routes below a path; the blueprint guards them, and they wait in a worker thread."""

    def answer(value: object, status: int = 200) -> Answered:
        return Response(hidden_json(value, hide), content_type="application/json"), status

    @pages.get(f"{root}/api/drill")
    def drill_state() -> Answered:
        return answer(drills.state())

    @pages.post(f"{root}/api/drill")
    def arm_drill() -> Answered:
        asked = request.get_json(silent=True)
        client, fault = (asked.get(name) if isinstance(asked, dict) else None for name in ("client", "fault"))
        if not isinstance(client, str) or not isinstance(fault, str | None):
            return answer({"error": "client is a name, fault is one too, or null."}, 400)
        try:
            if fault is None:
                drills.disarm(client)
            else:
                drills.arm(client, fault)
        except NothingToBreak as refused:
            return answer({"error": str(refused)}, 400)
        return answer(drills.state())
