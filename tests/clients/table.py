"""Write CLIENTS.md: every scenario and what each client makes of it, direct and through the proxy.

Run it in the repository: `PYTHONPATH=.:tests .venv/bin/python -m clients.table`.
"""

import json
import logging
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version

from clients.bench import KEEP_ALIVE_S, NODE_SDKS, PYTHON_SDKS, SILENCE_S, Bench, Pair
from clients.broken_answers import BROKEN
from clients.node_sdks import FOLDER, why_not
from clients.scenario import Same, Scenario
from clients.slow_answers import SLOW
from clients.whole_answers import WHOLE
from fakes.environment import ROOT

TABLE = ROOT / "CLIENTS.md"
SDKS = PYTHON_SDKS + NODE_SDKS
CALLS = {
    "chat": "Chat completions",
    "chat stream": "Chat completions, streamed",
    "completions stream": "Completions, streamed",
    "responses": "Responses",
    "responses stream": "Responses, streamed",
}
HEAD = """# What real clients make of it

Written by `PYTHONPATH=.:tests python -m clients.table` (needs Node and `npm ci --prefix tests/clients/node`); the suite
runs the same scenarios. Each cell says what a program has in hand that uses the client on the left of the arrow
directly, on the right through the proxy: *whole* (the answer and its finish), *raised* (an exception), *reported* (an
error among the parts of the stream), or *nothing said*: no error, and no finish either, which a program that does not
look for one takes for a success. In brackets stand the HTTP status and the code the client names.

{versions}. Retries are off; the proxy waits {silence} s
for a silent upstream.
"""
WHOLE_HEAD = """
## Answers in which nothing is wrong

*the same*: text, tool calls, usage and finish through the proxy equal those without it.

"""
BROKEN_HEAD = """
## Answers in which something is wrong

"""
SLOW_HEAD = """
## Answers that keep clients waiting

Here the proxy fills the silence with keep-alives after {keep_alive} s instead of 15; what is wrong is then told within
the stream, so that its status can no longer be named.

"""


def write_table() -> int:
    """Try everything and write the file; return how many cells are not as they should be."""
    logging.disable(logging.CRITICAL)
    with Bench(SDKS) as bench:
        whole, broken, slow = (
            [(scenario, bench.try_out(scenario)) for scenario in part] for part in (WHOLE, BROKEN, SLOW)
        )
    complaints = [
        f"{scenario.call}: {scenario.name}: {sdk}: {wrong}"
        for scenario, pairs in (*whole, *broken, *slow)
        for sdk, pair in pairs.items()
        if (wrong := pair.complaint(scenario))
    ]
    parts = [HEAD.format(versions=versions(), silence=SILENCE_S), WHOLE_HEAD, *tables(whole)]
    parts += [BROKEN_HEAD, *tables(broken), SLOW_HEAD.format(keep_alive=KEEP_ALIVE_S), *tables(slow)]
    TABLE.write_text("".join(parts).rstrip() + "\n", encoding="utf-8")
    sys.stderr.write("".join(f"{line}\n" for line in complaints))
    return len(complaints)


def versions() -> str:
    """Name the clients with their versions."""
    node = json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["dependencies"]
    return (
        f"The clients: openai-python {version('openai')}, openai-node {node['openai']}, AI SDK {node['ai']} with\n"
        f"`@ai-sdk/openai-compatible` {node['@ai-sdk/openai-compatible']}, which has no responses"
    )


def tables(tried: Sequence[tuple[Scenario, dict[str, Pair]]]) -> Iterator[str]:
    """Yield a table for each call."""
    for call, title in CALLS.items():
        if all(scenario.call != call for scenario, _ in tried):
            continue
        yield f"### {title}\n\n| The upstream's answer | {' | '.join(SDKS)} |\n|---|{'---|' * len(SDKS)}\n"
        for scenario, pairs in tried:
            if scenario.call == call:
                cells = [cell(scenario, pairs[sdk]) if sdk in pairs else "-" for sdk in SDKS]
                yield f"| {scenario.name} | {' | '.join(cells)} |\n"
        yield "\n"


def cell(scenario: Scenario, pair: Pair) -> str:
    """Say what a client made of an answer."""
    if isinstance(scenario.expected, Same) and pair.complaint(scenario) is None:
        return "the same"
    return f"{pair.direct.shown()} → {pair.proxied.shown()}"


if __name__ == "__main__":
    if reason := why_not():
        sys.exit(reason)
    sys.exit(min(write_table(), 1))
