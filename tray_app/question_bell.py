"""Tell the user that a tool asks to run; the question itself stands on a page of the program's own.

The proxy's event loop calls it, so it only hands on.
"""

from collections.abc import Callable

from proxy.tools.consent import Question


class QuestionBell:
    """Ring for each question. An Asker of `proxy.tools.consent`."""

    def __init__(self, ring: Callable[[Question], None], changed: Callable[[], None]) -> None:
        self._ring = ring
        self._changed = changed

    def ask(self, question: Question) -> None:
        """Show the question in the menu, and ring."""
        self._changed()
        self._ring(question)

    def withdraw(self, question: Question) -> None:  # noqa: ARG002  the menu reads which ones are left
        """Take it out of the menu."""
        self._changed()
