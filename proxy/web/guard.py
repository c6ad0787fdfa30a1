"""The hook before every view: check Host, Origin, preflight and key. A refused request reaches no view."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from flask import Flask, Response, g, request
from flask_cors.core import get_cors_options, set_cors_headers

from proxy.errors.request import OriginNotAllowed, ProxyKeyRefused
from proxy.keys.proxy_keys import ProxyKeys
from proxy.keys.reading import Keys
from proxy.policy.access import Admission, Caller, admit
from proxy.policy.headers import EXPOSED_TO_PAGES
from proxy.policy.origin import check_host, check_origin
from proxy.policy.refused_origins import RefusedOrigins
from proxy.settings.store import SettingsStore
from proxy.web.welcome import is_browser_at_root, welcome

HEALTH = "health.health"  # the endpoint that may be open to callers without a key
OWN_PAGES = "ui"  # the blueprint of the program's own pages
PREFLIGHT_SECONDS = 600
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


@dataclass(frozen=True)
class Access:
    """The rules of who may call."""

    store: SettingsStore
    proxy_keys: ProxyKeys
    keys: Keys
    refused_origins: RefusedOrigins
    greets_browsers: bool = False  # there are pages to lead them to

    def key_pairs(self) -> Iterator[tuple[str, str]]:
        """Yield each proxy key's name and the key."""
        return ((key.name, key.key) for key in self.proxy_keys.current)


def install(app: Flask, access: Access) -> None:
    """Put the guard before every view of the app."""

    @app.before_request
    def guard() -> Response | None:
        store, proxy_keys = access.store, access.proxy_keys
        # Taken first: what changes from here on makes this decision an old one.
        g.admission = Admission(store, store.in_force, proxy_keys, proxy_keys.made)
        settings = store.in_force.settings
        environ, headers = request.environ, request.headers
        is_own_page = request.blueprint == OWN_PAGES
        names = () if is_own_page else settings.proxy_allowed_hosts
        check_host(environ.get("HTTP_HOST"), environ["SERVER_PORT"], settings.proxy_host, names)
        if is_own_page:
            return None  # they have rules of their own, stricter ones
        try:
            g.origin = check_origin(headers, settings.proxy_allowed_origins)
        except OriginNotAllowed:
            access.refused_origins.note(headers.get("Origin"))
            raise
        if access.greets_browsers and is_browser_at_root():
            return welcome()
        if request.method == "OPTIONS":  # a browser asks without a key; what it then sends is checked for one
            return Response(status=204, headers={"Allow": ", ".join(METHODS)}, mimetype="")
        is_open = not settings.reads_callers_keys or (
            request.endpoint == HEALTH and settings.allow_unauthenticated_health
        )
        try:
            g.caller = Caller() if is_open else admit(settings, access.key_pairs, headers)
        except ProxyKeyRefused:
            access.keys.after_refusal()  # it may be a new one
            raise
        return None

    @app.after_request
    def allow_origin(response: Response) -> Response:
        origin = g.get("origin")
        if origin:
            set_cors_headers(response, get_cors_options(app, cors_policy(origin)))
            response.headers.pop("Access-Control-Allow-Private-Network", None)
        return response


def cors_policy(origin: str) -> dict[str, object]:
    """Return flask-cors's options for an origin the guard has let in: that origin alone, any header, no credentials."""
    return {
        "origins": [re.compile(re.escape(origin) + r"\Z")],
        "methods": METHODS,
        "allow_headers": "*",
        "expose_headers": list(EXPOSED_TO_PAGES),
        "max_age": PREFLIGHT_SECONDS,
        "supports_credentials": False,
        "send_wildcard": False,
        "vary_header": True,
    }
