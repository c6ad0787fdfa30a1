"""The fault table: what befalls the program itself: its port, its signals, its files, its clock."""

import email.utils
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

from fakes.asking import BODY, CHAT, ask, refusal
from fakes.program import Program
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Json,
    Recorded,
    ScriptedUpstream,
    SilentBeforeHeaders,
    Sse,
    Stall,
    Step,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh
from fakes.wire_client import JSON_TYPE
from proxy import paths
from proxy.flow.flow import Flow
from proxy.flow.health import UpstreamHealth
from proxy.http.headers import Headers
from proxy.logs.log import start_logging
from tray_app.single_instance import SingleInstance
from waiting import wait_for

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals as here are POSIX's")
LOG = Path("xdg_state_home", "openai-tray-proxy", "log", "proxy.log")


# --- port in use ------------------------------------------------------------------------------------------------------


def test_a_port_in_use_ends_headless_with_an_exit_code_and_the_holders_name(
    tmp_path: Path, proxy: RunningProxy
) -> None:
    with Program(tmp_path, "serve", "--port", str(proxy.address.port), OPENAI_API_KEY="k") as program:
        assert program.ended() != 0

    assert f"port {proxy.address.port} is taken by" in program.printed
    assert f"process {os.getpid()}" in program.printed
    assert "Traceback" not in program.printed


# --- second copy started ----------------------------------------------------------------------------------------------


def test_a_second_copy_is_not_the_first_and_finds_the_first(tmp_path: Path) -> None:
    with SingleInstance(tmp_path) as first, SingleInstance(tmp_path) as second:
        first.publish(1, "http://127.0.0.1:1", "token")

        assert (first.is_first, second.is_first) == (True, False)
        running = second.running_instance()
        assert running is not None
        assert running.url == "http://127.0.0.1:1"


# --- kill -9, stale lock ----------------------------------------------------------------------------------------------


@posix_only
def test_after_kill_9_it_starts_normally_on_the_same_port(tmp_path: Path) -> None:
    with Program(tmp_path, "serve", "--demo", "--port", "0") as killed:
        port = killed.port
        killed.send(signal.SIGKILL)
        killed.ended()
    with Program(tmp_path, "serve", "--demo", "--port", str(port)) as program, program.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200


@posix_only
def test_a_lock_whose_holder_was_killed_is_free_though_its_file_is_there(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib; from tray_app.single_instance import SingleInstance\n"
        f"with SingleInstance(pathlib.Path({str(tmp_path)!r})) as held:\n"
        "    held.publish(1, 'http://127.0.0.1:1', 'token')\n"
        "    print('http://127.0.0.1:1/v1'); time.sleep(60)\n"
    )
    with Program(tmp_path, command=("-c", code)) as holder:
        assert holder.port == 1
        holder.send(signal.SIGKILL)
        holder.ended()
    assert any(tmp_path.glob("*lock*"))

    with SingleInstance(tmp_path) as next_one:
        assert next_one.is_first
        assert next_one.running_instance() is None


# --- SIGTERM, Quit, logout --------------------------------------------------------------------------------------------


class OneStreams(Answer):
    """Begin a stream, or stay silent where the request asks for that."""

    def script(self, request: Recorded) -> Iterable[Step]:
        stream = Sse(completion_chunks("Hel", finish=None), done=False, end=Stall())
        return (SilentBeforeHeaders() if b"silent" in request.body else stream).script(request)


@posix_only
def test_a_stream_gets_3_seconds_then_an_error_event_and_the_program_is_gone_within_10_with_code_0(
    tmp_path: Path, provider: ScriptedUpstream
) -> None:
    provider.answer(OneStreams())
    asked = len(provider.requests)
    with Program(tmp_path, "serve", "--port", "0", OPENAI_BASE_URL=provider.base_url, OPENAI_API_KEY="k") as program:
        with program.connect() as streaming, program.connect() as waiting:
            streaming.send(streaming.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
            streaming.read_chunk()
            waiting.send(waiting.request("POST", CHAT, BODY.replace(b"Hi", b"silent"), JSON_TYPE))
            provider.wait_for_requests(asked + 2)
            program.send(signal.SIGTERM)
            began = time.monotonic()
            rest, reply = streaming.read_chunks(), waiting.read_reply()
            seconds = time.monotonic() - began
        assert program.ended() == 0

    assert 2 < seconds < 8
    assert b'"code":"proxy_stopped"' in rest
    assert b"[DONE]" not in rest
    assert b'"finish_reason":"' not in rest
    assert (reply.status, reply.error["code"]) == (503, "proxy_stopped")


# --- settings file corrupt --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"proxy_port = 9000\nproxy_port = = 1\n", "line 2"),
        (b"\x00\xff\xfe", "line 1"),
        (b"enable_tool_execution = tru", "line 1"),
    ],
)
def test_a_corrupt_settings_file_is_left_alone_nothing_is_relayed_and_the_line_is_named(
    tmp_path: Path, content: bytes, line: str
) -> None:
    folder = tmp_path / "xdg_config_home" / "openai-tray-proxy"
    folder.mkdir(parents=True)
    (folder / "settings.toml").write_bytes(content)
    with Program(tmp_path, "serve", "--demo", "--port", "0") as program, program.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200
        assert client.ask("GET", "/v1/models").error["code"] == "settings_broken"
        wait_for(lambda: " ERROR " in (tmp_path / LOG).read_text(), "the log tells of it")

    [kept] = folder.iterdir()
    assert kept.read_bytes() == content
    log = (tmp_path / LOG).read_text()
    assert str(kept) in log
    assert "Nothing is relayed" in log
    assert line in log


# --- disk full, log unwritable ----------------------------------------------------------------------------------------


@pytest.fixture
def full_disk() -> None:
    """Let every log line meet a full disk, which Linux keeps at hand."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    paths.log_file().parent.mkdir(parents=True)
    paths.log_file().symlink_to("/dev/full")


def test_with_a_full_disk_requests_are_served(full_disk: None, proxy: RunningProxy, upstream: Fresh) -> None:
    start_logging()
    upstream.answer(Json(completion()))
    for _ in range(3):
        assert ask(proxy).status == 200
    for handler in logging.getLogger().handlers:
        handler.flush()

    assert ask(proxy).status == 200


def test_with_a_log_that_cannot_be_written_requests_are_served(proxy: RunningProxy, upstream: Fresh) -> None:
    paths.log_file().parent.parent.mkdir(parents=True)
    paths.log_file().parent.write_text("where a folder should be")
    assert start_logging().file is None
    upstream.answer(Json(completion()))

    assert ask(proxy).status == 200


def test_settings_that_cannot_be_kept_on_a_full_disk_change_nothing(
    start: Callable[..., RunningProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = start("http://127.0.0.1:1/v1").services.store

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.update(proxy_require_api_key=True)

    assert not store.current.proxy_require_api_key


# --- clock jump -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jump_s", [-100_000, 100_000])
def test_a_clock_that_jumps_ends_no_wait_early_or_late(
    impatient: RunningProxy, upstream: Fresh, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    upstream.answer(SilentBeforeHeaders())
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + jump_s)
    began = time.monotonic()
    reply = ask(impatient)

    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
    assert 0.3 < time.monotonic() - began < 5


@pytest.mark.parametrize(("offset_s", "waits_s"), [(-100_000, 0), (60, 60), (100_000, 120)])
def test_a_date_to_retry_after_means_0_to_120_seconds(offset_s: float, waits_s: float) -> None:
    now = 1_800_000_000.0
    health = UpstreamHealth(lambda: now)
    date = email.utils.formatdate(now + offset_s, usegmt=True)
    health.answered(Flow("POST", "/chat/completions", status=429), Headers([("retry-after", date)]))

    until = health.current.until
    assert (until or now) - now == waits_s


def test_a_date_far_ahead_is_passed_on_and_not_waited_for(proxy: RunningProxy, upstream: Fresh) -> None:
    date = email.utils.formatdate(time.time() + 3600, usegmt=True)
    upstream.answer(refusal(429, ("Retry-After", date), ("X-Should-Retry", "false")))
    began = time.monotonic()
    reply = ask(proxy)

    assert (reply.status, reply.header("retry-after")) == (429, date)
    assert time.monotonic() - began < 3


# --- slow reader ------------------------------------------------------------------------------------------------------


def test_a_slow_reader_holds_the_upstream_back_and_at_most_a_megabyte_is_kept(
    provider: ScriptedUpstream, tmp_path: Path
) -> None:
    size = 60_000_000
    provider.answer(Json({"text": "x" * size}))
    variables = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "k", "PROXY_CAPTURE": "false"}
    with Program(tmp_path, "serve", "--port", "0", **variables) as program:
        with program.connect() as client:
            assert client.ask("GET", "/v1/models").status == 200  # the SDK is imported
        process = psutil.Process(program.process.pid)
        before = process.memory_info().rss
        with program.connect() as slow:
            slow.send(slow.request("POST", CHAT, BODY, JSON_TYPE)).read_head()
            grown = 0
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                grown = max(grown, process.memory_info().rss - before)
                time.sleep(0.05)

    assert grown < 6_000_000  # the megabyte, and what the request itself brings along
