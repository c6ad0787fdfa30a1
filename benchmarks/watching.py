"""What watching streams costs: the same stream through the proxy, watched and not: `python -m benchmarks.watching`.

Streams of chat completions are watched; the same bytes under an address nobody knows are passed on unseen. Both ways
take turns. Beside the chunks a second at full load, the processor time of a chunk is told, of one stream alone: where
several run, how many chunks wake the proxy together depends on when each began, and outweighs what is looked for.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.client import CHAT_PATH, check_chat
from benchmarks.load import Load
from benchmarks.procfs import cpu_s
from benchmarks.run import allow_open_files
from benchmarks.server import Server, running
from benchmarks.targets import REPOSITORY, Upstreams, fake_upstream, ours

WAYS = {"watched": CHAT_PATH, "passed on": "/v1/passed/on"}
LOADS = {  # streams at once, chunks of each, milliseconds between them
    "processor time a chunk, one stream, 1 ms between chunks (µs)": (1, 3000, 1),
    "chunks a second, 500 streams, 5 ms between chunks": (500, 250, 5),
}

Rounds = dict[str, list[float]]


def main() -> int:
    """Measure and print the table, or write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", type=Path, default=REPOSITORY / ".venv" / "bin" / "python")
    parser.add_argument("--write", action="store_true", help="write WATCHING.md beside this file")
    options = parser.parse_args()
    allow_open_files()
    page = markdown(measure(options.rounds, options.python), options.rounds) + looking(options.python)
    if options.write:
        (Path(__file__).parent / "WATCHING.md").write_text(page, encoding="utf-8")
    else:
        print(page)
    return 0


def measure(rounds: int, python: Path) -> dict[str, Rounds]:
    """Return the figures of each load, by way."""
    figures: dict[str, Rounds] = {load: {way: [] for way in WAYS} for load in LOADS}
    with tempfile.TemporaryDirectory(prefix="proxy-watching-") as temporary:
        folder = Path(temporary)
        generators = Load(folder)
        generators.build()
        with contextlib.ExitStack() as stack:
            direct = stack.enter_context(running(fake_upstream(folder), folder))
            upstreams = Upstreams(direct.port, 0, 0, folder)
            us = stack.enter_context(running(ours(folder, python, upstreams, ""), folder))
            check_chat(us.port)
            for number in range(rounds + 1):
                for load, (at_once, chunks, gap_ms) in LOADS.items():
                    for way, path in sorted(WAYS.items(), reverse=number % 2 == 0):  # either goes first
                        value = once(generators, us, at_once, f"sse-{chunks}-{gap_ms}", path)
                        if number:  # the first round only warms up
                            figures[load][way].append(value)
    return figures


def once(generators: Load, us: Server, at_once: int, model: str, path: str) -> float:
    """Run the streams once; return chunks a second at full load, else the processor time of one in µs."""
    before = cpu_s(us.pid)
    seen = generators.streams(us.port, at_once=at_once, total=at_once, model=model, limit_s=60, path=path)
    if seen["failed"] or seen["unfinished"]:
        raise RuntimeError(f"{path}: {seen}")
    return float(seen["chunks_per_s"]) if at_once > 100 else (cpu_s(us.pid) - before) * 1e6 / seen["chunks"]


def markdown(figures: dict[str, Rounds], rounds: int) -> str:
    """Return the page: the median of each way, and of the rounds' ratios."""
    lines = [
        "# What watching costs",
        "",
        f"Written by `python -m benchmarks.watching --rounds {rounds} --write`. Medians; the ratio is formed within "
        f"each round. The computer's load was {os.getloadavg()[0]:.1f} at the end: other work weighs on figures.",
        "",
        "| | watched | passed on | ratio |",
        "|---|---:|---:|---:|",
    ]
    for load, by_way in figures.items():
        watched, passed = by_way.values()
        ratio = statistics.median(one / other for one, other in zip(watched, passed, strict=True))
        lines.append(f"| {load} | {statistics.median(watched):.1f} | {statistics.median(passed):.1f} | {ratio:.3f} |")
    return "\n".join(lines) + "\n"


def looking(python: Path) -> str:
    """Return the table of what looking at one chunk takes."""
    printed = subprocess.run(
        [python, "-m", "benchmarks.looking"], cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    rows = [f"| {name} | {took_us:.2f} |" for name, took_us in json.loads(printed).items()]
    return "\n".join(["", "| the watcher alone, by what a chunk holds | µs |", "|---|---:|", *rows]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
