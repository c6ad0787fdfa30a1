"""What holds for a WebSocket through the proxy under any server: a test class for each inherits these tests."""

import asyncio
import os
import threading
import time

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from fakes.opening import Listening, open_socket
from fakes.socket_upstream import SocketUpstream
from waiting import wait_for

PIECE = os.urandom(2**20)
PIECES = 100  # more than every buffer of the system on the way holds


def has_stalled(sent: list[int]) -> bool:
    """Tell whether nothing more is taken for a while."""
    before = len(sent)
    time.sleep(0.3)
    return before == len(sent) > 0


class ThroughAnyTunnel:
    """The fixture `proxy` runs before the upstream of the fixture `upstream`."""

    def test_a_thousand_messages_keep_their_order(self, proxy: Listening, upstream: SocketUpstream) -> None:
        with open_socket(proxy) as client:
            for number in range(1000):
                client.send(str(number))

            assert [client.recv(timeout=10) for _ in range(1000)] == [str(number) for number in range(1000)]

    def test_a_client_that_does_not_read_slows_its_upstream_down(
        self, proxy: Listening, upstream: SocketUpstream
    ) -> None:
        sent: list[int] = []

        async def pour(connection: ServerConnection) -> None:
            for number in range(PIECES):
                await connection.send(PIECE)
                sent.append(number)

        upstream.talk = pour
        with open_socket(proxy, compression=None, max_queue=1) as client:
            wait_for(lambda: has_stalled(sent), "the upstream to be slowed down")
            assert len(sent) < PIECES * 0.7
            assert [client.recv(timeout=20) == PIECE for _ in range(PIECES)] == [True] * PIECES

    def test_an_upstream_that_does_not_read_slows_its_client_down(
        self, proxy: Listening, upstream: SocketUpstream
    ) -> None:
        sent: list[int] = []
        read_now = threading.Event()

        async def read_late(connection: ServerConnection) -> None:
            await asyncio.to_thread(read_now.wait, 20)
            received = [await connection.recv() == PIECE for _ in range(PIECES)]
            await connection.send(f"{sum(received)} pieces")

        upstream.talk = read_late
        with open_socket(proxy, compression=None) as client:

            def pour() -> None:
                for number in range(PIECES):
                    client.send(PIECE)
                    sent.append(number)

            pouring = threading.Thread(target=pour)
            pouring.start()
            wait_for(lambda: has_stalled(sent), "the client to be slowed down")
            assert len(sent) < PIECES * 0.7
            read_now.set()
            pouring.join(20)

            assert client.recv(timeout=20) == f"{PIECES} pieces"

    def test_what_was_sent_before_the_end_still_arrives(self, proxy: Listening, upstream: SocketUpstream) -> None:
        last_words = b"x" * 3 * 2**20

        async def send_and_go(connection: ServerConnection) -> None:
            await connection.send(last_words)
            connection.transport.close()

        upstream.talk = send_and_go
        with open_socket(proxy, compression=None) as client:
            assert client.recv(timeout=10) == last_words
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
