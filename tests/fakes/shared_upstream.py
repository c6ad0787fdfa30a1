"""One scripted provider and one proxy for a whole module: a pair for each test would take minutes."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakes.environment import clean_environment
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Answer, Recorded, ScriptedUpstream
from fakes.wire_client import WireClient
from waiting import wait_for

UPSTREAM_KEY = "sk-the-upstream-key-0001"


class Fresh:
    """A provider that has been in use, as if it were new: a test sees only what came since the test began."""

    def __init__(self, provider: ScriptedUpstream) -> None:
        self.provider = provider
        self._began_at = time.monotonic()
        self._requests_before = len(provider.requests)
        self._hangups_before = len(provider.hangups)
        self._connections_before = provider.accepted_connections

    @property
    def base_url(self) -> str:
        """Return the base URL that a client is given."""
        return self.provider.base_url

    @property
    def port(self) -> int:
        """Return the port it listens on."""
        return self.provider.port

    @property
    def requests(self) -> list[Recorded]:
        """Return the requests since the test began; one of an earlier test may be recorded late, when it breaks off."""
        return [each for each in self.provider.requests[self._requests_before :] if each.at >= self._began_at]

    @property
    def request(self) -> Recorded:
        """Return the only request; ValueError where there was none, or more."""
        [request] = self.requests
        return request

    @property
    def accepted_connections(self) -> int:
        """Return how many connections were accepted since the test began."""
        return self.provider.accepted_connections - self._connections_before

    def answer(self, answer: Answer, *, path: str | None = None) -> None:
        """Answer every request like this, or with `path` those to that path."""
        self.provider.answer(answer, path=path)

    def answers(self, answers: Sequence[Answer], *, path: str | None = None) -> None:
        """Answer one request after the other, the last answer again and again."""
        self.provider.answers(answers, path=path)

    def wait_for_requests(self, count: int) -> list[Recorded]:
        """Wait until so many requests are complete, and return all there are."""
        wait_for(lambda: len(self.requests) >= count, f"{count} requests")
        return self.requests

    def wait_for_hangup(self, count: int = 1) -> float:
        """Wait until so many clients left an unfinished answer, and return when the last of them did."""
        return self.provider.wait_for_hangup(count=self._hangups_before + count)


@contextmanager
def proxy_before(upstream: str, folder: Path, **settings: Any) -> Iterator[RunningProxy]:
    """Run a proxy before an upstream, with a key and nothing else set but these settings."""
    settings = {"openai_base_url": upstream, "openai_api_key": UPSTREAM_KEY, **settings}
    with clean_environment():
        proxy = RunningProxy(settings_file=folder / f"{os.urandom(4).hex()}.toml", **settings)
    with proxy:
        yield proxy


def connect(proxy: RunningProxy, **options: Any) -> WireClient:
    """Open a connection to a proxy."""
    return WireClient(proxy.address.port, **options)
