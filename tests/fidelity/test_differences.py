"""A client cannot tell the proxy from the upstream: random requests and answers, with and without it, byte for byte.

`FIDELITY_CASES=50000 FIDELITY_SEED=7` asks for more of them, and for others.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path

from fakes.shared_upstream import proxy_before
from fidelity.answered import answer
from fidelity.asked import Asked, ask, pieces_of
from fidelity.policy import answer_differences, request_differences
from fidelity.wire import LIMIT_BYTES, Outcome, RecordingUpstream, Script, read_answer

CASES = int(os.environ.get("FIDELITY_CASES", "600"))
SEED = int(os.environ.get("FIDELITY_SEED", "1"))
CONNECTIONS = 32
MOST_PIPELINED = 4


class Client:
    """One connection to one server, opened anew where the last answer ended it."""

    def __init__(self, port: int, rng: random.Random) -> None:
        self._port = port
        self._rng = rng
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, batch: Sequence[Asked]) -> list[Outcome]:
        """Send requests one behind the other, and again those that a connection's end left without an answer."""
        outcomes: list[Outcome] = []
        while len(outcomes) < len(batch):
            if self._streams is None:
                self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=LIMIT_BYTES)
            reader, writer = self._streams
            sending = asyncio.create_task(self._send(writer, batch[len(outcomes) :]))
            for asked in batch[len(outcomes) :]:
                outcomes.append(await read_answer(reader, asked.method))
                if outcomes[-1].is_last or asked.is_last:
                    sending.cancel()
                    await self.close()
                    break
            await asyncio.wait([sending])
            if not sending.cancelled():
                sending.exception()  # who was answered before all was sent
        return outcomes

    async def close(self) -> None:
        """Leave; a second call does nothing."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _send(self, writer: asyncio.StreamWriter, batch: Sequence[Asked]) -> None:
        data = b"".join(each.head.replace(b"HERE", b"127.0.0.1:%d" % self._port) + each.content for each in batch)
        for piece in pieces_of(self._rng, data, 6):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


async def compare(
    cases: dict[int, tuple[Asked, Script]], proxy_port: int, upstreams: Sequence[RecordingUpstream]
) -> list[str]:
    """Ask for every case with and without the proxy; return what differs that may not."""
    plain, behind = upstreams
    rng = random.Random(SEED)
    waiting = list(cases)[::-1]
    found: list[str] = []

    async def work() -> None:
        direct, proxied = Client(plain.port, rng), Client(proxy_port, rng)
        while waiting:
            numbers = [waiting.pop() for _ in range(min(len(waiting), rng.choice([1, 1, MOST_PIPELINED])))]
            batch = [cases[number][0] for number in numbers]
            batch.sort(key=lambda asked: asked.is_last)
            resets = any(cases[number][1].end == "rst" for number in numbers)
            for together in (
                [[asked] for asked in batch] if resets else [batch]
            ):  # a reset loses what came before it too
                expected, given = await asyncio.gather(direct.ask(together), proxied.ask(together))
                for asked, one, other in zip(together, expected, given, strict=True):
                    number = asked.number
                    differences = [
                        *request_differences(asked, plain.seen[number], behind.seen.get(number, [])),
                        *answer_differences(asked, one, other),
                    ]
                    if differences:
                        found.append(f"case {number}, {asked.method} {asked.target}: {'; '.join(differences)}")
        await direct.close()
        await proxied.close()

    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    return found


def cases_of(seed: int, count: int) -> dict[int, tuple[Asked, Script]]:
    """Return that many cases, the same ones for the same seed."""
    cases = {}
    for number in range(count):
        rng = random.Random(f"{seed}/{number}")
        asked = ask(rng, number)
        cases[number] = asked, answer(rng, asked)
    return cases


def test_a_client_cannot_tell_the_proxy_from_the_upstream(tmp_path: Path) -> None:
    cases = cases_of(SEED, CASES)
    scripts = {number: script for number, (_, script) in cases.items()}

    async def run() -> list[str]:
        async with RecordingUpstream(scripts) as plain, RecordingUpstream(scripts) as behind:
            settings = {"openai_max_retries": 0, "openai_stream_usage": False}
            with proxy_before(f"http://127.0.0.1:{behind.port}/v1", tmp_path, **settings) as proxy:
                found = await compare(cases, proxy.address.port, [plain, behind])
            assert plain.failures + behind.failures == []
            return found

    found = asyncio.run(run())

    assert found == []
