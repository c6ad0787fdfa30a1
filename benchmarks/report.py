"""The results as Markdown."""

import datetime as dt
import statistics
from dataclasses import dataclass

from benchmarks.bench import Sizes
from benchmarks.client import CHAT_PATH
from benchmarks.goals import GOALS, Results
from benchmarks.load import PLAIN_COMMAND, STREAM_COMMAND
from benchmarks.measures import MEASURES, Figures

NOTHING = "\N{EN DASH}"
INTRODUCTION = """\
Written by `{command}` on {date}; `benchmarks/README.md` says how to run it yourself.

Everything shares the {cores} of one computer: the server measured, the load generator and the fake upstream. They take
processor time from each other, so the absolute figures say little beyond this computer; ratios of servers measured in
the same round, one after the other, are what counts. A figure is the median of its rounds, a ratio or difference the
median of the rounds' ratios or differences, and failures are those of the worst round.
"""


@dataclass(frozen=True)
class Outcome:
    """What a run brought; of a measure that broke off on a server there are no figures, only the problem."""

    machine: dict[str, str]
    results: Results
    problems: list[str]


def markdown(outcome: Outcome, sizes: Sizes, command: str) -> str:
    """Return the whole page."""
    date = dt.datetime.now(dt.timezone.utc).date()
    cores = outcome.machine["processor"].rpartition(", ")[2]
    parts = [
        "# Measured",
        INTRODUCTION.format(command=command, date=date, cores=cores),
        "## Goals",
        "\n".join(goal_lines(outcome.results)),
        "\n".join(f"* {problem.splitlines()[0]}" for problem in outcome.problems),
        "## All figures",
        "\n".join(figure_lines(outcome.results)),
        "## The computer and the versions",
        "\n".join(f"* {name}: {fact}" for name, fact in outcome.machine.items()),
        "## The commands",
        "\n".join(command_lines(sizes)),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def goal_lines(results: Results) -> list[str]:
    """Return the table of goals."""
    lines = ["| | wanted | measured | |", "|---|---:|---:|---|"]
    for goal in GOALS:
        value = goal.value(results)
        wanted = f"{goal.sign} {goal.limit:g} {goal.unit}".strip()
        if value is None:
            lines.append(f"| {goal.title} | {wanted} | {NOTHING} | not measured |")
        else:
            verdict = "reached" if goal.is_reached(value) else "**not reached**"
            measured = f"{number(value)} {goal.unit}".strip()
            lines.append(f"| {goal.title} | {wanted} | {measured} | {verdict} |")
    return lines


def figure_lines(results: Results) -> list[str]:
    """Return the table of every figure of every server."""
    names = sorted({name for servers in results.values() for name in servers}, key=list_order)
    lines = [f"| | rounds | {' | '.join(names)} |", f"|---|---:|{'---:|' * len(names)}"]
    for measure, servers in results.items():
        if not servers:
            continue
        first = next(iter(servers.values()))
        for figure in first[0]:
            cells = [number(middle(servers.get(name, []), figure)) for name in names]
            title = f"{MEASURES[measure].title}: {figure.replace('_', ' ')}"
            lines.append(f"| {title} | {len(first)} | {' | '.join(cells)} |")
    return lines


def list_order(name: str) -> int:
    """Return the column of a server."""
    return ["direct", "nginx", "before", "ours", "litellm"].index(name)


def middle(rounds: list[Figures], figure: str) -> float | None:
    """Return the median over the rounds, of failures the worst; None if there is none."""
    values = [figures[figure] for figures in rounds]
    seen = [value for value in values if value is not None]
    if not seen or len(seen) < len(values):
        return None
    return max(seen) if figure == "failures" else statistics.median(seen)


def number(value: float | None) -> str:
    """Write a figure with about three digits."""
    if value is None:
        return NOTHING
    digits = 0 if abs(value) >= 100 or value == int(value) else 1 if abs(value) >= 10 else 3
    return f"{value:,.{digits}f}"


def command_lines(sizes: Sizes) -> list[str]:
    """Return the commands the run made, by measure."""
    many_plain = PLAIN_COMMAND.format(connections=16, seconds=sizes.plain_s, port="PORT")
    one_plain = PLAIN_COMMAND.format(connections=1, seconds=sizes.plain_s, port="PORT")
    many_streams = STREAM_COMMAND.format(
        port="PORT",
        at_once=500,
        total=500,
        model=f"sse-{sizes.stream_chunks}-20",
        limit_s=sizes.stream_limit_s,
        path=CHAT_PATH,
    )
    one_stream = STREAM_COMMAND.format(
        port="PORT", at_once=1, total=sizes.quiet_streams, model="sse-20-20", limit_s=60, path=CHAT_PATH
    )
    return [
        f"* plain JSON and bodies of 100 kB, with TLS, rules, tools and keys too: `{many_plain}`",
        f"* 1,000 heads: `{many_plain.replace('plain_load', 'many_heads')}`, again and again",
        f"* one connection: `{one_plain}`",
        f"* 500 streams, and 100 and 2,000 likewise: `{many_streams}`",
        f"* quiet stream: `{one_stream}`",
        "* ours: `python -m proxy serve --port PORT` with `OPENAI_BASE_URL` and `OPENAI_API_KEY` set",
        "* ours with rules, tools, a key, or an upstream behind TLS: with the variables that `targets.py` names",
        "* nginx: `nginx -p FOLDER -e stderr -c FOLDER/nginx.conf`, the configuration from `targets.py`",
        "* LiteLLM: `litellm --config litellm.yaml --host 127.0.0.1 --port PORT --num_workers 1 --telemetry False`",
    ]
