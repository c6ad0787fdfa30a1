"""The routes of the dashboard, and the checks and headers that apply to each of them."""

from typing import Any

from flask import Blueprint, Response, g, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from proxy import paths
from proxy.command import command
from proxy.errors.request import UnknownPath
from proxy.identity import TITLE
from proxy.web.ui import (
    app_pages,
    approvals,
    connect,
    drill,
    entry,
    events,
    first_steps,
    home,
    keys,
    log,
    requests,
    settings,
    tools,
    upstreams,
    usage,
)
from proxy.web.ui.dashboard import Dashboard, PageParts
from proxy.web.ui.sessions import cookie_name

NAME = "ui"
OWN_PATHS = ("ui", "_tray/")  # how the addresses of these pages begin, behind any slashes: their views wait for others
NAVIGATION = (
    (".home", "Home"),
    (".requests_page", "Requests"),
    (".usage_page", "Usage"),
    (".settings_page", "Settings"),
    (".connect", "Connect"),
    (".upstreams", "Upstreams"),
    (".approvals", "Approvals"),
    (".doctor", "Doctor"),
    (".log_page", "Log"),
)
TOKEN_HEADER = "X-Form-Token"  # noqa: S105  a name, no secret
SEALED = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; media-src 'self' data:; "
        "style-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send `Origin: null` with our own forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
# These prove themselves otherwise, or show nothing.
OPEN = frozenset(
    f"{NAME}.{view}"
    for view in (
        *("enter", "astray", "style", "icon", "app_file", "activate"),
        *("link", "upstream_states", "report"),
    )
)


def blueprint(parts: PageParts, dashboard: Dashboard) -> Blueprint:
    """Return the routes."""
    pages = Blueprint(NAME, __name__, template_folder=str(paths.asset("ui")))
    root = dashboard.sessions.path
    pages.context_processor(lambda: for_every_page(dashboard, parts))
    pages.before_request(lambda: check_session(dashboard))
    pages.after_request(seal)
    entry.add_routes(pages, dashboard, lambda: upstreams.states(parts))
    home.add_routes(pages, root, parts)
    first_steps.add_routes(pages, root, parts)
    approvals.add_routes(pages, root, parts.consent)
    upstreams.add_routes(pages, root, parts)
    connect.add_routes(pages, root, parts)
    usage.add_routes(pages, root, parts.requests)
    settings.add_routes(pages, root, parts.store, parts.requests.hide)
    keys.add_routes(pages, root, parts)
    tools.add_routes(pages, root, parts.store, parts.tools, parts.requests)
    log.add_routes(pages, root, parts.recent_log, parts.requests.hide)
    app_pages.add_routes(pages, root)
    requests.add_routes(pages, root, parts.requests)
    drill.add_routes(pages, root, parts.drills, parts.requests.hide)
    events.add_routes(pages, root, parts.requests)

    @pages.get(f"{root}/doctor")
    def doctor() -> str:
        return render_template("doctor.html", findings=dashboard.examine())

    @pages.post(f"{root}/stop")
    def stop() -> str:
        if dashboard.stop is None:
            raise UnknownPath
        dashboard.stop()
        return render_template("stopped.html")

    @pages.get("/ui/icon.png")
    def icon() -> Response:
        return Response(paths.asset("icon/icon-64.png").read_bytes(), content_type="image/png")

    @pages.get("/ui/page.css")
    def style() -> Response:
        return Response(paths.asset("ui/page.css").read_bytes(), content_type="text/css; charset=utf-8")

    return pages


def check_session(dashboard: Dashboard) -> AnyResponse | None:
    """Admit only a browser of this user that came by a link; a change also needs the form's token."""
    if entry.is_stranger(request.environ):
        return entry.locked_out()
    if not entry.is_own_origin():
        return entry.locked_out("A link that another page has opened does not count: copy it into the address line.")
    if request.endpoint in OPEN:
        return None
    session = dashboard.sessions.find(request.cookies.get(cookie_name(request.environ)))
    if session is None:
        return entry.locked_out()
    if request.method == "POST" and not session.is_form_token(offered_token()):
        return entry.locked_out()
    g.session = session
    return None


def offered_token() -> str | None:
    """Return the form's token: from a field of a form, or from a script's header, which no foreign page can send."""
    return request.headers.get(TOKEN_HEADER) or request.form.get("form_token")


def seal(response: AnyResponse) -> AnyResponse:
    """Set the headers that keep an answer out of caches, frames and other pages."""
    response.headers.extend(SEALED)
    return response


def for_every_page(dashboard: Dashboard, parts: PageParts) -> dict[str, Any]:
    """Return the template variables of every page."""
    return {
        "title": TITLE,
        "command": command,
        "navigation": NAVIGATION,
        "here": next((name for endpoint, name in NAVIGATION if request.endpoint == NAME + endpoint), None),
        "open_questions": len(parts.consent.questions),
        "can_stop": dashboard.stop is not None,
        "form_token": g.session.form_token if "session" in g else "",
    }
