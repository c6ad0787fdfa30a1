"""A process that a tool forks holds none of the program's connections."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")

FORKING = {
    "os.fork": "child = os.fork()\nif child == 0:\n    time.sleep(60)\n    os._exit(0)\nprint(child, flush=True)\n",
    "multiprocessing": (
        "import multiprocessing\n"
        "child = multiprocessing.get_context('fork').Process(target=time.sleep, args=(60,))\n"
        "child.start()\nprint(child.pid, flush=True)\n"
    ),
    "a program": (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'], close_fds=False)\n"
        "print(child.pid, flush=True)\n"
    ),
}


@pytest.mark.parametrize("way", FORKING)
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_child_holds_no_port_and_no_connection_even_after_kill_9(way: str, family: socket.AddressFamily) -> None:
    address = "127.0.0.1" if family == socket.AF_INET else "::1"
    text = f"""
        import os, socket, time
        from proxy.tools.forks import guard_forks

        guard_forks()
        listener = socket.create_server(({address!r}, 0), family={int(family)})
        print(listener.getsockname()[1], flush=True)
        client, _ = listener.accept()
        """
    program = textwrap.dedent(text) + FORKING[way] + "time.sleep(60)\n"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with closing(socket.create_connection((address, port), 5)) as connection:
            child = int(process.stdout.readline())
            try:
                process.kill()
                process.wait(10)
                os.kill(child, 0)  # it lives
                assert connection.recv(1) == b""
                socket.create_server((address, port), family=family).close()
            finally:
                os.kill(child, signal.SIGKILL)


def test_a_child_may_open_connections_of_its_own() -> None:
    program = """
        import os, socket
        from proxy.tools.forks import guard_forks

        guard_forks()
        ours = socket.create_server(("127.0.0.1", 0))
        pair = socket.socketpair()
        if os.fork() == 0:
            theirs = socket.create_server(("127.0.0.1", 0))
            ours.close()
            connection = socket.create_connection(theirs.getsockname())
            theirs.accept()[0].sendall(b"well")
            pair[1].sendall(connection.recv(4))
            os._exit(0)
        os.wait()
        print(pair[0].recv(4).decode())
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout == "well\n"
