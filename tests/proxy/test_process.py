"""What belongs to the whole process is the programs' to change: who builds the app into another finds it as it was."""

import gc
import logging
import signal
import sys
from pathlib import Path

import pytest

from fakes.memory_keychain import MemoryKeychain
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
