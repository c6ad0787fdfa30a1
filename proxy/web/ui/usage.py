"""What finished requests used and cost, as JSON and CSV for a page."""

import time
from pathlib import Path

from flask import Blueprint, Response, jsonify, request

from proxy.usage import summaries

DAY_S = 86_400.0
MAX_DAYS = 36_500


def add_routes(pages: Blueprint, root: str, file: Path) -> None:
    """Add the routes below a path; the blueprint guards them, and they wait in a worker thread."""

    @pages.get(f"{root}/api/usage")
    def usage() -> tuple[Response, int]:
        by = request.args.get("by", "model")
        if by not in summaries.GROUPS:
            return jsonify(error=f"by must be one of {', '.join(summaries.GROUPS)}"), 400
        since, until = asked_time()
        try:
            total = summaries.totals(file, since, until)
            groups = summaries.grouped(file, by, since, until)
        except summaries.LedgerUnreadable as error:
            return jsonify(error=str(error)), 503
        return jsonify(since=since, until=until, by=by, total=total, groups=groups), 200

    @pages.get(f"{root}/api/usage.csv")
    def usage_csv() -> Response | tuple[Response, int]:
        since, until = asked_time()
        try:
            text = "".join(summaries.as_csv(file, since, until))
        except summaries.LedgerUnreadable as error:
            return jsonify(error=str(error)), 503
        answer = Response(text, content_type="text/csv; charset=utf-8")
        answer.headers["Content-Disposition"] = 'attachment; filename="usage.csv"'
        return answer


def asked_time() -> tuple[float, float]:
    """Return the asked time as seconds of the wall clock: so many whole days, today the last of them."""
    days = min(max(request.args.get("days", 30, type=int), 1), MAX_DAYS)
    now = time.time()
    midnight = time.mktime((*time.localtime(now)[:3], 0, 0, 0, 0, 0, -1))
    return max(0.0, midnight - (days - 1) * DAY_S), now + 1
