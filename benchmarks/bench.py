"""What the measures work with: the load generators, the upstream, and the servers, standing or fresh."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.client import Upstream, check_chat
from benchmarks.load import Load
from benchmarks.server import Server, running, settle
from benchmarks.targets import Target

WARM_UP_S = 1


@dataclass(frozen=True)
class Sizes:
    """How long and how many."""

    plain_s: int
    stream_chunks: int
    stream_limit_s: int
    quiet_streams: int
    hang_ups: int
    idle_s: float
    growth_requests: int
    frames_s: float


FULL = Sizes(
    plain_s=4,
    stream_chunks=250,
    stream_limit_s=60,
    quiet_streams=12,
    hang_ups=20,
    idle_s=10,
    growth_requests=100_000,
    frames_s=2,
)
QUICK = Sizes(
    plain_s=1,
    stream_chunks=50,
    stream_limit_s=20,
    quiet_streams=3,
    hang_ups=4,
    idle_s=3,
    growth_requests=5_000,
    frames_s=0.5,
)


class Bench:
    """One run. Servers asked for by `server` keep running until `servers` is closed."""

    def __init__(self, sizes: Sizes, load: Load, direct: dict[str, Server], targets: list[Target], logs: Path) -> None:
        self.sizes = sizes
        self.load = load
        self.upstream = Upstream(direct["direct"].port)
        self.servers = contextlib.ExitStack()
        self._targets = {target.name: target for target in targets}
        self._standing = dict(direct)
        self._logs = logs

    def has(self, name: str, variant: str) -> bool:
        """Tell whether there is such a server."""
        return f"{name}-{variant}" in self._targets

    def standing(self, name: str, variant: str) -> Server | None:
        """Return the server where it has been started, to stay."""
        return self._standing.get(f"{name}-{variant}" if variant else name)

    def server(self, name: str, variant: str = "") -> Server:
        """Return the standing server of that name; the first call starts and warms it."""
        full_name = f"{name}-{variant}" if variant else name
        if full_name not in self._standing:
            server = self.servers.enter_context(running(self._targets[full_name], self._logs))
            if variant != "sockets":
                check_chat(server.port)
                self.load.plain(server.port, "small", 16, WARM_UP_S)
                self.settle(server)
            self._standing[full_name] = server
        return self._standing[full_name]

    @contextlib.contextmanager
    def fresh(self, name: str) -> Iterator[Server]:
        """Start another server of that kind, for one measure alone."""
        with running(self._targets[name], self._logs) as server:
            yield server

    def settle(self, server: Server) -> None:
        """Wait until a server has come to rest."""
        settle(server, self.upstream)
