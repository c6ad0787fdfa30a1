"""A client cannot tell the proxy from the upstream: random requests and answers, with and without it, byte for byte.

`FIDELITY_CASES=50000 FIDELITY_SEED=7` asks for more of them, and for others.
"""

import asyncio
import os
import random
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.shared_upstream import proxy_before
from fidelity.answered import answer
from fidelity.asked import Asked, ask
from fidelity.client import Client
from fidelity.policy import answer_differences, request_differences
from fidelity.upstream import RecordingUpstream, Script

CASES = int(os.environ.get("FIDELITY_CASES", "500"))
TLS_CASES = int(os.environ.get("FIDELITY_CASES", "300"))
CERTIFICATE = "certificate.pem"
SEED = int(os.environ.get("FIDELITY_SEED", "1"))
CONNECTIONS = 32
MOST_PIPELINED = 4


@dataclass
class Pair:
    """One client of the upstream itself and one of the proxy; what they are told is compared."""

    cases: Mapping[int, tuple[Asked, Script]]
    plain: RecordingUpstream
    behind: RecordingUpstream
    direct: Client
    proxied: Client

    async def compare(self, numbers: Sequence[int]) -> list[str]:
        """Ask for some cases, one behind the other on one connection where that can be; return what differs."""
        batch = sorted((self.cases[number][0] for number in numbers), key=lambda asked: asked.is_last)
        if not all(self.can_be_pipelined(asked) for asked in batch):
            return [found for asked in batch for found in await self._compare([asked])]
        return await self._compare(batch)

    def can_be_pipelined(self, asked: Asked) -> bool:
        """Tell whether others may stand around it: a reset takes what came before it, and surplus what comes after."""
        return self.cases[asked.number][1].end in ("keep", "fin") and not (asked.is_old or asked.expects_continue)

    async def _compare(self, batch: Sequence[Asked]) -> list[str]:
        expected, given = await asyncio.gather(self.direct.ask(batch), self.proxied.ask(batch))
        if self.cases[batch[0].number][1].end == "surplus":
            await self.direct.close()
        found = []
        for asked, one, other in zip(batch, expected, given, strict=True):
            seen, passed_on = self.plain.seen[asked.number], self.behind.seen.get(asked.number, [])
            differences = [*request_differences(seen, passed_on), *answer_differences(asked, one, other)]
            found += [f"case {asked.number}, {asked.method} {asked.target}: {each}" for each in differences]
        return found


async def compare(
    cases: Mapping[int, tuple[Asked, Script]], proxy_port: int, plain: RecordingUpstream, behind: RecordingUpstream
) -> list[str]:
    """Ask for every case with and without the proxy, over many connections at once; return what differs."""
    rng = random.Random(SEED)
    waiting = list(cases)[::-1]
    found: list[str] = []

    async def work() -> None:
        pair = Pair(cases, plain, behind, Client(plain.port, rng), Client(proxy_port, rng))
        while waiting:
            count = min(len(waiting), rng.choice([1, 1, MOST_PIPELINED]))
            found.extend(await pair.compare([waiting.pop() for _ in range(count)]))
        await pair.direct.close()
        await pair.proxied.close()

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


async def compare_all(cases: Mapping[int, tuple[Asked, Script]], folder: Path, tls: ssl.SSLContext | None) -> list[str]:
    """Compare an upstream itself with the proxy before one like it, which speaks TLS where a context is given."""
    scripts = {number: script for number, (_, script) in cases.items()}
    settings: dict[str, Any] = {"openai_max_retries": 0, "openai_stream_usage": False}
    if tls is not None:
        settings["openai_ca_file"] = str(folder / CERTIFICATE)
    async with RecordingUpstream(scripts) as plain, RecordingUpstream(scripts, tls) as behind:
        base_url = f"{'https' if tls else 'http'}://127.0.0.1:{behind.port}/v1"
        with proxy_before(base_url, folder, **settings) as proxy:
            found = await compare(cases, proxy.address.port, plain, behind)
        assert plain.failures + behind.failures == []
        return found


def test_a_client_cannot_tell_the_proxy_from_the_upstream(tmp_path: Path) -> None:
    found = asyncio.run(compare_all(cases_of(SEED, CASES), tmp_path, None))

    assert found == []


def test_a_client_cannot_tell_the_proxy_from_an_upstream_behind_tls(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="makes the certificate; it comes with the keyring, on Linux only")
    from fakes.tls_upstream import write_certificate  # noqa: PLC0415  as above

    write_certificate(tmp_path / CERTIFICATE, tmp_path / "key.pem", ("127.0.0.1",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / CERTIFICATE, tmp_path / "key.pem")
    found = asyncio.run(compare_all(cases_of(SEED + 1, TLS_CASES), tmp_path, context))

    assert found == []
