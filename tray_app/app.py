"""The tray program, wired: lock, proxy, icon, clicks; one way in and one way out."""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from proxy import paths
from proxy.headless import signals_handled
from proxy.identity import APP_ID, TITLE
from proxy.services import Services
from proxy.tools.consent import Question
from proxy.upstream.condition import Condition
from tray_app.actions import Actions
from tray_app.artwork import icon
from tray_app.backends.backend import Backend, Program
from tray_app.backends.choose import Wanted, choose
from tray_app.commands import Commands
from tray_app.facts import read_facts
from tray_app.hosted import HostedProxy
from tray_app.menu import Look
from tray_app.notify import notify
from tray_app.pulse import Pulse
from tray_app.question_bell import QuestionBell
from tray_app.single_instance import SingleInstance
from tray_app.view import look

PATIENCE_S = 1.5  # for a click that is still being carried out at the end
UNSEEN_S = 5.0  # an icon that no panel has taken by then is spoken of

Say = Callable[[str], Any]

log = logging.getLogger(__name__)


class TrayApp:
    """Run the tray until it is quit. Made and run on the main thread."""

    def __init__(
        self, services: Services, instance: SingleInstance, wanted: Wanted, say: Say, log_problem: str | None = None
    ) -> None:
        self._services = services
        self._instance = instance
        self._wanted = wanted
        self._say = say
        self._log_problem = log_problem
        self._actions = Actions()
        self._hosted = HostedProxy(services, lambda: self.click("dashboard"))
        self._commands = Commands(self._hosted, self._tell, self.quit)
        self._pulse = Pulse(services, self._refresh)
        self._ended = threading.Event()
        self._backend: Backend | None = None

    def run(self) -> None:
        """Serve, show the icon, and return when the program is to end; everything is then closed."""
        with signals_handled(self.quit):
            try:
                self._hosted.start()
                self._actions.start()
                self._backend = choose(self._wanted, Program(APP_ID, self._look, icon, self.click))
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
        self._services.load_keys()
        self._services.condition.listen(self._upstream_changed)
        self._services.tools.consent.attach(QuestionBell(self._tool_asks, self._refresh))
        self._pulse.start()
        self._actions.do(self._greet)
        if backend.name == "none":
            self._say(f"There is no tray here: {backend.why}. The proxy runs all the same.")
            self._say(f"Its page, good once: {self._hosted.entrance()}")
        else:
            self._unseen = threading.Timer(UNSEEN_S, lambda: self._actions.do(self._speak_of_unseen))
            self._unseen.daemon = True
            self._unseen.start()

    def _speak_of_unseen(self) -> None:
        if self._backend is not None and not self._backend.is_shown:
            self._say(f"No panel shows the icon so far: {self._backend.why}. The proxy runs all the same.")
            self._say(f"Its page, good once: {self._hosted.entrance()}")

    def _greet(self) -> None:
        try:
            self._instance.publish(os.getpid(), self._hosted.root_url(), self._hosted.desk.activation_token)
            file = paths.state_file()
            if not file.exists():
                paths.make_private_dir(file.parent)
                file.write_text("has_run = true\n", encoding="utf-8")
                self._tell(TITLE, "The proxy runs. Its icon's menu has the address for your tools.")
        except OSError as error:
            log.warning("what the program remembers cannot be written: %s", error)
        if self._hosted.base_url is not None:
            self._say(f"Base URL for your tools:  {self._hosted.base_url}")
        elif self._hosted.problem is not None:
            self._say(self._hosted.problem)
            self._tell("The proxy does not run", self._hosted.problem)

    def _run_click(self, key: str) -> None:
        self._commands.run(key)
        self._refresh()

    def _upstream_changed(self, condition: Condition) -> None:
        """Tell of trouble, off the event loop that found it."""
        self._actions.do(lambda: self._tell_condition(condition))

    def _tell_condition(self, condition: Condition) -> None:
        self._refresh()
        if condition.kind == "key refused":
            self._tell("The upstream refuses the key", "Set another one from the icon's menu.")
        elif condition.kind in ("unsafe", "failing"):
            self._tell(f"Upstream {condition.kind}", condition.detail)

    def _tool_asks(self, question: Question) -> None:
        """Tell of a tool that asks to run, off the event loop."""
        self._actions.do(lambda: self._tell_question(question))

    def _tell_question(self, question: Question) -> None:
        self._tell(
            "A tool asks to run", f"{question.tool} waits a minute for your answer; the icon's menu leads to it."
        )
        if self._backend is None or not self._backend.is_shown:
            self._say(f"{question.tool} asks to run; answer within a minute: {self._hosted.entrance('questions')}")

    def _tell(self, title: str, text: str) -> None:
        if self._backend is not None and not self._backend.notify(title, text):
            notify(title, text)

    def _refresh(self) -> None:
        if self._backend is not None:
            self._backend.refresh()

    def _look(self) -> Look:
        facts = read_facts(self._hosted, self._commands.trouble, self._log_problem, is_working=self._pulse.is_working)
        return look(facts)

    def _close(self) -> None:
        began = time.monotonic()
        self._ended.set()
        self._pulse.stop()
        self._actions.stop(PATIENCE_S)
        self._hosted.close()
        self._commands.close()
        self._instance.release()
        log.info("ended in %.1f s", time.monotonic() - began)
