"""Serve the pages that a script renders (requests, usage, settings, log), and the script's files."""

from pathlib import Path

from flask import Blueprint, Response, render_template, request
from werkzeug.security import safe_join

from proxy import paths
from proxy.errors.request import UnknownPath

APP_PAGES = ("requests", "usage", "settings", "log")  # each is `ui/app/NAME.js`
TYPES = {".js": "text/javascript", ".css": "text/css"}  # the system's own table may say otherwise


def add_routes(pages: Blueprint, root: str) -> None:
    """Add the routes below a path; the blueprint guards all but the script's files, which hold no data."""
    for name in APP_PAGES:
        pages.add_url_rule(f"{root}/{name}", f"{name}_page", view_func=lambda name=name: shell(name))

    @pages.get("/ui/assets/<path:name>")
    def app_file(name: str) -> Response:
        place = safe_join(str(paths.asset("ui/app")), name)
        suffix = f".{name.rpartition('.')[2]}"
        if place is None or suffix not in TYPES:
            raise UnknownPath(request.path)
        try:
            content = Path(place).read_bytes()
        except (OSError, ValueError):
            raise UnknownPath(request.path) from None
        return Response(content, content_type=f"{TYPES[suffix]}; charset=utf-8")


def shell(name: str) -> str:
    """Return the page that a script fills."""
    return render_template("app.html", page=name)
