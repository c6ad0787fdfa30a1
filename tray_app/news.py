"""What the user is told unasked: few things, by a notification, and in the terminal where there is one.

All of it runs on the thread of the clicks, but for what is said before it begins.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from proxy import paths
from proxy.cli.greeting import base_url_line, key_line, last_line, page_line, question_line
from proxy.command import command
from proxy.files import write_private
from proxy.flow.health import Health
from proxy.logs.redaction import without_logins
from proxy.tools.consent import Question
from tray_app.backends.backend import Backend
from tray_app.errors import NothingOpened
from tray_app.hosted import HostedProxy
from tray_app.notify import notify
from tray_app.opener import has_screen, open_url

Say = Callable[[str], Any]

FAILURES_BEFORE_NOTIFICATION = 3  # in a row: a single one is soon forgotten

log = logging.getLogger(__name__)


class News:
    """Tell them; `backend` gives the tray, once there is one."""

    def __init__(self, hosted: HostedProxy, say: Say, backend: Callable[[], Backend | None], *, is_read: bool) -> None:
        self._hosted = hosted
        self._say = say
        self._backend = backend
        self._is_first_run = False
        self._is_read = is_read
        self._settings_warning: str | None = None  # as it was told last
        self._has_told_of_failures = False  # of those since the upstream was healthy last

    def tell(self, title: str, text: str) -> None:
        """Show a notification, where anything shows one; of keys only the user's own are in it, who asked for them."""
        text = without_logins(text)
        backend = self._backend()
        if backend is None or not backend.notify(title, text):
            notify(title, text)

    def tell_start(self) -> None:
        """Tell where the proxy serves, or why it does not; at the very first start by a notification too."""
        self._is_first_run = is_first_run()
        if self._hosted.base_url is not None:
            self._say(base_url_line(self._hosted.base_url, self._hosted.tools_url))
            if self._is_first_run:
                self.tell("The proxy runs", f"Address for your tools: {self._hosted.tools_url}")
        elif self._hosted.problem is not None:
            self._say(f"The proxy does not serve yet. {self._hosted.problem}. {self._hosted.advice}".rstrip())
            self.tell("The proxy does not run", self._hosted.problem)
        self.tell_settings()

    def tell_settings(self) -> None:
        """Tell what has become wrong with the settings file."""
        before, self._settings_warning = self._settings_warning, self._hosted.services.store.warning
        if self._settings_warning not in (None, before):
            self._say(self._settings_warning)
            self.tell("The settings file is wrong", self._settings_warning)

    def tell_no_icon(self) -> None:
        """Say that there is no tray, or no panel that shows the icon, and how to reach the page all the same.

        At the very first start the page opens by itself, where there is a screen for it.
        """
        backend = self._backend()
        if backend is None or backend.is_shown:
            return
        what = "There is no tray here" if backend.name == "none" else "There is no icon so far"
        is_on = self._hosted.base_url is not None
        self._say(f"{what}: {backend.why}.{' The proxy runs all the same.' if is_on else ''}")
        services = self._hosted.services
        if not services.store.current.proxy_forward_auth_header and (line := key_line(services.secrets)):
            self._say(line)
        self._say(page_line(self._hosted.entrance() if self._is_read else None))
        if backend.name == "none":
            self._say(last_line(paths.log_file()))
        if self._is_first_run and has_screen():
            with suppress(NothingOpened):
                open_url(self._hosted.entrance())

    def tell_unseen(self) -> None:
        """Tell whoever has no terminal that no icon will come; the way to the page first, for texts get cut."""
        backend = self._backend()
        if backend is not None and not backend.is_shown:
            why = backend.why[:1].upper() + backend.why[1:]
            self.tell("The proxy runs without an icon", f"Start it once more to open its page. {why}.")

    def tell_health(self, health: Health) -> None:
        """Tell of trouble with the upstream that the user has to act on; of failures once, when there are several."""
        if health.kind == "key refused":
            self.tell("The upstream refuses the key", f"Set another one: {self._where}.")
        elif health.kind == "unsafe":
            self.tell("Upstream unsafe", health.detail)
        elif health.kind == "failing":
            if health.failures >= FAILURES_BEFORE_NOTIFICATION and not self._has_told_of_failures:
                self._has_told_of_failures = True
                self.tell("Upstream failing", health.detail)
        elif health.kind == "healthy":
            self._has_told_of_failures = False

    def tell_question(self, question: Question) -> None:
        """Tell of a tool that asks to run; without an icon by a link to the page that lets it."""
        self.tell("A tool asks to run", f"{question.tool} waits a minute for your answer: {self._where}.")
        if not self._is_icon_shown:
            where = self._hosted.entrance("approvals") if self._is_read else command("page")
            self._say(question_line(question.tool, where))

    @property
    def _is_icon_shown(self) -> bool:
        backend = self._backend()
        return backend is not None and backend.is_shown

    @property
    def _where(self) -> str:
        """Say where the user finds what a notification speaks of."""
        return "see the icon's menu" if self._is_icon_shown else "start the program once more to open its page"


def is_first_run() -> bool:
    """Tell whether the program has never run before, and remember that it has now."""
    file = paths.state_file()
    if file.exists():
        return False
    try:
        write_private(file, b"has_run = true\n")
    except OSError as error:
        log.warning("what the program remembers cannot be written: %s", error)
        return False
    return True
