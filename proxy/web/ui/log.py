"""Serve the last lines of the log as JSON, for a page that follows it."""

import re
from collections.abc import Callable, Sequence

from flask import Blueprint, Response, jsonify

from proxy import paths

LINE = re.compile(r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) +(?P<name>\S+): ")


def add_routes(
    pages: Blueprint, root: str, recent_log: Callable[[], Sequence[str]], hide: Callable[[str], str]
) -> None:
    """Add the routes below a path; the blueprint guards them."""

    @pages.get(f"{root}/api/log")
    def log() -> Response:
        return jsonify(file=str(paths.log_file()), lines=[parts_of(hide(line)) for line in recent_log()])

    @pages.get(f"{root}/api/log.txt")
    def log_text() -> Response:
        answer = Response(hide("\n".join([*recent_log(), ""])), content_type="text/plain; charset=utf-8")
        answer.headers["Content-Disposition"] = 'attachment; filename="openai-tray-proxy.log"'
        return answer


def parts_of(line: str) -> dict[str, str]:
    """Split a line; a continuation line has no time and no level."""
    found = LINE.match(line)
    if found is None:
        return {"time": "", "level": "", "name": "", "text": line}
    return {**found.groupdict(), "text": line[found.end() :]}
