"""Tell who has the program in a terminal that a tool asks to run; the question itself stands on the program's page."""

import threading
from collections.abc import Callable
from typing import Any

from proxy.cli.greeting import question_line
from proxy.tools.consent import Question


class TerminalAsker:
    """Say each question with a link to the page that answers it. An Asker of `proxy.tools.consent`."""

    def __init__(self, say: Callable[[str], Any], link: Callable[[], str]) -> None:
        self._say = say
        self._link = link

    def ask(self, question: Question) -> None:
        """Say it in a thread: a terminal that its user has stopped (Ctrl-S) must not hold up the event loop."""
        threading.Thread(target=self._tell, args=(question,), name="terminal-question", daemon=True).start()

    def withdraw(self, question: Question) -> None:
        """Leave the line where it is: the page says that the question is over."""

    def _tell(self, question: Question) -> None:
        self._say(question_line(question.tool, self._link()))
