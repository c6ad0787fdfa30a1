"""Functions that are called later."""

import logging
import threading
from collections.abc import Iterator

import pytest

from tray_app.schedule import Schedule
from waiting import wait_for


@pytest.fixture
def schedule() -> Iterator[Schedule]:
    made = Schedule()
    made.start()
    yield made
    made.stop()
    assert all(thread.name != "tray-schedule" for thread in threading.enumerate())


def test_tasks_run_at_their_time_and_on_one_thread(schedule: Schedule) -> None:
    ran: list[tuple[str, str]] = []

    for name, delay_s in (("late", 0.2), ("soon", 0.05), ("now", -1.0)):
        schedule.after(delay_s, lambda name=name: ran.append((name, threading.current_thread().name)))

    wait_for(lambda: len(ran) == 3, "three tasks")
    assert ran == [(name, "tray-schedule") for name in ("now", "soon", "late")]


def test_a_task_that_is_scheduled_again_moves_and_one_that_is_cancelled_does_not_run() -> None:
    ran: list[str] = []
    now = [0.0]
    schedule = Schedule(lambda: now[0])

    def run_at(time_s: float) -> None:
        now[0] = time_s
        schedule.run_due()

    def moved() -> None:
        ran.append("moved")

    def cancelled() -> None:
        ran.append("cancelled")

    schedule.after(1, moved)
    schedule.after(5, moved)
    schedule.after(1, cancelled)
    schedule.cancel(cancelled)
    schedule.cancel(cancelled)
    run_at(1.0)
    run_at(4.9)
    assert ran == []
    run_at(5.0)
    run_at(9.0)

    assert ran == ["moved"]


def test_a_task_that_fails_is_logged_and_the_next_one_runs(
    schedule: Schedule, caplog: pytest.LogCaptureFixture
) -> None:
    done = threading.Event()

    schedule.after(0, lambda: 1 / 0)  # type: ignore[arg-type, return-value]  any failure will do
    schedule.after(0.05, done.set)

    assert done.wait(5)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_a_schedule_that_was_never_started_can_be_stopped() -> None:
    Schedule().stop()
