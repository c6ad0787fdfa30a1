"""The tasks of a loop."""

import logging

import pytest

from tray_app.backends.task_queue import LoopEnded, TaskQueue


def test_posted_tasks_run_in_turn():
    tasks, done = TaskQueue(), []
    tasks.post(lambda: done.append(1))
    tasks.post(lambda: done.append(2))

    tasks.run_due()

    assert done == [1, 2]


def test_a_task_posted_by_a_task_waits_for_the_next_turn():
    tasks, done = TaskQueue(), []
    tasks.post(lambda: tasks.post(lambda: done.append("next")))

    tasks.run_due()
    assert done == []
    tasks.run_due()
    assert done == ["next"]


def test_a_task_is_not_run_before_it_is_due():
    tasks, done = TaskQueue(), []
    tasks.after(60, lambda: done.append("later"))

    tasks.run_due()

    assert done == []
    wait_s = tasks.wait_s()
    assert wait_s is not None
    assert 59 < wait_s <= 60


def test_naming_a_task_again_moves_it():
    tasks, done = TaskQueue(), []
    task = lambda: done.append("once")  # noqa: E731  the same object twice
    tasks.after(60, task)
    tasks.after(0, task)

    tasks.run_due()

    assert done == ["once"]
    assert tasks.wait_s() is None


def test_a_task_that_fails_is_logged_and_the_others_run(caplog):
    tasks, done = TaskQueue(), []
    tasks.post(lambda: 1 / 0)
    tasks.post(lambda: done.append("after it"))

    with caplog.at_level(logging.ERROR):
        tasks.run_due()

    assert done == ["after it"]
    assert "ZeroDivisionError" in caplog.text


def test_the_end_of_the_loop_is_no_failure_of_a_task():
    tasks = TaskQueue()

    def end():
        raise LoopEnded

    tasks.post(end)

    with pytest.raises(LoopEnded):
        tasks.run_due()
