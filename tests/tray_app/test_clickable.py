"""Notifications that can be clicked and answered, on a real session bus."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has a session bus", allow_module_level=True)

from fakes.bus_service import BusService
from fakes.memory_keychain import MemoryKeychain
from proxy.services import assemble
from proxy.tools.tool import Tool
from tray_app.approvals import ApprovalNotifier
from tray_app.backends.none import NoTray
from tray_app.clickable import CLICK, ClickableNotifications, Notification
from tray_app.controller import ProxyController
from tray_app.notifications import Notifier, question_actions, question_text
from waiting import wait_for

NAME, PATH = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
WITH_ACTIONS = ("as", (["body", "body-markup", "actions"],))
PLAIN = ("as", (["body"],))
SHOWN = ("u", (7,))


@pytest.fixture
def notifications() -> Iterator[ClickableNotifications]:
    made = ClickableNotifications()
    yield made
    made.stop()


def calls(service: BusService, method: str) -> list[tuple[Any, ...]]:
    return [body for called, body in service.calls if called == method]


def test_a_click_is_heard_once_and_only_on_a_button_it_has(serve: Any, notifications: ClickableNotifications) -> None:
    service = serve(NAME, GetCapabilities=WITH_ACTIONS, Notify=SHOWN)
    clicked: list[str] = []

    number = notifications.show(Notification("T", "a <b>", {CLICK: "Open", "deny": "Deny"}, clicked.append, 60))
    for shown, action in ((8, "deny"), (7, "allow"), (7, "deny"), (7, "deny"), (7, CLICK)):
        service.emit(PATH, "ActionInvoked", "us", shown, action)
    wait_for(lambda: clicked, "the click")
    notifications.show(Notification("T", "x", {}, clicked.append))  # behind all the signals

    assert (number, clicked) == (7, ["deny"])
    body = calls(service, "Notify")[0]
    assert (body[3:6], body[7]) == (("T", "a &lt;b&gt;", ["default", "Open", "deny", "Deny"]), 60_000)


def test_a_closed_one_is_clicked_no_more(serve: Any, notifications: ClickableNotifications) -> None:
    service = serve(NAME, GetCapabilities=WITH_ACTIONS, Notify=SHOWN)
    clicked: list[str] = []

    notifications.show(Notification("T", "x", {CLICK: "Open"}, clicked.append))
    service.emit(PATH, "NotificationClosed", "uu", 7, 2)
    service.emit(PATH, "ActionInvoked", "us", 7, CLICK)
    notifications.show(Notification("T", "y", {}, clicked.append))

    assert clicked == []


def test_a_service_without_buttons_gets_none(serve: Any, notifications: ClickableNotifications) -> None:
    service = serve(NAME, GetCapabilities=PLAIN, Notify=SHOWN)

    assert notifications.show(Notification("T", "<x>", {CLICK: "Open"}, print)) == 7

    assert calls(service, "Notify")[0][4:6] == ("<x>", [])


@pytest.mark.parametrize("methods", [{}, {"GetCapabilities": PLAIN}, {"GetCapabilities": BusService.SILENCE}])
def test_a_service_that_refuses_or_says_nothing_has_shown_nothing(
    serve: Any, notifications: ClickableNotifications, methods: dict[str, Any]
) -> None:
    serve(NAME, **methods)
    began = time.monotonic()

    assert notifications.show(Notification("T", "x", {}, print)) is None
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("bus_services")
def test_without_a_service_nothing_is_shown(notifications: ClickableNotifications) -> None:
    assert notifications.show(Notification("T", "x", {}, print)) is None


def test_without_a_bus_nothing_is_shown_and_it_is_tried_anew(notifications: ClickableNotifications) -> None:
    for _ in range(3):
        assert notifications.show(Notification("T", "x", {}, print)) is None


ASKED = ['{"path": "a.txt"}', "{}", '{"query": "cats & <dogs>"}']


class Asking:
    """A tool that asks through a real consent while a desktop shows the question."""

    def __init__(self) -> None:
        services = assemble({"proxy_port": 0}, keychain=MemoryKeychain)
        self.controller = ProxyController(services, lambda: None)
        tray = NoTray("a test")
        self.later: list[Callable[[], None]] = []  # what is to be done in some seconds
        self.notifier = Notifier(
            self.controller,
            lambda _: None,
            lambda: tray,
            has_terminal=False,
            later=lambda _, action: self.later.append(action),
        )
        self.consent = services.tools.consent
        self.tool = Tool("write_file", "Write", {}, print, source="files", is_trusted=False)
        self.allowed: list[bool] = []

    def ask(self, arguments: str) -> threading.Thread:
        def told(show: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda question: threading.Thread(target=show, args=(question,)).start()

        notifier = self.notifier
        asker = ApprovalNotifier(told(notifier.notify_approval), lambda: None, told(notifier.withdraw_approval))
        self.consent.attach(asker)
        waiting = self.consent.permits(self.tool, arguments, "Zed with gpt-5")
        thread = threading.Thread(target=lambda: self.allowed.append(asyncio.run(waiting)))
        thread.start()
        return thread


@pytest.fixture
def asking() -> Iterator[Asking]:
    made = Asking()
    yield made
    made.notifier.close()
    made.controller.close()


@pytest.mark.parametrize("arguments", ASKED)
@pytest.mark.parametrize(("action", "is_allowed"), [("allow", True), ("deny", False)])
def test_a_question_is_answered_on_the_notification(
    serve: Any, asking: Asking, arguments: str, action: str, is_allowed: bool
) -> None:
    service = serve(NAME, GetCapabilities=WITH_ACTIONS, Notify=SHOWN, CloseNotification=("", ()))

    thread = asking.ask(arguments)
    wait_for(lambda: asking.notifier._questions, "the notification")
    service.emit(PATH, "ActionInvoked", "us", 7, action)
    thread.join(10)

    assert asking.allowed == [is_allowed]
    text = calls(service, "Notify")[0][4]
    assert "write_file (files) for Zed with gpt-5" in text
    assert "60 seconds" in text


def test_a_question_answered_elsewhere_leaves_the_screen(serve: Any, asking: Asking) -> None:
    service = serve(NAME, GetCapabilities=WITH_ACTIONS, Notify=SHOWN, CloseNotification=("", ()))

    thread = asking.ask("{}")
    wait_for(lambda: asking.notifier._questions, "the notification")
    asking.consent.answer(asking.consent.questions[0].id, "no")
    thread.join(10)

    assert wait_for(lambda: calls(service, "CloseNotification"), "its end") == [(7,)]


def test_a_question_counts_down_in_its_place_until_it_is_answered(
    serve: Any, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve(NAME, GetCapabilities=WITH_ACTIONS, Notify=SHOWN, CloseNotification=("", ()))
    thread = asking.ask("{}")
    wait_for(lambda: asking.later, "the first step")

    now = time.monotonic
    monkeypatch.setattr("tray_app.notifications.time.monotonic", lambda: now() + 20)
    asking.later.pop()()
    wait_for(lambda: len(calls(service, "Notify")) == 2, "the second showing")
    monkeypatch.undo()
    service.emit(PATH, "ActionInvoked", "us", 7, "allow")
    thread.join(10)
    wait_for(lambda: not asking.notifier._questions, "its end")
    asking.later.pop()()

    first, second = calls(service, "Notify")
    assert (first[1], second[1]) == (0, 7)
    assert "It waits 40 seconds for your answer" in second[4]
    assert asking.allowed == [True]
    assert asking.later == []


@pytest.mark.parametrize("arguments", ['{"a": "%s"}' % ("x" * 200), '{"a": "1\n2"}', '{"a": "\u202etxt.exe"}'])
def test_what_a_notification_cannot_show_whole_is_not_allowed_on_it(serve: Any, asking: Asking, arguments: str) -> None:
    service = serve(NAME, GetCapabilities=WITH_ACTIONS, Notify=SHOWN, CloseNotification=("", ()))

    thread = asking.ask(arguments)
    wait_for(lambda: asking.notifier._questions, "the notification")
    [question] = asking.consent.questions
    service.emit(PATH, "ActionInvoked", "us", 7, "allow")
    service.emit(PATH, "ActionInvoked", "us", 7, "deny")
    thread.join(10)

    assert asking.allowed == [False]
    assert list(question_actions(question)) == [CLICK, "deny"]
    assert arguments not in question_text(question)
    assert "allow" not in calls(service, "Notify")[0][5]
