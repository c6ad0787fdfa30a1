"""Serve the page on which the user allows or refuses a tool call."""

import json
import time
from contextlib import suppress
from typing import Literal

from flask import Blueprint, Response, jsonify, render_template, request

from proxy.tools.consent import Consent

Decision = Literal["yes", "always", "no"]

ANSWERED: dict[Decision, str] = {
    "yes": "It runs.",
    "always": "It runs, and will not ask again.",
    "no": "It does not run.",
}


def add_routes(pages: Blueprint, root: str, consent: Consent) -> None:
    """Add the routes below a path; the blueprint guards them."""

    @pages.get(f"{root}/approvals")
    def approvals() -> str:
        return page(consent)

    @pages.get(f"{root}/api/questions")
    def open_questions() -> Response:
        return jsonify(questions=[question.id for question in consent.questions])

    @pages.post(f"{root}/approvals/<int:number>")
    def decide(number: int) -> str:
        chosen = request.form.get("decision")
        decision = next((known for known in ANSWERED if known == chosen), None)
        if decision is None:
            return page(consent, trouble="Choose one of the three answers.")
        if not consent.answer(number, decision):
            return page(consent, trouble="The question is over: it was answered, or its minute had passed.")
        return page(consent, success=ANSWERED[decision], answered=number)


def page(
    consent: Consent, *, trouble: str | None = None, success: str | None = None, answered: int | None = None
) -> str:
    """Return the page; a question that was just answered may still be among the open ones."""
    return render_template(
        "approvals.html",
        questions=[
            {
                "id": question.id,
                "tool": question.tool,
                "source": question.source,
                "asker": question.asker,
                "arguments": readable(question.arguments),
                "ends_at": question.ends_at,
                "left_s": max(0, round(question.ends_at - time.time())),
            }
            for question in consent.questions
            if question.id != answered
        ],
        trouble=trouble,
        success=success,
    )


def readable(arguments: str) -> str:
    """Return all arguments, one on each line if they are JSON; invisible characters are escaped."""
    with suppress(ValueError, RecursionError):
        arguments = json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    return "".join(sign if sign.isprintable() or sign == "\n" else f"\\u{ord(sign):04x}" for sign in arguments)
