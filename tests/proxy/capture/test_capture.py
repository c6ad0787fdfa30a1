"""What is held of running requests, and how much is counted of it."""

import pytest

from proxy.capture.capture import Capture, Limits
from proxy.capture.record import CHUNK_OVERHEAD_BYTES
from proxy.flow.flow import Flow
from proxy.flow.observers import Observers

BUDGET_BYTES = 100_000


def following(requests: int = 10) -> tuple[Capture, Observers]:
    capture, observers = Capture(lambda: Limits(True, requests, BUDGET_BYTES)), Observers()
    capture.follow(observers)
    return capture, observers


def begun(observers: Observers) -> Flow:
    flow = Flow("POST", "/chat/completions")
    observers.begin(flow)
    return flow


def test_an_answer_that_had_begun_before_a_pause_is_held_to_its_end() -> None:
    capture, observers = following()
    flow = begun(observers)
    assert flow.recorder is not None
    flow.recorder.chunk(b"before, ")
    capture.pause(is_paused=True)
    flow.recorder.chunk(b"and after")
    assert begun(observers).recorder is None
    observers.end(flow)

    record = capture.find(flow.id)
    assert record is not None
    assert record.answer_bytes() == b"before, and after"
    assert flow.recorder is None


@pytest.mark.parametrize("sizes", [[10] * 40, [5_000], [1, 9_000, 1], [4_096] * 8], ids=str)
def test_all_that_came_is_counted_at_the_end_and_given_back_when_it_goes(sizes: list[int]) -> None:
    capture, observers = following(requests=1)
    flow = begun(observers)
    assert flow.recorder is not None
    for size in sizes:
        flow.recorder.chunk(b"x" * size)
    observers.end(flow)
    assert capture.held_bytes == sum(sizes) + len(sizes) * CHUNK_OVERHEAD_BYTES

    begun(observers)
    assert capture.find(flow.id) is None
    assert capture.held_bytes == 0


@pytest.mark.parametrize("size", [100, 4_000, 60_000])
def test_a_running_stream_never_holds_more_than_there_is_room_for(size: int) -> None:
    capture, observers = following()
    flow = begun(observers)
    for _ in range(2 * BUDGET_BYTES // size + 1):
        assert flow.recorder is not None
        flow.recorder.chunk(b"x" * size)
        assert capture.held_bytes <= BUDGET_BYTES

    record = capture.find(flow.id)
    assert record is not None
    assert not record.is_captured
    assert capture.held_bytes == 0


def test_the_oldest_that_is_over_goes_first_and_a_running_one_only_where_all_run() -> None:
    capture, observers = following(requests=2)
    running, over = begun(observers), begun(observers)
    observers.end(over)
    third = begun(observers)
    assert [record.flow for record in capture.all()] == [third, running]
    fourth = begun(observers)
    assert [record.flow for record in capture.all()] == [fourth, third]
