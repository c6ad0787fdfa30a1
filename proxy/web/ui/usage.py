"""Serve usage and cost, the quality of upstreams, and limits, as JSON and CSV."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from typing import Any

from flask import Blueprint, Response, jsonify, request

from proxy.usage import quality, summaries
from proxy.usage.spending import Spending, today_words
from proxy.web.ui.dashboard import RequestParts
from proxy.web.ui.json_api import Answered

MAX_DAYS = 36_500
TABLES: dict[str, Callable[..., Iterable[dict[str, Any]]]] = {
    "groups": lambda file, by, *asked: summaries.grouped(file, by, *asked),
    "days": lambda file, by, *asked: summaries.grouped_by_day(file, by, *asked),
    "speeds": lambda file, _, *asked: quality.speeds(file, *asked),
    "outcomes": lambda file, _, *asked: quality.outcomes(file, *asked),
}


def add_routes(pages: Blueprint, root: str, parts: RequestParts) -> None:
    """Add the routes below a path; the blueprint guards them, and they wait in a worker thread."""
    file, spending = parts.ledger_file, parts.spending

    @pages.get(f"{root}/api/usage")
    def usage() -> Answered:
        by, per = request.args.get("by", "model"), request.args.get("per")
        if by not in summaries.GROUPS:
            return wrong("by", summaries.GROUPS)
        if per not in (None, "day"):
            return wrong("per", ("day",))
        since, until = asked_time()
        try:
            total = summaries.totals(file, since, until)
            groups = (summaries.grouped if per is None else summaries.grouped_by_day)(file, by, since, until)
        except summaries.LedgerUnreadable as error:
            return jsonify(error=str(error)), 503
        return jsonify(since=since, until=until, by=by, per=per, total=total, groups=groups), 200

    @pages.get(f"{root}/api/usage/quality")
    def usage_quality() -> Answered:
        since, until = asked_time()
        try:
            speeds, outcomes = quality.speeds(file, since, until), quality.outcomes(file, since, until)
        except summaries.LedgerUnreadable as error:
            return jsonify(error=str(error)), 503
        return jsonify(since=since, until=until, speeds=speeds, outcomes=outcomes), 200

    @pages.get(f"{root}/api/limits")
    def limits() -> Answered:
        return jsonify(limits_state(spending)), 200

    @pages.get(f"{root}/api/usage.csv")
    def usage_csv() -> Response | Answered:
        table, by = request.args.get("table", "requests"), request.args.get("by", "model")
        if by not in summaries.GROUPS:
            return wrong("by", summaries.GROUPS)
        if table not in ("requests", *TABLES):
            return wrong("table", ("requests", *TABLES))
        since, until = asked_time()
        try:
            lines = (
                summaries.as_csv(file, since, until)
                if table == "requests"
                else table_csv(TABLES[table](file, by, since, until))
            )
            text = "".join(lines)
        except summaries.LedgerUnreadable as error:
            return jsonify(error=str(error)), 503
        answer = Response(text, content_type="text/csv; charset=utf-8")
        name = "usage" if table == "requests" else f"usage-{table}"
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
        return answer


def limits_state(spending: Spending) -> dict[str, Any]:
    """Return today's usage, and the used part of each limit; it reads no file."""
    today = spending.today()
    return {
        "today": {**asdict(today), "words": today_words(today)},
        "limits": [standing.as_object() for standing in spending.all_standings()],
    }


def table_csv(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield rows as CSV lines, after a header; nested objects become columns."""
    names: tuple[str, ...] | None = None
    for row in map(flat, rows):
        if names is None:
            names = tuple(row)
            yield summaries.line(names)
        yield summaries.line(tuple(row.get(name) for name in names))


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its nested objects flattened."""
    spread: dict[str, Any] = {}
    for name, value in row.items():
        if name in quality.MEASURES:
            spread |= {
                f"{name}_{each}": (value or {}).get(each) for each in ("answers", *map("p{}".format, quality.PERCENTS))
            }
        elif isinstance(value, dict):
            spread |= {f"{name}_{each}": inner for each, inner in value.items()}
        else:
            spread[name] = value
    return spread


def wrong(name: str, values: Iterable[str]) -> Answered:
    """Refuse an unknown value."""
    return jsonify(error=f"{name} must be one of {', '.join(values)}"), 400


def asked_time() -> tuple[float, float]:
    """Return the requested period in seconds of the wall clock: whole days, up to and including today."""
    days = min(max(request.args.get("days", 30, type=int), 1), MAX_DAYS)
    now = time.time()
    year, month, day = time.localtime(now)[:3]
    return max(0.0, time.mktime((year, month, day - days + 1, 0, 0, 0, 0, 0, -1))), now + 1
