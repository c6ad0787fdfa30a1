"""What belongs to the whole process is the programs' to change: who builds the app into another finds it as it was."""

import gc
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.program import run_python
from fakes.running_proxy import RunningProxy
from proxy import process
from proxy.services import assemble
from proxy.web.app import create_app
from waiting import wait_for

resource = pytest.importorskip("resource")


def state_of_process() -> dict[str, object]:
    """Return what a library must leave alone."""
    return {
        "switch interval": sys.getswitchinterval(),
        "open files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "signals": [signal.getsignal(number) for number in process.SIGNALS],
        "root logger": (logging.getLogger().level, list(logging.getLogger().handlers)),
        "records": logging.getLogRecordFactory(),
        "hooks": (sys.excepthook, sys.unraisablehook),
        "frozen": gc.get_freeze_count(),
    }


@pytest.fixture(autouse=True)
def nothing_frozen() -> Iterator[None]:
    """Have nothing frozen before a test: what the suite has frozen may go meanwhile, and would be counted."""
    gc.unfreeze()
    yield
    gc.freeze()


def test_building_the_app_leaves_the_process_as_it_was(tmp_path: Path) -> None:
    before = state_of_process()
    create_app(assemble({"proxy_log_level": "DEBUG"}, tmp_path / "settings.toml", MemoryKeychain))

    assert state_of_process() == before


def test_serving_leaves_the_process_as_it_was() -> None:
    before = state_of_process()
    with RunningProxy(openai_base_url="http://127.0.0.1:1/v1", openai_api_key="k") as proxy:
        proxy.http.get("/v1/models")
        wait_for(lambda: "proxy.upstream.client" in sys.modules, "the SDK")

        assert state_of_process() == before


def test_a_program_lets_threads_take_turns_and_raises_its_limit_of_files() -> None:
    interval, (soft, hard) = sys.getswitchinterval(), resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
        process.tune_process()

        assert sys.getswitchinterval() == pytest.approx(process.SWITCH_INTERVAL_S)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(process.OPEN_FILES, hard)
    finally:
        sys.setswitchinterval(interval)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# A thread that is inside a library written in Rust, as the keyring's are, when the process ends.
LEAVES = """
import sys, threading, time
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from proxy import process

def call():
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        HKDF(algorithm=hashes.SHA256(), length=16, salt=None, info=b"").derive(bytes(128))

sys.setswitchinterval(process.SWITCH_INTERVAL_S)
for _ in range(2):
    threading.Thread(target=call, name="keyring-call", daemon=True).start()
process.wait_for_keyring_calls()
"""


def test_a_program_that_ends_during_a_call_of_the_keyring_is_not_aborted(tmp_path: Path) -> None:
    pytest.importorskip("cryptography", reason="it comes with the keyring, on Linux only")

    ended = run_python(tmp_path, "-c", LEAVES)

    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_keyring_that_hangs_holds_up_the_end_for_a_moment_only() -> None:
    answers = threading.Event()
    hanging = threading.Thread(target=answers.wait, name="keyring-call", daemon=True)
    hanging.start()
    began = time.monotonic()
    try:
        process.wait_for_keyring_calls(0.1)

        assert 0.1 <= time.monotonic() - began < 5
        assert hanging.is_alive()
    finally:
        answers.set()
        hanging.join()
