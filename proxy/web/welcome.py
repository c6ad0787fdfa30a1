"""Show what this is, and the way to the dashboard, if a browser opens the proxy's bare address.

It shows nothing about the user and no link, because anybody who reaches the address may read it.
"""

from flask import Response, render_template, request

from proxy.command import command
from proxy.identity import TITLE
from proxy.web.ui.blueprint import SEALED


def is_browser_at_root() -> bool:
    """Return whether a browser asks for the bare address; other programs do not accept HTML."""
    return request.path == "/" and request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def welcome() -> Response:
    """Return the page."""
    page = render_template("welcome.html", title=TITLE, command=command, base_url=f"http://{request.host}/v1")
    return Response(page, headers={**SEALED, "Vary": "Accept"})
