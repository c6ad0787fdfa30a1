"""The page on which the user says whether a tool may run; one of the program's own pages."""

import json
from contextlib import suppress
from typing import Literal

from flask import Blueprint, render_template, request

from proxy.services import Services

Decision = Literal["yes", "always", "no"]

ANSWERED: dict[Decision, str] = {
    "yes": "It runs.",
    "always": "It runs, and will not ask again.",
    "no": "It does not run.",
}


def add_questions(pages: Blueprint, services: Services, root: str) -> None:
    """Add the routes below a path; the blueprint guards them."""

    @pages.get(f"{root}/questions")
    def questions() -> str:
        return page(services)

    @pages.post(f"{root}/questions/<int:number>")
    def answer(number: int) -> str:
        chosen = request.form.get("decision")
        decision = next((known for known in ANSWERED if known == chosen), None)
        if decision is None:
            return page(services, trouble="Choose one of the three answers.")
        if not services.tools.consent.answer(number, decision):
            return page(services, trouble="The question is over: it was answered, or its minute had passed.")
        return page(services, success=ANSWERED[decision], answered=number)


def page(
    services: Services, *, trouble: str | None = None, success: str | None = None, answered: int | None = None
) -> str:
    """Return the page; a question that was just answered may still be among the open ones."""
    return render_template(
        "questions.html",
        questions=[
            {
                "id": question.id,
                "tool": question.tool,
                "source": question.source,
                "arguments": pretty(question.arguments),
            }
            for question in services.tools.consent.questions
            if question.id != answered
        ],
        trouble=trouble,
        success=success,
    )


def pretty(arguments: str) -> str:
    """Return the arguments, all of them, one to a line where they are JSON; what would not be seen is spelled out."""
    with suppress(ValueError, RecursionError):
        arguments = json.dumps(json.loads(arguments), indent=2, ensure_ascii=False)
    return "".join(sign if sign.isprintable() or sign == "\n" else f"\\u{ord(sign):04x}" for sign in arguments)
