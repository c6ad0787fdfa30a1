"""The icon shows work that lasts, and does not flicker."""

import threading
from collections.abc import Callable

from proxy.flow.flow import Flow
from proxy.flow.observers import Observers
from proxy.http.headers import Headers
from tray_app.activity import STEADY_S, Activity
from tray_app.schedule import Schedule
from waiting import wait_for

STEP_S = 0.125  # exact in binary


class Shown:
    """The requests, the icon's state as it changes, and a clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.observers = Observers()
        self.schedule = Schedule(lambda: self.now)
        self.changes: list[tuple[float, bool]] = []
        self.activity = Activity(self.observers, self.schedule, self.note, lambda: self.now)

    def note(self) -> None:
        self.changes.append((self.now, self.activity.is_working))

    def begin(self) -> Flow:
        flow = Flow("POST", "/chat/completions")
        self.observers.begin(flow)
        self.activity.begun(flow)
        return flow

    def end(self, flow: Flow) -> None:
        self.observers.end(flow)
        self.activity.ended(flow)

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.schedule.run_due()


def test_a_request_shows_once_it_has_been_under_way_for_half_a_second() -> None:
    shown = Shown()
    shown.pass_time(3)

    flow = shown.begin()
    shown.pass_time(2)
    shown.end(flow)
    shown.pass_time(2)

    assert shown.changes == [(3.5, True), (5.5, False)]


def test_short_requests_do_not_show() -> None:
    shown = Shown()

    for _ in range(10):
        flow = shown.begin()
        shown.pass_time(0.25)
        shown.end(flow)
        shown.pass_time(0.125)
    shown.pass_time(2)

    assert shown.changes == []


def test_a_short_pause_between_long_requests_does_not_show() -> None:
    shown = Shown()

    for _ in range(5):
        flow = shown.begin()
        shown.pass_time(1)
        shown.end(flow)
        shown.pass_time(0.25)
    shown.pass_time(2)

    assert shown.changes == [(0.5, True), (6.5, False)]


def test_one_of_several_requests_that_ends_changes_nothing() -> None:
    shown = Shown()
    first, second = shown.begin(), shown.begin()

    shown.pass_time(1)
    shown.end(first)
    shown.pass_time(1)
    assert shown.changes == [(0.5, True)]
    shown.end(second)
    shown.pass_time(1)

    assert shown.changes[1:] == [(2.5, False)]


def test_an_open_websocket_does_not_show_even_after_a_slow_handshake() -> None:
    shown = Shown()
    flow = shown.begin()
    shown.pass_time(1)

    shown.activity.answered(flow, Headers())
    shown.observers.rest(flow)
    shown.pass_time(2)

    assert [is_working for _, is_working in shown.changes] == [True, False]


def test_nothing_is_scheduled_while_nothing_changes() -> None:
    shown = Shown()
    flow = shown.begin()
    shown.pass_time(1)
    assert not shown.schedule._due  # a long request
    shown.end(flow)
    shown.pass_time(1)

    assert not shown.schedule._due  # none


def test_it_hears_of_requests_in_a_thread_of_its_own_and_counts_those_that_run_already() -> None:
    others, observers, schedule, changed = set(threading.enumerate()), Observers(), Schedule(), threading.Event()
    schedule.start()
    observers.begin(before := Flow("POST", "/chat/completions"))
    activity = Activity(observers, schedule, changed.set)
    stop: Callable[[], None] = activity.start()

    assert changed.wait(5)
    assert activity.is_working
    changed.clear()
    observers.end(before)
    assert changed.wait(5)
    assert not activity.is_working
    observers.begin(Flow("POST", "/chat/completions"))
    wait_for(lambda: activity.is_working, "work")

    stop()
    schedule.stop()
    wait_for(lambda: not set(threading.enumerate()) - others, "the end of its threads")


def test_half_a_second_is_what_it_takes() -> None:
    assert STEADY_S == 0.5
