"""The tasks of a loop."""

import logging

import pytest

from tray_app.backends.agenda import Agenda, LoopEnded


def test_posted_tasks_run_in_turn():
    agenda, done = Agenda(), []
    agenda.post(lambda: done.append(1))
    agenda.post(lambda: done.append(2))

    agenda.run_due()

    assert done == [1, 2]


def test_a_task_posted_by_a_task_waits_for_the_next_turn():
    agenda, done = Agenda(), []
    agenda.post(lambda: agenda.post(lambda: done.append("next")))

    agenda.run_due()
    assert done == []
    agenda.run_due()
    assert done == ["next"]


def test_a_task_is_not_run_before_it_is_due():
    agenda, done = Agenda(), []
    agenda.after(60, lambda: done.append("later"))

    agenda.run_due()

    assert done == []
    wait_s = agenda.wait_s()
    assert wait_s is not None
    assert 59 < wait_s <= 60


def test_naming_a_task_again_moves_it():
    agenda, done = Agenda(), []
    task = lambda: done.append("once")  # noqa: E731  the same object twice
    agenda.after(60, task)
    agenda.after(0, task)

    agenda.run_due()

    assert done == ["once"]
    assert agenda.wait_s() is None


def test_a_task_that_fails_is_logged_and_the_others_run(caplog):
    agenda, done = Agenda(), []
    agenda.post(lambda: 1 / 0)
    agenda.post(lambda: done.append("after it"))

    with caplog.at_level(logging.ERROR):
        agenda.run_due()

    assert done == ["after it"]
    assert "ZeroDivisionError" in caplog.text


def test_the_end_of_the_loop_is_no_failure_of_a_task():
    agenda = Agenda()

    def end():
        raise LoopEnded

    agenda.post(end)

    with pytest.raises(LoopEnded):
        agenda.run_due()
