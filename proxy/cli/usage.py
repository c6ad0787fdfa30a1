"""The command `usage`: what the requests used and cost, from the ledger; no running proxy is needed."""

import json
import sys
import time
from datetime import datetime
from typing import Any

import click

from proxy import paths
from proxy.cli.terminal import say
from proxy.usage import summaries

DAY_S = 86_400.0
SHOWN_CHARACTERS = 31  # of a group's name


@click.command()
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="The first day; 29 days ago if not given.")
@click.option("--by", type=click.Choice(sorted(summaries.GROUPS)), default="model", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print an object: the totals and the groups; unknown is null.")
@click.option("--csv", "as_csv", is_flag=True, help="Print every request as a line of CSV.")
def usage(since: datetime | None, by: str, *, as_json: bool, as_csv: bool) -> None:
    """Show the tokens and the cost of finished requests.

    A cost is a lower bound where some requests have no known price.
    """
    today = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    begin, end = since.timestamp() if since else today.timestamp() - 29 * DAY_S, time.time() + DAY_S
    file = paths.ledger_file()
    try:
        if as_csv:
            for line in summaries.as_csv(file, begin, end):
                click.echo(line, nl=False)
            return
        total = summaries.totals(file, begin, end)
        groups = summaries.grouped(file, by, begin, end)
    except summaries.LedgerUnreadable as error:
        say(str(error), err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps({"since": begin, "by": by, "total": total, "groups": groups}))
        return
    say(f"{by:{SHOWN_CHARACTERS}} {'requests':>9} {'in':>12} {'cached':>12} {'out':>12} {'cost':>12}")
    for row in [*groups, {**total, "group": "total"}]:
        say(table_line(row))
    if total["cache_misses"]:
        more = "" if total["lost_usd"] is None else f", ${total['lost_usd']:,.4f} more"
        say(f"\nCaches could have served {total['lost_tokens']:,} tokens that were read at full price{more}.")
    if total["estimated"]:
        say(f"\nThe tokens of {total['estimated']} unfinished answers are estimated.")


def table_line(row: dict[str, Any]) -> str:
    """Return a line of the table; what is unknown is a dash, a cost that lacks some requests has a plus."""
    numbers = " ".join(
        f"{'-' if value is None else f'{value:,}':>12}"
        for value in (row["input_tokens"], row["cached_tokens"], row["output_tokens"])
    )
    cost = "-" if row["cost_usd"] is None else f"${row['cost_usd']:,.4f}{'+' if row['unpriced'] else ''}"
    name = str(row["group"] or "-")
    name = "".join(sign if sign.isprintable() else "?" for sign in name)[:SHOWN_CHARACTERS]
    return f"{name:{SHOWN_CHARACTERS}} {row['requests']:>9,} {numbers} {cost:>12}"
