"""Many requests that run tools at once, some of whose clients leave: nobody gets another's answer, nothing is left."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import Fresh
from fakes.tool_model import PlayedTurn, ToolModel
from waiting import wait_for

REQUESTS = 120
WEATHER = ("weather", {"city": "Ulm"})
TURNS = (
    PlayedTurn("I look.", [WEATHER, WEATHER]),
    PlayedTurn(calls=[("slow_async", {"seconds": 0.1}), WEATHER]),
    PlayedTurn("It rains."),
)


def ask(port: int, number: int) -> bytes | None:
    """Ask once, in one of four ways; every fourth client leaves early and has nothing."""
    asked = {"input": "Hi"} if number % 3 == 0 else {"messages": [{"role": "user", "content": "Hi"}]}
    path = "responses" if "input" in asked else "chat/completions"
    body = json.dumps({"model": "m", "stream": number % 2 == 0, **asked}).encode()
    head = (
        f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if number % 4 == 1:
            connection.settimeout(0.005 * (number % 40))  # somewhere between the request and the end of its answer
            with suppress(TimeoutError, BlockingIOError, socket.timeout):
                connection.recv(1)
            return None
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_many_at_once_leave_nothing_behind(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(ToolModel(TURNS))
    before = calls_running()  # those that other tests have left behind, for they never end

    with ThreadPoolExecutor(30) as pool:
        answers = list(pool.map(lambda number: ask(tool_proxy.address.port, number), range(REQUESTS)))

    whole = [answer for answer in answers if answer is not None]
    assert len(whole) == REQUESTS * 3 // 4
    assert all(b"It rains." in answer and b"weather" not in answer for answer in whole)
    wait_for(lambda: tool_proxy.services.observers.running == 0 and calls_running() <= before, "the end of all calls")
    assert tool_proxy.services.observers.running == 0
    assert calls_running() <= before


def calls_running() -> int:
    """Return how many calls still have a thread."""
    return sum(thread.name == "tool-call" for thread in threading.enumerate())
