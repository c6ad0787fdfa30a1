"""Wire the tray program (proxy, icon, clicks, notifications), run it and close it."""

import logging
import os
import sys
import threading
import time

from proxy.flow.health import Health
from proxy.identity import APP_ID
from proxy.process import signals_handled
from proxy.services import Services
from proxy.tools.consent import Question
from proxy.usage.spending import Notice
from tray_app.actions import Action, Actions
from tray_app.approvals import ApprovalNotifier
from tray_app.artwork import icon, menu_bar_icon
from tray_app.backends.backend import Backend, Program
from tray_app.backends.choose import Wanted, choose
from tray_app.commands import Commands
from tray_app.controller import ProxyController
from tray_app.menu import Look
from tray_app.notifications import Notifier, Say
from tray_app.schedule import Schedule
from tray_app.single_instance import SingleInstance
from tray_app.state import read_state
from tray_app.triggers import Triggers
from tray_app.view import look

ICON = menu_bar_icon if sys.platform == "darwin" else icon
ACTIONS_TIMEOUT_S = 1.5  # at the end, for a click that is still running
NO_ICON_MESSAGE_DELAY_S = 5.0  # then the terminal says that no panel shows the icon
NO_ICON_NOTIFICATION_DELAY_S = 30.0  # then a notification does: long after a login, when a panel may still come
QUIT_DELAY_S = 1.0  # lets the page that was used to quit arrive in the browser

log = logging.getLogger(__name__)


class TrayApp:
    """Run the tray until the user quits. Create and run it on the main thread."""

    def __init__(
        self,
        services: Services,
        instance: SingleInstance,
        wanted: Wanted,
        say: Say,
        log_problem: str | None = None,
        *,
        has_terminal: bool,
    ) -> None:
        self._services = services
        self._instance = instance
        self._wanted = wanted
        self._log_problem = log_problem
        self._backend: Backend | None = None
        self._actions = Actions()
        self._schedule = Schedule()
        self._controller = ProxyController(
            services,
            lambda: self.click("dashboard"),
            lambda: self._later(QUIT_DELAY_S, self.quit),
            self._describe_tray,
        )
        self._notifier = Notifier(
            self._controller, say, lambda: self._backend, has_terminal=has_terminal, later=self._later
        )
        self._commands = Commands(self._controller, self._notifier.notify, self.quit)
        self._triggers = Triggers(services, self._schedule, self._refresh)
        self._published = ""
        self._ended = threading.Event()

    def run(self) -> None:
        """Start the proxy and show the icon; return when the program ends, with everything closed."""
        with signals_handled(self.quit):
            try:
                self._controller.start()
                self._actions.start()
                self._schedule.start()
                self._backend = choose(self._wanted, Program(APP_ID, self._look, ICON, self.click))
                log.info("tray: %s (%s)", self._backend.name, self._backend.reason)
                self._begin(self._backend)
                if not self._ended.is_set():
                    self._backend.run()
            finally:
                self._close()

    def quit(self) -> None:
        """End the program; any thread, and signal handlers."""
        self._ended.set()
        if self._backend is not None:
            self._backend.stop()

    def click(self, key: str) -> None:
        """Queue a click; any thread, never blocks."""
        self._actions.do(lambda: self._run_click(key))

    def _begin(self, backend: Backend) -> None:
        self._triggers.start()
        self._services.health.listen(self._health_changed)
        self._services.spending.listen(self._notify_limit)
        self._services.load_keys()
        self._services.store.observe(self._settings_changed)
        self._services.updates.listen(self._update_found)
        self._services.tools.consent.attach(
            ApprovalNotifier(self._notify_approval, self._refresh, self._withdraw_approval)
        )
        self._services.settings_follower.start()
        self._actions.do(self._publish)
        self._actions.do(self._notifier.announce_start)
        if backend.name == "none":
            self._actions.do(self._notifier.say_no_icon)
        else:
            self._later(NO_ICON_MESSAGE_DELAY_S, self._notifier.say_no_icon)
            self._later(NO_ICON_NOTIFICATION_DELAY_S, self._notifier.notify_no_icon)

    def _health_changed(self, health: Health) -> None:
        if self._services.health.is_of_chosen(health):
            self._actions.do(lambda: self._notifier.notify_health(health))

    def _notify_limit(self, notice: Notice | None) -> None:
        if notice is not None:
            self._actions.do(lambda: self._notifier.notify_limit(notice))

    def _notify_approval(self, question: Question) -> None:
        self._actions.do(lambda: self._notifier.notify_approval(question))

    def _withdraw_approval(self, question: Question) -> None:
        self._actions.do(lambda: self._notifier.withdraw_approval(question))

    def _later(self, after_s: float, action: Action) -> None:
        self._schedule.after(after_s, lambda: self._actions.do(action))

    def _run_click(self, key: str) -> None:
        self._commands.run(key)
        self._refresh()
        self._publish()

    def _publish(self) -> None:
        """Publish the address of the pages for later starts; it moves with the server."""
        if self._ended.is_set() or (root_url := self._controller.root_url()) == self._published:
            return
        try:
            self._instance.publish(os.getpid(), root_url, self._controller.dashboard.token)
            self._published = root_url
        except OSError as error:
            log.warning("a second start will not find this one: %s", error)

    def _settings_changed(self) -> None:
        """Publish where the server has moved to, and say what is wrong with the settings file."""
        self._actions.do(self._publish)
        self._actions.do(self._notifier.announce_settings)

    def _update_found(self, version: str) -> None:
        self._refresh()
        self._actions.do(lambda: self._notifier.notify_update(version))

    def _refresh(self) -> None:
        if self._backend is not None:
            self._backend.refresh()

    def _look(self) -> Look:
        state = read_state(
            self._controller, self._commands.problem, self._log_problem, is_working=self._triggers.is_working
        )
        return look(state)

    def _describe_tray(self) -> dict[str, object]:
        """Return which tray was found and whether it shows the icon, for the doctor; any thread."""
        backend = self._backend
        if backend is None:
            return {"backend": "none", "reason": "it has not been looked for yet", "is_shown": False, "is_off": True}
        is_off = self._wanted == "none"
        return {"backend": backend.name, "reason": backend.reason, "is_shown": backend.is_shown, "is_off": is_off}

    def _close(self) -> None:
        began = time.monotonic()
        self._ended.set()
        self._triggers.stop()
        self._schedule.stop()
        self._services.settings_follower.stop()
        self._actions.stop(ACTIONS_TIMEOUT_S)
        self._notifier.close()
        self._controller.close()
        self._commands.close()
        self._instance.release()
        log.info("ended in %.1f s", time.monotonic() - began)
