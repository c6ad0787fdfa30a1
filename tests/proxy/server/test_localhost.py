"""Whoever holds [::1] at our port gets what tools send to `localhost`: that is noticed and told."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from fakes.program import Program, run_python
from proxy.server.ports import listen, other_at_localhost, unheard

HOLD = (
    "import socket, sys; s = socket.socket(socket.AF_INET6); s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)\n"
    "s.bind((sys.argv[1], 0)); s.listen(); print(s.getsockname()[1], flush=True); sys.stdin.read()"
)


def has_ipv6() -> bool:
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this computer has no [::1]")


@contextmanager
def held_elsewhere(host: str) -> Iterator[tuple[int, int]]:
    """Have another process listen; yield its id and its port."""
    with subprocess.Popen([sys.executable, "-c", HOLD, host], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        yield other.pid, int(other.stdout.readline())
        other.kill()


@needs_ipv6
@pytest.mark.parametrize(("host", "theirs"), [("127.0.0.1", "::1"), ("localhost", "::1"), ("127.0.0.1", "::")])
def test_another_program_at_v6_localhost_is_named_with_what_to_do(host: str, theirs: str) -> None:
    with held_elsewhere(theirs) as (pid, port):
        sockets = listen(host, port)
        try:
            said = unheard(host, sockets)
        finally:
            for each in sockets:
                each.close()

        assert said is not None
        assert f"process {pid}) listens at [::1]:{port}" in said
        assert f"Point tools at http://127.0.0.1:{port}/v1" in said
        assert other_at_localhost(host, port, pid + 1) == said
        assert other_at_localhost(host, port, pid) is None


@needs_ipv6
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2", "::1"])
def test_where_nobody_else_is_there_nothing_is_said(host: str) -> None:
    sockets = listen(host, 0)
    try:
        assert unheard(host, sockets) is None
        assert unheard(host, sockets[:1]) is None  # our own other one is no stranger
    finally:
        for each in sockets:
            each.close()


@needs_ipv6
def test_the_program_says_so_at_its_start_and_so_does_the_doctor(tmp_path: Path) -> None:
    home = tmp_path / "own"
    home.mkdir()
    with held_elsewhere("::1") as (pid, port), Program(home, "serve", "--demo", "--port", str(port)) as program:
        assert program.port == port
        found = json.loads(run_python(home, "-m", "proxy", "doctor", "--json").stdout)
        printed = program.printed

    sentence = f"process {pid}) listens at [::1]:{port}: a tool that is pointed at `localhost` may reach it"
    [finding] = [each for each in found if each["title"] == "localhost"]
    assert sentence in printed
    assert sentence in finding["detail"]
    assert not finding["is_good"]
