"""Notify the user of tool calls that need approval; the program's own page shows the call and takes the answer."""

from collections.abc import Callable

from proxy.tools.consent import Question


class ApprovalNotifier:
    """An Asker of `proxy.tools.consent`. The event loop calls it, so it only passes the question on."""

    def __init__(
        self,
        notify: Callable[[Question], None],
        changed: Callable[[], None],
        withdraw: Callable[[Question], None] = lambda _: None,
    ) -> None:
        self._notify = notify
        self._withdraw = withdraw
        self._changed = changed

    def ask(self, question: Question) -> None:
        """Update the menu and notify the user."""
        self._changed()
        self._notify(question)

    def withdraw(self, question: Question) -> None:
        """Update the menu, and take the notification away."""
        self._changed()
        self._withdraw(question)
