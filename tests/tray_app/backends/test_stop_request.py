"""The request to stop reaches the main thread, whenever its signal comes."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a process sends itself no signal there")

# What a signal comes to that arrives between the interpreter's last look and the wait itself: its handler has not run,
# and nothing interrupts the wait.
PROGRAM = """
import signal, threading, time
from tray_app.backends.stop_request import StopRequest

request = StopRequest()
signal.signal(signal.{name}, lambda *_: request.make())

def meet():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.{name}])
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.{name})

signal.pthread_sigmask(signal.SIG_BLOCK, [signal.{name}])
threading.Thread(target=meet).start()
while not request.wait():
    pass
print("ended", flush=True)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_that_another_thread_meets_ends_the_wait(name: str) -> None:
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(name=name)], capture_output=True, text=True, timeout=20, check=False
    )
    assert program.stdout == "ended\n", program.stderr
