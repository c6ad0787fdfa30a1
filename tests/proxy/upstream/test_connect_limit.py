"""The limit on connecting is the upstream's: time in which our own loop was busy is not held against it."""

import asyncio
import socket
import ssl
import sys
import time
from collections.abc import Sequence

import pytest

from proxy.errors.upstream import UpstreamUnreachable
from proxy.upstream import dial
from proxy.upstream.dial import Dialer, Origin


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dial, "CONNECT_LIMIT_S", 0.3)
    monkeypatch.setattr(dial, "LOOK_EVERY_S", 0.02)


async def open_while_busy(host: str, port: int, busy_s: Sequence[float]) -> None:
    """Open a connection, and keep the loop from it once in each of its next turns."""
    loop, left = asyncio.get_running_loop(), list(busy_s)

    def be_busy() -> None:
        if left:
            time.sleep(left.pop(0))
            loop.call_soon(be_busy)

    loop.call_soon(be_busy)
    transport = await Dialer(Origin(host, port, is_tls=False), ssl.create_default_context(), None).open()
    transport.abort()
    await asyncio.sleep(0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("busy_s", [(), (0.6,), (0.35, 0.35), (0.12,) * 5], ids=["idle", "once", "twice", "again"])
def test_a_busy_loop_of_ours_is_no_fault_of_the_upstream(host: str, busy_s: Sequence[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as there:
        asyncio.run(open_while_busy(host, there.getsockname()[1], busy_s))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a full queue refuses, or lets more wait")
def test_an_address_that_never_answers_is_still_given_up_in_time() -> None:
    with socket.socket() as there:
        there.bind(("127.0.0.1", 0))
        there.listen(0)
        address = there.getsockname()
        queue = [socket.socket() for _ in range(4)]  # more than it lets wait: the next one hears nothing
        try:
            for each in queue:
                each.setblocking(False)
                each.connect_ex(address)
            with pytest.raises(UpstreamUnreachable, match="no connection within"):
                asyncio.run(asyncio.wait_for(open_while_busy("127.0.0.1", address[1], ()), 10))
        finally:
            for each in queue:
                each.close()
