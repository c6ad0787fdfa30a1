"""Serve the fault drill as JSON: the fault for a client's next answer, and whether it has happened."""

from functools import partial

from flask import Blueprint

from proxy.capture.hiding import Hide
from proxy.errors.request import NothingToBreak
from proxy.exchange.drills import Drills
from proxy.web.ui.json_api import Answered, json_answer, sent_object


def add_routes(pages: Blueprint, root: str, drills: Drills, hide: Hide) -> None:
    """Add the routes below a path; the blueprint guards them, and they wait in a worker thread."""
    answer = partial(json_answer, hide=hide)

    @pages.get(f"{root}/api/drill")
    def drill_state() -> Answered:
        return answer(drills.state())

    @pages.post(f"{root}/api/drill")
    def arm_drill() -> Answered:
        sent = sent_object()
        client, fault = sent.get("client"), sent.get("fault")
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
