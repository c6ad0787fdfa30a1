"""The worker that runs the clicks."""

import logging
import threading

import pytest

from tray_app.actions import Actions
from waiting import wait_for


def test_actions_run_in_order_and_in_one_thread_of_their_own() -> None:
    actions, seen = Actions(), []
    actions.start()

    for number in range(20):
        actions.do(lambda number=number: seen.append((number, threading.current_thread().name)))
    actions.stop(5)

    assert seen == [(number, "tray-actions") for number in range(20)]


def test_an_action_that_fails_is_logged_and_the_next_one_runs(caplog: pytest.LogCaptureFixture) -> None:
    actions, done = Actions(), threading.Event()
    actions.start()

    actions.do(lambda: 1 / 0)  # type: ignore[arg-type, return-value]  any failure will do
    actions.do(done.set)
    actions.stop(5)

    assert done.is_set()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_stop_waits_no_longer_than_it_is_told() -> None:
    actions, hold = Actions(), threading.Event()
    actions.start()
    actions.do(lambda: hold.wait(10) and None)

    actions.stop(0.05)

    assert not hold.is_set()
    hold.set()
    wait_for(lambda: all(thread.name != "tray-actions" for thread in threading.enumerate()), "the worker's end")


def test_what_was_never_started_can_be_stopped() -> None:
    Actions().stop(1)
