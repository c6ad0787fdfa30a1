"""The tray program, wired: lock, proxy, icon, clicks; one way in and one way out."""

import logging
import os
import sys
import threading
import time

from proxy.identity import APP_ID
from proxy.process import signals_handled
from proxy.services import Services
from tray_app.actions import Action, Actions
from tray_app.artwork import icon, menu_bar_icon
from tray_app.backends.backend import Backend, Program
from tray_app.backends.choose import Wanted, choose
from tray_app.commands import Commands
from tray_app.facts import read_facts
from tray_app.hosted import HostedProxy
from tray_app.menu import Look
from tray_app.news import News, Say
from tray_app.question_bell import QuestionBell
from tray_app.schedule import Schedule
from tray_app.single_instance import SingleInstance
from tray_app.triggers import Triggers
from tray_app.view import look

PATIENCE_S = 1.5  # for a click that is still being carried out at the end
ICON = menu_bar_icon if sys.platform == "darwin" else icon
UNSEEN_S = 5.0  # an icon that no panel has taken by then is spoken of in the terminal
FAREWELL_S = 1.0  # for the page that says so, when the program is ended there
LOST_S = 30.0  # and one that is not there even then, long after a login, by a notification

log = logging.getLogger(__name__)


class TrayApp:
    """Run the tray until it is quit. Made and run on the main thread."""

    def __init__(
        self,
        services: Services,
        instance: SingleInstance,
        wanted: Wanted,
        say: Say,
        log_problem: str | None = None,
        *,
        is_read: bool,
    ) -> None:
        self._services = services
        self._instance = instance
        self._wanted = wanted
        self._log_problem = log_problem
        self._backend: Backend | None = None
        self._actions = Actions()
        self._schedule = Schedule()
        self._hosted = HostedProxy(
            services, lambda: self.click("dashboard"), lambda: self._later(FAREWELL_S, self.quit)
        )
        self._news = News(self._hosted, say, lambda: self._backend, is_read=is_read)
        self._commands = Commands(self._hosted, self._news.tell, self.quit)
        self._triggers = Triggers(services, self._schedule, self._refresh)
        self._published = ""
        self._ended = threading.Event()

    def run(self) -> None:
        """Serve, show the icon, and return when the program is to end; everything is then closed."""
        with signals_handled(self.quit):
            try:
                self._hosted.start()
                self._actions.start()
                self._schedule.start()
                self._backend = choose(self._wanted, Program(APP_ID, self._look, ICON, self.click))
                log.info("tray: %s (%s)", self._backend.name, self._backend.why)
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
        """Take a click; any thread, never blocks."""
        self._actions.do(lambda: self._run_click(key))

    def _begin(self, backend: Backend) -> None:
        self._triggers.start()
        self._services.health.listen(lambda health: self._actions.do(lambda: self._news.tell_health(health)))
        self._services.load_keys()
        self._services.store.observe(self._settings_changed)
        self._services.tools.consent.attach(
            QuestionBell(lambda question: self._actions.do(lambda: self._news.tell_question(question)), self._refresh)
        )
        self._services.settings_follower.start()
        self._actions.do(self._publish)
        self._actions.do(self._news.tell_start)
        if backend.name == "none":
            self._actions.do(self._news.tell_no_icon)
        else:
            self._later(UNSEEN_S, self._news.tell_no_icon)
            self._later(LOST_S, self._news.tell_unseen)

    def _later(self, after_s: float, action: Action) -> None:
        self._schedule.after(after_s, lambda: self._actions.do(action))

    def _run_click(self, key: str) -> None:
        self._commands.run(key)
        self._refresh()
        self._publish()

    def _publish(self) -> None:
        """Tell later starts where the pages are, which move with the server."""
        if self._ended.is_set() or (root_url := self._hosted.root_url()) == self._published:
            return
        try:
            self._instance.publish(os.getpid(), root_url, self._hosted.dashboard.token)
            self._published = root_url
        except OSError as error:
            log.warning("a second start will not find this one: %s", error)

    def _settings_changed(self) -> None:
        """Show it, and tell where the server has moved to and what is wrong with the settings file."""
        self._refresh()
        self._actions.do(self._publish)
        self._actions.do(self._news.tell_settings)

    def _refresh(self) -> None:
        if self._backend is not None:
            self._backend.refresh()

    def _look(self) -> Look:
        facts = read_facts(
            self._hosted, self._commands.trouble, self._log_problem, is_working=self._triggers.is_working
        )
        return look(facts)

    def _close(self) -> None:
        began = time.monotonic()
        self._ended.set()
        self._triggers.stop()
        self._schedule.stop()
        self._services.settings_follower.stop()
        self._actions.stop(PATIENCE_S)
        self._hosted.close()
        self._commands.close()
        self._instance.release()
        log.info("ended in %.1f s", time.monotonic() - began)
