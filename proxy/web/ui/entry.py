"""Admit browsers: by a link that works once, and give a link to a second copy of the program."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from proxy.errors.request import UnknownPath
from proxy.policy.origin import is_this_computer
from proxy.running import NONCE_HEADER, PROOF_HEADER, Wish, is_proof, proof
from proxy.web.ui.dashboard import PLACES, Dashboard
from proxy.web.ui.peers import is_another_user
from proxy.web.ui.sessions import SESSION_S, cookie_name


def add_routes(pages: Blueprint, dashboard: Dashboard, states: Callable[[], dict[str, str]]) -> None:
    """Add the routes that need no session; `states` returns the state of each upstream."""

    @pages.get("/ui/enter")
    def enter() -> AnyResponse:
        session = dashboard.sessions.enter(request.args.get("ticket", ""))
        if session is None:
            return locked_out()
        place = request.args.get("to")
        response = redirect(url_for(PLACES.get(place or "", ".home")), 303)
        response.set_cookie(
            cookie_name(request.environ),
            session.cookie,
            max_age=int(SESSION_S),
            path=dashboard.sessions.path,
            httponly=True,
            samesite="Strict",
        )
        return response

    @pages.route("/ui", defaults={"rest": ""}, methods=["GET", "POST"])
    @pages.route("/ui/<path:rest>", methods=["GET", "POST"])
    def astray(rest: str) -> AnyResponse:  # noqa: ARG001  Flask passes what the route names
        return locked_out()

    @pages.post("/_tray/activate")
    def activate() -> Response:
        check_proof(dashboard.token, "activate")
        dashboard.activate()
        return answer_with_link(dashboard)

    @pages.post("/_tray/link")
    def link() -> Response:
        check_proof(dashboard.token, "link")
        return answer_with_link(dashboard)

    @pages.post("/_tray/upstreams")
    def upstream_states() -> Response:
        check_proof(dashboard.token, "upstreams")
        return proven(dashboard, json.dumps(states()))

    @pages.post("/_tray/report")
    def report() -> Response:
        check_proof(dashboard.token, "report")
        return proven(dashboard, dashboard.report())


def locked_out(why: str = "") -> Response:
    """Answer a refused browser."""
    return Response(render_template("locked.html", why=why), 403)


def is_stranger(environ: Mapping[str, Any]) -> bool:
    """Return whether a connection comes from another computer, or from another user of this one."""
    client, local = environ.get("REMOTE_ADDR", ""), environ["SERVER_NAME"]
    if not is_this_computer(client, local):
        return True
    return is_another_user(client, int(environ.get("REMOTE_PORT", 0)), local, int(environ["SERVER_PORT"]))


def is_own_origin() -> bool:
    """Return whether a request comes from one of our pages, or from no page at all."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    return site in ("none", "same-origin") and origin in (None, f"http://{request.host}")


def check_proof(token: str, wish: Wish) -> None:
    """Raise UnknownPath, as for a missing page, unless the caller proves that it knows the token."""
    words = (wish, request.headers.get("Host", ""), request.headers.get(NONCE_HEADER, ""))
    if not is_proof(request.headers.get(PROOF_HEADER), token, *words):
        raise UnknownPath(request.path)


def answer_with_link(dashboard: Dashboard) -> Response:
    """Answer with a link and a proof of our identity."""
    return proven(dashboard, dashboard.link(f"http://{request.host}"))


def proven(dashboard: Dashboard, text: str) -> Response:
    """Answer with a text and a proof of our identity."""
    said = proof(dashboard.token, request.headers.get(NONCE_HEADER, ""), text)
    return Response(text, headers={PROOF_HEADER: said}, mimetype="text/plain")
