"""The commands `requests`, `logs` and `status`: what has happened, read from files, and which proxies run."""

import json
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

import click

from proxy import paths
from proxy.cli.terminal import say
from proxy.usage import summaries

LOOK_EVERY_S = 0.5
DAY_S = 86_400.0
# What an object of `--json` holds, and the ledger's own name of each.
FIELDS = {
    "id": "id",
    "started": "began_at",
    "client": "client",
    "key": "key_name",
    "model_asked": "model_asked",
    "model_sent": "model_sent",
    "upstream": "upstream",
    "status": "status",
    "outcome": "outcome",
    "first_byte_s": "first_byte_s",
    "duration_s": "duration_s",
    "input_tokens": "input_tokens",
    "cached_tokens": "cached_tokens",
    "output_tokens": "output_tokens",
    "cost_usd": "cost_usd",
}


@click.command("requests")
@click.option("--last", type=click.IntRange(0, 1_000_000), default=20, show_default=True, help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="Print an object a line; what is unknown is null.")
@click.option("--follow", "-f", is_flag=True, help="Go on with each request that ends, until Ctrl-C.")
def requests(last: int, *, as_json: bool, follow: bool) -> None:
    """Show the last finished requests, without their text."""
    file, shown = paths.ledger_file(), json_line if as_json else table_line
    number = summaries_of(summaries.last_number, file)
    rows = summaries_of(summaries.latest, file, last)
    if not as_json:
        say(HEAD)
    for row in reversed(rows):
        tell(shown(row))
    known = {row["id"] for row in rows}
    while follow:
        for place, row in summaries_of(summaries.written_after, file, number):
            number = place
            if row["id"] not in known:
                tell(shown(row))
        time.sleep(LOOK_EVERY_S)


@click.command()
@click.option(
    "--last", type=click.IntRange(0, 1_000_000), default=50, show_default=True, help="How many lines to show."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with each line that is written, until Ctrl-C.")
def logs(last: int, *, follow: bool) -> None:
    """Show the end of the log."""
    for line in lines_of(paths.log_file(), last, is_followed=lambda: follow):
        tell(line)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print an object.")
def status(*, as_json: bool) -> None:
    """Show which proxies run, and what was used today; exit code 1 where none runs."""
    from proxy.running import ask, found  # noqa: PLC0415  this command alone needs it

    running = [info.url for info in found(paths.runtime_dir()) if ask(info, "link")]
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    total = summaries_of(summaries.totals, paths.ledger_file(), today, time.time() + DAY_S)
    if as_json:
        tell(json.dumps({"running": running, "today": total}))
    else:
        for url in running:
            say(f"Running: {url}/v1")
        if not running:
            say("No proxy runs.")
        tokens = (total["input_tokens"] or 0) + (total["output_tokens"] or 0)
        cost = "" if total["cost_usd"] is None else f" · ${total['cost_usd']:,.2f}{'+' if total['unpriced'] else ''}"
        number = total["requests"]
        say(f"Today: {number:,} request{'' if number == 1 else 's'} · {tokens:,} tokens{cost}")
    if not running:
        sys.exit(1)


def summaries_of(read: Callable[..., Any], *asked: Any) -> Any:
    """Return what is read of the ledger; where it cannot be read, say so and end with exit code 1."""
    try:
        return read(*asked)
    except summaries.LedgerUnreadable as error:
        say(str(error), err=True)
        sys.exit(1)


def tell(line: str) -> None:
    """Print a line at once: another program may read it."""
    say(line)
    if sys.stdout is not None:
        sys.stdout.flush()


def json_line(row: dict[str, Any]) -> str:
    """Return a row as JSON."""
    return json.dumps({name: row[column] for name, column in FIELDS.items()})


HEAD = (
    f"{'time':19} {'client':16} {'model':26} {'upstream':18} {'status':>6} {'outcome':20}"
    f" {'s':>7} {'in':>9} {'out':>7} {'cost':>9}"
)


def table_line(row: dict[str, Any]) -> str:
    """Return a row as a line of the table; what is unknown is a dash."""
    asked, sent = row["model_asked"], row["model_sent"]
    model = f"{asked} → {sent}" if sent and sent != asked else asked
    when = datetime.fromtimestamp(row["began_at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    words = ((row["client"], 16), (model, 26), (row["upstream"], 18))
    cost = "-" if row["cost_usd"] is None else f"${row['cost_usd']:,.4f}"
    duration = "-" if row["duration_s"] is None else f"{row['duration_s']:.2f}"
    return (
        f"{when} {' '.join(f'{cut(word, width):{width}}' for word, width in words)} {row['status'] or '-':>6}"
        f" {row['outcome'].replace('_', ' '):20} {duration:>7} {count(row['input_tokens']):>9}"
        f" {count(row['output_tokens']):>7} {cost:>9}"
    )


def cut(word: str | None, width: int) -> str:
    """Return a word that fits into a column, and holds nothing that is not seen."""
    text = "".join(sign if sign.isprintable() else "?" for sign in word or "-")
    return text if len(text) <= width else f"{text[: width - 1]}…"


def count(number: int | None) -> str:
    """Return a count, a dash where it is not known."""
    return "-" if number is None else f"{number:,}"


def lines_of(file: Path, last: int, is_followed: Callable[[], bool]) -> Iterator[str]:
    """Yield the last lines of a file, then each that is written, also into the file that takes its place."""
    opened = open_if_there(file)
    try:
        if opened is not None:
            yield from deque((line.rstrip("\n") for line in opened), maxlen=last)
        while is_followed():
            yield from whole_lines(opened)
            if is_replaced(file, opened):
                yield from whole_lines(opened)  # what was written to the old one last
                if opened is not None:
                    opened.close()
                opened = open_if_there(file)
            time.sleep(LOOK_EVERY_S)
    finally:
        if opened is not None:
            opened.close()


def whole_lines(opened: TextIO | None) -> Iterable[str]:
    """Yield the lines that are complete; half of one is left for the next time."""
    while opened is not None:
        place = opened.tell()
        line = opened.readline()
        if not line.endswith("\n"):
            opened.seek(place)
            return
        yield line.rstrip("\n")


def is_replaced(file: Path, opened: TextIO | None) -> bool:
    """Tell whether the file at a path is another one than the open one, or was cut."""
    try:
        there = file.stat()
    except OSError:
        return False  # between two files
    if opened is None:
        return True
    own = os.fstat(opened.fileno())
    return (own.st_dev, own.st_ino) != (there.st_dev, there.st_ino) or there.st_size < opened.tell()


def open_if_there(file: Path) -> TextIO | None:
    """Return the open file, None where there is none."""
    try:
        return file.open(encoding="utf-8", errors="replace")
    except OSError:
        return None
