"""Many streams at once, whose clients leave whenever they like: nothing of them stays behind."""

import asyncio
import gc
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Delayed,
    EndHead,
    Flood,
    Header,
    HeadThenStall,
    Json,
    Recorded,
    Script,
    ScriptedUpstream,
    SilentBeforeHeaders,
    Sse,
    Stall,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import proxy_before
from fakes.streaming import response_events
from waiting import LIMIT_S, wait_for

resource = pytest.importorskip("resource", reason="Windows counts no file descriptors")

AT_ONCE = 500
SEES_A_BYTE = 0.75  # the share of clients that leave only once an answer has begun, however slow the computer
WORDS = completion_chunks(*(f"word{number}" for number in range(30)), finish=None)

# What the upstream does with a request, by the model it asks for.
KINDS: dict[str, Answer] = {
    "whole": Sse(completion_chunks("Hel", "lo"), gap_s=0.01),
    "long": Sse(completion_chunks(*(f"word{number}" for number in range(30))), gap_s=0.02),
    "stalling": Sse(WORDS[:3], done=False, end=Stall()),
    "silent": SilentBeforeHeaders(),
    "head alone": HeadThenStall(),
    "late": Delayed(Sse(completion_chunks("Hi")), 0.3),
    "a response": Sse(response_events("Hel", "lo"), done=False, gap_s=0.01),
    "cut": Sse(WORDS[:3], done=False),
    "a refusal": Json({"error": {"message": "no", "code": None}}, 400),
    "busy": Json({"error": {"message": "busy", "code": None}}, 503, [("Retry-After-Ms", "100")]),
    "plain": Json(completion("Hello")),
    "endless": Script(
        [Header("Content-Type", "text/event-stream"), EndHead(chunked=True), Flood(2**30, b": x\n\n" * 10_000)]
    ),
}
ENDLESS = {"stalling", "silent", "head alone", "endless"}


class ByModel(Answer):
    """Do what the request's model is named after."""

    def script(self, request: Recorded) -> Any:
        return KINDS[request.json()["model"]].script(request)


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow four ends of each stream in this one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8 * AT_ONCE if hard == resource.RLIM_INFINITY else min(hard, 8 * AT_ONCE)
    if wanted < 5 * AT_ONCE:
        pytest.skip("this computer allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def use(port: int, kind: str, chance: random.Random) -> None:
    """Ask for a stream, read some of it, and leave: politely, abruptly, or at its end."""
    path = "responses" if kind == "a response" else "chat/completions"
    stream = "false" if kind == "plain" else "true"
    body = f'{{"model":"{kind}","stream":{stream},"messages":[]}}'.encode()
    head = f"POST /v1/{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    patience_s = chance.choice([0.1, 0.5, 1.0, 1.5]) if kind in ENDLESS else chance.choice([0.1, 0.5, 10.0])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    try:
        if chance.random() < SEES_A_BYTE:
            await asyncio.wait_for(reader.read(1), LIMIT_S)
        await asyncio.wait_for(reader.read(-1), patience_s)
    except (asyncio.TimeoutError, ConnectionError):
        if chance.random() < 0.5:
            writer.transport.abort()
    writer.close()


async def use_many(port: int) -> None:
    chance = random.Random(11)
    kinds = [kind for kind, _ in zip(list(KINDS) * AT_ONCE, range(AT_ONCE), strict=False)]
    outcomes = await asyncio.gather(*(use(port, kind, chance) for kind in kinds), return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is not None] == []


def tasks_of(proxy: RunningProxy) -> int:
    """Return how many tasks the server's loop has."""
    loop = proxy.server._loop
    assert loop is not None
    return len(asyncio.all_tasks(loop))


def busy_connections(proxy: RunningProxy) -> int:
    """Return how many connections to the upstream are not at rest in the pool."""
    [client] = proxy.services.router._clients.values()
    pool = client._pool
    return len(pool._open) - len(pool._idle)


@pytest.mark.skipif(sys.platform == "win32", reason="counts file descriptors")
@pytest.mark.timeout(120)
def test_of_500_streams_whose_clients_leave_nothing_stays_behind(tmp_path: Path, many_files: None) -> None:
    process = psutil.Process()
    with ScriptedUpstream() as upstream:
        upstream.answer(ByModel())
        with proxy_before(upstream.base_url, tmp_path, keep_alive_s=0.2) as proxy:
            assert proxy.http.post("/v1/chat/completions", json={"model": "plain"}).status_code == 200
            log_of_ledger = Path(f"{proxy.services.ledger.file}-wal")
            wait_for(log_of_ledger.exists, "the ledger has its files open")
            files, tasks = process.num_fds(), tasks_of(proxy)
            asyncio.run(use_many(proxy.address.port))

            wait_for(lambda: proxy.services.observers.running == 0, "no request under way")
            wait_for(lambda: tasks_of(proxy) <= tasks, "no task left behind")
            wait_for(lambda: busy_connections(proxy) == 0, "every upstream connection at rest or closed")
            gc.collect()
            idle = upstream.open_connections  # at rest in the pool, both ends in this process
            wait_for(lambda: process.num_fds() <= files + 2 * upstream.open_connections, "no file left open")
            assert idle < AT_ONCE
        upstream.wait_for_open_connections(0)
        assert len(upstream.requests) > AT_ONCE / 2  # of the others some left before the upstream was asked
