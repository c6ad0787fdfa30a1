"""What is measured. Each measure asks one server once and returns its figures; the rounds are made in run.py."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import socket_echo
from benchmarks.bench import Bench
from benchmarks.client import check_chat, hang_up, is_open, open_idle
from benchmarks.procfs import cpu_s, forget_peak, peak_rss_mb, rss_mb

Figures = dict[str, float | None]
IDLE_CONNECTIONS = 1000
GROWTH_LIMIT_S = 90
HANG_UP_TIMEOUT_S = 3
HANG_UP_MISSES = 3  # after so many unseen ones no more are tried


def start(bench: Bench, name: str) -> Figures:
    """Start a process and ask for health every 5 ms."""
    with bench.fresh(name) as server:
        return {"health_after_s": server.ready_after_s}


def footprint(bench: Bench, name: str) -> Figures:
    """Start a process, make one chat, then leave it alone; then let idle connections wait on it."""
    with bench.fresh(name) as server, contextlib.ExitStack() as connections:
        check_chat(server.port)
        bench.settle(server)
        used_s, idle_mb = cpu_s(server.pid), rss_mb(server.pid)
        time.sleep(bench.sizes.idle_s)
        used_s = cpu_s(server.pid) - used_s
        before_mb = rss_mb(server.pid)
        idle = [open_idle(server.port, server.target.health_path) for _ in range(IDLE_CONNECTIONS)]
        for connection in idle:
            connections.callback(connection.close)
        after_mb = rss_mb(server.pid)
        return {
            "idle_rss_mb": idle_mb,
            "idle_cpu_s_per_minute": used_s * 60 / bench.sizes.idle_s,
            "connections_rss_growth_mb": after_mb - before_mb,
            "connections_open": sum(is_open(connection) for connection in idle),
        }


def json_16(bench: Bench, name: str) -> Figures:
    """Send plain requests over 16 connections; the answers have about 1 kB."""
    return bench.load.plain(bench.server(name).port, "small", 16, bench.sizes.plain_s)


def json_1(bench: Bench, name: str) -> Figures:
    """Send plain requests over one connection."""
    return bench.load.plain(bench.server(name).port, "small", 1, bench.sizes.plain_s)


def large(bench: Bench, name: str) -> Figures:
    """Send requests of 98 messages, about 100 kB, over 16 connections."""
    return bench.load.plain(bench.server(name).port, "large", 16, bench.sizes.plain_s)


def json_tls(bench: Bench, name: str) -> Figures:
    """Send plain requests over 16 connections; the upstream is behind TLS."""
    return bench.load.plain(bench.server(name, "tls").port, "small", 16, bench.sizes.plain_s)


def beside(variant: str, body: str) -> Callable[[Bench, str], Figures]:
    """Return a measure of plain requests with something switched on, and right behind it without; nginx as it is."""

    def run(bench: Bench, name: str) -> Figures:
        has_it = bench.has(name, variant)
        seen = bench.load.plain(bench.server(name, variant if has_it else "").port, body, 16, bench.sizes.plain_s)
        without = bench.load.plain(bench.server(name).port, body, 16, bench.sizes.plain_s) if has_it else None
        return {**seen, "of_without": seen["requests_per_s"] / without["requests_per_s"] if without else None}

    return run


def streams_at_once(count: int, variant: str = "") -> Callable[[Bench, str], Figures]:
    """Return a measure of so many streams at once, 20 ms between chunks."""

    def run(bench: Bench, name: str) -> Figures:
        server, sizes = bench.server(name, variant), bench.sizes
        chunks = min(sizes.stream_chunks, sizes.stream_chunks * 1000 // count)
        forget_peak(server.pid)
        seen = bench.load.streams(
            server.port, at_once=count, total=count, model=f"sse-{chunks}-20", limit_s=sizes.stream_limit_s
        )
        return {
            "chunks_per_s": seen["chunks_per_s"],
            "failures": seen["failed"] + seen["unfinished"],
            "failures_unfinished": seen["unfinished"],
            "median_first_byte_us": seen["first_byte_us"]["p50"],
            "median_chunk_delay_us": seen["chunk_delay_us"]["p50"],
            "p99_chunk_delay_us": seen["chunk_delay_us"]["p99"],
            "peak_rss_mb": peak_rss_mb(server.pid),
        }

    return run


def frames(bench: Bench, name: str) -> Figures:
    """Send frames of three sizes back and forth over 16 WebSockets."""
    port = bench.server(name, "sockets").port
    figures: Figures = {}
    for size in (16, 1_000, 64_000):
        seen = asyncio.run(socket_echo.ask(port, size, bench.sizes.frames_s))
        figures |= {f"{figure}_of_{size}_bytes": value for figure, value in seen.items()}
    return figures


def growth(bench: Bench, name: str) -> Figures:
    """Send many requests of 1,000 distinct heads to a fresh process; the first ones are not counted."""
    with bench.fresh(name) as server:
        bench.load.many_heads(server.port, 1)
        bench.settle(server)
        before_mb, requests, failures = rss_mb(server.pid), 0, 0
        deadline = time.monotonic() + GROWTH_LIMIT_S
        while requests < bench.sizes.growth_requests and time.monotonic() < deadline:
            seen = bench.load.many_heads(server.port, 2)
            requests, failures = requests + seen["requests"], failures + seen["failures"]
        bench.settle(server)
        return {"requests": requests, "failures": failures, "rss_growth_mb": rss_mb(server.pid) - before_mb}


def quiet(bench: Bench, name: str) -> Figures:
    """Run one stream at a time, 20 ms between chunks, on one connection."""
    seen = bench.load.streams(
        bench.server(name).port, at_once=1, total=bench.sizes.quiet_streams, model="sse-20-20", limit_s=60
    )
    return {
        "median_chunk_delay_us": seen["chunk_delay_us"]["p50"],
        "median_first_byte_us": seen["first_byte_us"]["p50"],
        "failures": seen["failed"] + seen["unfinished"],
    }


def leaving(bench: Bench, name: str) -> Figures:
    """Leave streams after their first chunk, and plain requests before their headers.

    The stream's chunks come a second apart: a proxy that notices only when it next writes is seen to be late.
    """
    streamed = hang_ups(bench, name, "sse-10-1000", stream=True)
    before_headers = hang_ups(bench, name, "json-4000", stream=False)
    return {
        "streamed_ms": statistics.median(streamed),
        "before_headers_ms": statistics.median(before_headers),
        "streamed_not_seen": streamed.count(HANG_UP_TIMEOUT_S * 1000),
        "before_headers_not_seen": before_headers.count(HANG_UP_TIMEOUT_S * 1000),
    }


def hang_ups(bench: Bench, name: str, model: str, *, stream: bool) -> list[float]:
    """Hang up again and again; return the delays in ms, the whole timeout for each the upstream did not see."""
    port, not_seen_ms = bench.server(name).port, HANG_UP_TIMEOUT_S * 1000.0
    delays: list[float] = []
    while len(delays) < bench.sizes.hang_ups and delays.count(not_seen_ms) < HANG_UP_MISSES:
        seen_ms = hang_up(port, bench.upstream, model, stream=stream, timeout_s=HANG_UP_TIMEOUT_S)
        delays.append(not_seen_ms if seen_ms is None else seen_ms)
    return delays


@dataclass(frozen=True)
class Measure:
    """One entry of the table below."""

    run: Callable[[Bench, str], Figures]
    title: str
    direct: bool = True  # whether it says anything of the upstream asked directly
    rounds: int | None = None  # where it needs its own number of rounds
    variant: str = ""  # of the servers, without which one has nothing to measure


# In this order: what wants the computer for itself comes before the servers that keep running.
MEASURES = {
    "start": Measure(start, "Start of the process", direct=False),
    "footprint": Measure(footprint, "At rest", direct=False, rounds=3),
    "growth": Measure(growth, "100,000 requests of 1,000 heads", direct=False, rounds=1),
    "json": Measure(json_16, "Plain JSON, 16 connections"),
    "json-tls": Measure(json_tls, "Plain JSON, TLS upstream, 16 connections", direct=False, variant="tls"),
    "latency": Measure(json_1, "Plain JSON, 1 connection"),
    "large": Measure(large, "Request bodies of 100 kB, 16 connections"),
    "rules": Measure(beside("rules", "large"), "Bodies of 100 kB, rules on", direct=False, rounds=3),
    "tools": Measure(beside("tools", "small"), "Plain JSON, tools on and none called", direct=False, rounds=3),
    "key": Measure(beside("key", "small"), "Plain JSON, a key required", direct=False, rounds=3),
    "streams-100": Measure(streams_at_once(100), "100 streams at once, 20 ms between chunks", rounds=3),
    "streams": Measure(streams_at_once(500), "500 streams at once, 20 ms between chunks"),
    "streams-tls": Measure(
        streams_at_once(500, "tls"), "500 streams at once, TLS upstream", direct=False, rounds=3, variant="tls"
    ),
    "streams-2000": Measure(streams_at_once(2_000), "2,000 streams at once, 20 ms between chunks", rounds=1),
    "quiet": Measure(quiet, "One quiet stream, 20 ms between chunks"),
    "frames": Measure(frames, "WebSocket frames there and back, 16 at once", rounds=3, variant="sockets"),
    "leaving": Measure(leaving, "The client hangs up", rounds=1),
}
