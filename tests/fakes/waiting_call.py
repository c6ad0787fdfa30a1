"""A tool's call that waits for the user."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from proxy.tools.consent import Consent
from proxy.tools.tool import Tool
from waiting import wait_for

ARGUMENTS = '{"path": "/home/me/<b>notes</b>.txt", "text": "a\u202eb"}'


class SilentAsker:
    def ask(self, question: object) -> None: ...

    def withdraw(self, question: object) -> None: ...


@contextmanager
def asked(
    consent: Consent, name: str = "write_file", arguments: str = ARGUMENTS
) -> Iterator[Callable[[], bool | None]]:
    """Have a call wait for the user; give a function that tells what came of it, None so far."""
    outcome: list[bool] = []
    tool = Tool(name, "", {}, print, source="files", is_trusted=False)
    thread = threading.Thread(
        target=lambda: outcome.append(asyncio.run(consent.permits(tool, arguments, "Zed with <gpt-5>")))
    )
    detach = consent.attach(SilentAsker())
    thread.start()
    question = wait_for(lambda: consent.questions, "the question")[0]
    try:
        yield lambda: outcome[0] if outcome else None
    finally:
        consent.answer(question.id, "no")
        thread.join(5)
        detach()
