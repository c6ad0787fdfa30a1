"""Read the ledger: totals by model, client, upstream, key, outcome, day or hour, and rows as CSV."""

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from proxy.settings.model import Settings
from proxy.usage.row import COLUMNS
from proxy.usage.schema import MIGRATIONS, connect
from proxy.usage.spending import Spending

# What a group is called, as SQL; days and hours are those of the reader's clock.
GROUPS = {
    "model": "COALESCE(model_sent, model_asked)",
    "client": "client",
    "upstream": "upstream",
    "key": "key_name",
    "outcome": "outcome",
    "day": "strftime('%Y-%m-%d', began_at, 'unixepoch', 'localtime')",
    "hour": "strftime('%Y-%m-%d %H:00', began_at, 'unixepoch', 'localtime')",
}
# A sum over unknown values alone is unknown; `unpriced` tells how many requests with tokens have no known price.
TOTALS = """COUNT(*) AS requests, SUM(input_tokens) AS input_tokens, SUM(cached_tokens) AS cached_tokens,
    SUM(cache_written_tokens) AS cache_written_tokens, SUM(output_tokens) AS output_tokens,
    SUM(reasoning_tokens) AS reasoning_tokens, SUM(is_estimated) AS estimated, SUM(cost_usd) AS cost_usd,
    SUM(input_tokens IS NOT NULL AND cost_usd IS NULL) AS unpriced,
    COUNT(lost_tokens) AS cache_misses, SUM(lost_tokens) AS lost_tokens, SUM(lost_usd) AS lost_usd"""
FAR_FUTURE = 1e12  # seconds of the wall clock
RISKY = ("=", "+", "-", "@", "\t", "\r")  # how a formula begins in a spreadsheet


class LedgerUnreadable(Exception):
    """The file is damaged, locked for too long, or no ledger."""


@contextmanager
def reading(file: Path) -> Iterator[sqlite3.Connection | None]:
    """Give a read-only connection, None if there is no ledger yet; raises LedgerUnreadable."""
    if not file.exists():
        yield None
        return
    try:
        bring_up_to_date(file)
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as ledger:
            ledger.row_factory = sqlite3.Row
            (version,) = ledger.execute("PRAGMA user_version").fetchone()
            yield ledger if version else None  # a file that is being made has no table yet
    except (sqlite3.Error, OSError) as error:
        raise LedgerUnreadable(f"The usage ledger {file} cannot be read: {error}") from error


def bring_up_to_date(file: Path) -> None:
    """Migrate the file of an older version; raises sqlite3.Error and OSError."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0)) as ledger:
        (version,) = ledger.execute("PRAGMA user_version").fetchone()
    if 0 < version < len(MIGRATIONS):
        connect(file).close()


def spending(file: Path, settings: Settings) -> Spending:
    """Return this month's usage, for the limits; raises LedgerUnreadable."""
    read = Spending(lambda: settings)
    with reading(file) as ledger:
        if ledger is not None:
            read.sync(ledger)
    return read


def totals(file: Path, since: float, until: float) -> dict[str, Any]:
    """Return the totals of the requests that began from `since` to before `until`, seconds of the wall clock."""
    return select(file, f"SELECT {TOTALS} FROM requests WHERE began_at >= ? AND began_at < ?", since, until)[0]  # noqa: S608  our own words


def grouped(file: Path, by: str, since: float, until: float) -> list[dict[str, Any]]:
    """Return the totals of each group, times in order, others the costliest first. Raises KeyError for no group."""
    order = '"group"' if by in ("day", "hour") else "cost_usd DESC, requests DESC"
    query = (
        f'SELECT {GROUPS[by]} AS "group", {TOTALS} FROM requests'  # noqa: S608  our own words
        f" WHERE began_at >= ? AND began_at < ? GROUP BY 1 ORDER BY {order}"
    )
    return [row for row in select(file, query, since, until) if row["requests"]]


def grouped_by_day(file: Path, by: str, since: float, until: float) -> list[dict[str, Any]]:
    """Return the totals of each day and group, the days in order; raises KeyError, LedgerUnreadable."""
    query = (
        f'SELECT {GROUPS["day"]} AS day, {GROUPS[by]} AS "group", {TOTALS} FROM requests'  # noqa: S608  our own words
        " WHERE began_at >= ? AND began_at < ? GROUP BY 1, 2 ORDER BY 1, cost_usd DESC, requests DESC"
    )
    return [row for row in select(file, query, since, until) if row["requests"]]


def last_by_client(file: Path, since: float) -> list[dict[str, Any]]:
    """Return the last request of each client and key from `since` on, the newest first; raises LedgerUnreadable."""
    query = """SELECT client, key_name, method, endpoint, status, outcome, MAX(began_at) AS began_at FROM requests
        WHERE began_at >= ? GROUP BY client, key_name ORDER BY began_at DESC"""  # SQLite: the row of the maximum
    with reading(file) as ledger:
        return [dict(row) for row in ledger.execute(query, (since,))] if ledger is not None else []


def select(file: Path, query: str, since: float, until: float) -> list[dict[str, Any]]:
    """Return the rows of a query; raises LedgerUnreadable."""
    with reading(file) as ledger:
        if ledger is not None:
            return [dict(row) for row in ledger.execute(query, (since, until))]
    names = (
        *("input_tokens", "cached_tokens", "cache_written_tokens", "output_tokens", "reasoning_tokens", "cost_usd"),
        *("lost_tokens", "lost_usd"),
    )
    return [{**dict.fromkeys(("requests", "estimated", "unpriced", "cache_misses"), 0), **dict.fromkeys(names)}]


def as_csv(file: Path, since: float, until: float) -> Iterator[str]:
    """Yield the rows as CSV lines, after a header; values that a spreadsheet would run as formulas are quoted."""
    yield line(COLUMNS)
    with reading(file) as ledger:
        if ledger is not None:
            query = f"SELECT {', '.join(COLUMNS)} FROM requests WHERE began_at >= ? AND began_at < ? ORDER BY began_at"  # noqa: S608  our own names
            for row in ledger.execute(query, (since, until)):
                yield line(tuple(row))


def line(values: tuple[Any, ...]) -> str:
    """Write one line of CSV."""
    text = io.StringIO()
    csv.writer(text).writerow(
        f"'{value}" if isinstance(value, str) and value.startswith(RISKY) else value for value in values
    )
    return text.getvalue()


def latest(file: Path, limit: int, before: float | None = None) -> list[dict[str, Any]]:
    """Return the last rows that began before a time, the newest first; raises LedgerUnreadable."""
    query = f"SELECT {', '.join(COLUMNS)} FROM requests WHERE began_at < ? ORDER BY began_at DESC LIMIT ?"  # noqa: S608  our own names
    with reading(file) as ledger:
        if ledger is None:
            return []
        return [dict(row) for row in ledger.execute(query, (FAR_FUTURE if before is None else before, limit))]


def find(file: Path, request_id: str) -> dict[str, Any] | None:
    """Return the row of a request, None where there is none; raises LedgerUnreadable."""
    query = f"SELECT {', '.join(COLUMNS)} FROM requests WHERE id = ?"  # noqa: S608  our own names
    with reading(file) as ledger:
        row = None if ledger is None else ledger.execute(query, (request_id,)).fetchone()
    return None if row is None else dict(row)


def written_after(file: Path, number: int) -> list[tuple[int, dict[str, Any]]]:
    """Return the rows written after the one with this number, each with its number, in order.

    Raises LedgerUnreadable.
    """
    query = f"SELECT rowid, {', '.join(COLUMNS)} FROM requests WHERE rowid > ? ORDER BY rowid"  # noqa: S608  our own names
    with reading(file) as ledger:
        rows = [] if ledger is None else ledger.execute(query, (number,)).fetchall()
    return [(row["rowid"], {name: row[name] for name in COLUMNS}) for row in rows]


def last_number(file: Path) -> int:
    """Return the number of the row that was written last, 0 where there is none; raises LedgerUnreadable."""
    with reading(file) as ledger:
        return 0 if ledger is None else ledger.execute("SELECT COALESCE(MAX(rowid), 0) FROM requests").fetchone()[0]
