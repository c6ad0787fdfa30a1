"""Notify the user of a few important events, on the desktop and in the terminal if there is one.

All of it runs on the thread `tray-actions`.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from proxy import paths
from proxy.cli.greeting import base_url_line, key_line, last_line, page_line, question_line
from proxy.command import command
from proxy.files import write_private
from proxy.flow.health import Health
from proxy.identity import __version__
from proxy.install import applications
from proxy.keys.upstream_keys import is_keyless
from proxy.logs.redaction import without_logins
from proxy.tools.consent import WAIT_S, Question
from proxy.usage.spending import Notice
from tray_app.backends.backend import Backend
from tray_app.clickable import CLICK, ClickableNotifications, Notification
from tray_app.controller import ProxyController
from tray_app.errors import NothingOpened
from tray_app.opener import has_screen, open_url

Say = Callable[[str], Any]

MAX_SHOWN_ARGUMENTS = 160  # more are cut by most desktops
COUNT_DOWN_S = 10.0  # how often a question says how long it still waits
FAILURES_BEFORE_NOTIFICATION = 3  # in a row: a single failure needs no action

log = logging.getLogger(__name__)


class Notifier:
    """Show notifications and print to the terminal. `backend` returns the tray once there is one.

    `later` runs something on the same thread after some seconds. `has_terminal` says whether somebody reads what is
    printed: only then may it contain a link to the page.
    """

    def __init__(
        self,
        controller: ProxyController,
        say: Say,
        backend: Callable[[], Backend | None],
        *,
        has_terminal: bool,
        later: Callable[[float, Callable[[], None]], None] = lambda *_: None,
    ) -> None:
        self._later = later
        self._controller = controller
        self._say = say
        self._backend = backend
        self._is_first_run = False
        self._has_opened = False  # the page, by itself
        self._has_terminal = has_terminal
        self._settings_warning: str | None = None  # the last one that was announced
        self._taken_up = controller.services.store.taken_up  # the last edit by hand that was announced
        self._has_notified_failures = False  # since the upstream was healthy last
        self._clickable = ClickableNotifications() if sys.platform == "linux" else None
        self._questions: dict[int, int] = {}  # the numbers of their notifications by those of the open questions

    def notify(self, title: str, text: str, opens: str = "") -> None:
        """Show a notification if the desktop can. Logins are taken out; a key the user has asked for is not.

        A click on it opens one of the program's pages, where the desktop tells of clicks.
        """
        text = without_logins(text)
        backend = self._backend()
        if backend is not None and backend.notify(title, text):
            return
        if self._clickable is not None:
            self._clickable.show(Notification(title, text, {CLICK: "Open"}, lambda _: self._open(opens)))

    def close(self) -> None:
        """Close open questions and receive no more clicks."""
        if self._clickable is not None:
            for number in self._questions.values():
                self._clickable.withdraw(number)
            self._clickable.stop()

    def _open(self, page: str) -> None:
        """Open a page on a thread of its own, as a browser may start slowly."""

        def open_page() -> None:
            with suppress(NothingOpened):
                open_url(self._controller.link(page))

        threading.Thread(target=open_page, name="notification-click", daemon=True).start()

    def announce_start(self) -> None:
        """Say where the proxy listens, or why it does not. The very first start is also notified."""
        self._is_first_run = is_first_run()
        if self._controller.base_url is not None:
            self._say(base_url_line(self._controller.base_url, self._controller.tools_url))
            if self._controller.warning is not None:
                self._say(f"{self._controller.warning}.")
            if self._is_first_run:
                if self._needs_first_steps:
                    self._open_first_steps()
                self.notify("The proxy is running", f"Base URL for your tools: {self._controller.tools_url}")
        elif self._controller.problem is not None:
            self._say(f"The proxy is not running. {self._controller.problem}. {self._controller.advice}".rstrip())
            self.notify("The proxy is not running", self._controller.problem)
        if self._is_first_run and not applications.is_added():
            self._say(f"`{command('install')}` adds the program to the applications menu, so that a click starts it.")
        self.announce_settings()

    def announce_settings(self) -> None:
        """Say what is wrong with the settings file, or which edit of it is in force, unless that was said before."""
        store = self._controller.services.store
        before, self._settings_warning = self._settings_warning, store.warning
        if self._settings_warning not in (None, before):
            self._say(self._settings_warning)
            self.notify("The settings file is wrong", self._settings_warning, "settings")
        if (taken_up := store.taken_up) is not self._taken_up:
            self._taken_up = taken_up
            self._say(str(taken_up))
            self.notify("Settings are in force", str(taken_up), "settings")

    def say_no_icon(self) -> None:
        """Say that no icon is shown, and how to reach the page without it.

        At the very first start the page opens by itself if there is a screen.
        """
        backend = self._backend()
        if backend is None or backend.is_shown:
            return
        what = "There is no system tray" if backend.name == "none" else "No icon is shown yet"
        is_on = self._controller.base_url is not None
        self._say(f"{what}: {backend.reason}.{' The proxy is running anyway.' if is_on else ''}")
        services = self._controller.services
        if not services.store.current.proxy_forward_auth_header and (line := key_line(services.secrets)):
            self._say(line)
        self._say(page_line(self._controller.link() if self._has_terminal else None))
        if backend.name == "none":
            self._say(last_line(paths.log_file()))
        if self._is_first_run and not self._has_opened and has_screen():
            with suppress(NothingOpened):
                open_url(self._controller.link())

    def notify_no_icon(self) -> None:
        """Notify users without a terminal that no icon is shown. The way to the page comes first: texts get cut."""
        backend = self._backend()
        if backend is not None and not backend.is_shown:
            reason = backend.reason[:1].upper() + backend.reason[1:]
            self.notify("The proxy is running without an icon", f"Start it again to open its page. {reason}.")

    def notify_health(self, health: Health) -> None:
        """Notify of a problem that the user has to act on; of failures once, when there are several in a row."""
        if health.kind == "key refused":
            self.notify("The upstream refuses the key", f"Set another one: {self._where}.", "upstreams")
        elif health.kind == "out of credit":
            self.notify(
                "The upstream account is out of credit", "It answers again once there is money on it.", "upstreams"
            )
        elif health.kind == "unsafe":
            self.notify("Upstream unsafe", health.detail, "doctor")
        elif health.kind == "failing":
            if health.failures >= FAILURES_BEFORE_NOTIFICATION and not self._has_notified_failures:
                self._has_notified_failures = True
                self.notify("Upstream failing", health.detail, "doctor")
        elif health.kind == "healthy":
            self._has_notified_failures = False

    def notify_limit(self, notice: Notice) -> None:
        """Notify of a limit that is reached."""
        self.notify(notice.title, f"{notice.text}.", "usage")

    def notify_update(self, version: str) -> None:
        """Notify of a newer version, once while the program runs."""
        self.notify(f"Version {version} is available", f"This is {__version__}. Nothing is downloaded by itself.")

    def notify_approval(self, question: Question) -> None:
        """Notify of a tool that needs approval; print a link to the page where no icon is shown."""
        if not self._ask_on_screen(question):
            self.notify(
                "A tool asks to run", f"{question.tool} waits a minute for your answer: {self._where}.", "approvals"
            )
        if not self._is_icon_shown:
            where = self._controller.link("approvals") if self._has_terminal else command("page")
            self._say(question_line(question.tool, where))

    def withdraw_approval(self, question: Question) -> None:
        """Close the notification of a question."""
        number = self._questions.pop(question.id, None)
        if number is not None and self._clickable is not None:
            self._clickable.withdraw(number)

    def _ask_on_screen(self, question: Question) -> bool:
        """Ask on a notification with buttons; False where the desktop shows none, or the tray shows them itself."""
        backend = self._backend()
        if self._clickable is None or (backend is not None and backend.can_notify):
            return False
        consent = self._controller.services.tools.consent

        def answer(action: str) -> None:
            if action == CLICK:
                self._open("approvals")
            else:
                consent.answer(question.id, "yes" if action == "allow" else "no")

        asked_at = time.monotonic()

        def notification() -> Notification:
            left_s = max(0.0, asked_at + WAIT_S - time.monotonic())
            text = question_text(question, left_s)
            return Notification("A tool asks to run", text, question_actions(question), answer, max(left_s, 1.0))

        number = self._clickable.show(notification())
        if number is None:
            return False
        self._questions[question.id] = number
        if question not in consent.questions:  # it was answered meanwhile
            self.withdraw_approval(question)
        else:
            self._later(COUNT_DOWN_S, lambda: self._count_down(question, notification))
        return True

    def _count_down(self, question: Question, notification: Callable[[], Notification]) -> None:
        """Update the remaining time of a question until it is over."""
        number = self._questions.get(question.id)
        if number is None or self._clickable is None:
            return
        self._clickable.change(number, notification())
        self._later(COUNT_DOWN_S, lambda: self._count_down(question, notification))

    @property
    def _needs_first_steps(self) -> bool:
        """Whether requests will fail until the user has chosen a provider and entered a key, as far as is known yet."""
        services = self._controller.services
        settings = services.store.current
        held = services.upstream_keys.of(settings.chosen_upstream).state
        return held.key is None and not (
            settings.proxy_forward_auth_header or is_keyless(settings.chosen_upstream, held)
        )

    def _open_first_steps(self) -> None:
        """Open the page, where there is a screen; at the very first start alone."""
        if has_screen():
            with suppress(NothingOpened):
                open_url(self._controller.link())
                self._has_opened = True

    @property
    def _is_icon_shown(self) -> bool:
        backend = self._backend()
        return backend is not None and backend.is_shown

    @property
    def _where(self) -> str:
        """Return where the user finds the subject of a notification."""
        return "see the icon's menu" if self._is_icon_shown else "start the program again to open its page"


def is_short(arguments: str) -> bool:
    """Return whether a notification can show all arguments, every character as it is."""
    return len(arguments) <= MAX_SHOWN_ARGUMENTS and arguments.isprintable()


def question_text(question: Question, left_s: float = WAIT_S) -> str:
    """Return the text of a notification about a call, with the seconds it still waits."""
    asker = f" for {question.asker}" if question.asker else ""
    call = f"{question.tool} ({question.source}){asker}"
    what = f": {question.arguments}" if is_short(question.arguments) else "; look at its arguments before you allow it"
    return f"{call}{what}\nIt waits {left_s:.0f} seconds for your answer."


def question_actions(question: Question) -> dict[str, str]:
    """Return the buttons; if not all arguments are visible, there is a link to the page in place of Allow."""
    allow = {"allow": "Allow once"} if is_short(question.arguments) else {}
    return {CLICK: "Show", **allow, "deny": "Deny"}


def is_first_run() -> bool:
    """Return whether the program runs for the first time, and remember that it has run."""
    file = paths.state_file()
    if file.exists():
        return False
    try:
        write_private(file, b"has_run = true\n")
    except OSError as error:
        log.warning("the first run cannot be remembered: %s", error)
        return False
    return True
