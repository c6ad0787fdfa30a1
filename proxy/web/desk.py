"""The program's own pages, below a secret path: for the person at this computer alone, entered by a one-time link."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from proxy import paths
from proxy.command import command
from proxy.errors.keyring import KeyringFailure, UnusableKey
from proxy.errors.proxy_error import ProxyError
from proxy.errors.request import UnknownPath
from proxy.identity import TITLE, __version__
from proxy.policy.origin import is_this_computer
from proxy.running import NONCE_HEADER, PROOF_HEADER, Wish, is_proof, proof
from proxy.services import Services
from proxy.web.peers import is_another_user
from proxy.web.questions import add_questions
from proxy.web.sessions import SESSION_S, Sessions, cookie_name

NO_STORE = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",  # with no-referrer browsers send `Origin: null` with our own forms
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ENTERING = (
    "desk.enter",
    "desk.astray",
    "desk.style",
    "desk.icon",
    "desk.activate",
    "desk.link",
)  # these prove themselves otherwise, or show nothing


OWN_PATHS = ("ui", "_tray/")  # how the addresses of these pages begin, behind any slashes: their views wait for others
PLACES = ("doctor", "questions", "log")  # where a link may lead, beside the first page


@dataclass(frozen=True)
class Desk:
    """What the pages need of the program around them."""

    examine: Callable[[], Sequence[object]]  # look for common problems; may take some seconds
    token: str  # who knows it may ask for a link
    activate: Callable[[], None] = lambda: None  # a second copy was started: come to the front
    stop: Callable[[], None] | None = None  # end the program, after the answer; None where a terminal does that
    sessions: Sessions = field(default_factory=Sessions)

    def entrance(self, root_url: str, to: str = "") -> str:
        """Return a link to one of the pages, good once."""
        return f"{root_url}/ui/enter?ticket={self.sessions.ticket()}" + (f"&to={to}" if to in PLACES else "")


def blueprint(services: Services, desk: Desk) -> Blueprint:
    """Return the routes."""
    pages = Blueprint("desk", __name__, template_folder=str(paths.asset("pages")))
    pages.context_processor(lambda: for_every_page(desk))
    root = desk.sessions.path
    add_questions(pages, services, root)

    @pages.before_request
    def check_session() -> AnyResponse | None:
        if is_stranger(request.environ):
            return locked_out()
        if not is_own_origin():
            return locked_out("A link that another page has opened does not count: copy it into the address line.")
        if request.endpoint in ENTERING:
            return None
        session = desk.sessions.find(request.cookies.get(cookie_name(request.environ)))
        if session is None:
            return locked_out()
        if request.method == "POST" and not session.is_form_token(request.form.get("form_token")):
            return locked_out()
        g.session = session
        return None

    @pages.after_request
    def seal(response: AnyResponse) -> AnyResponse:
        response.headers.extend(NO_STORE)
        return response

    @pages.get("/ui/enter")
    def enter() -> AnyResponse:
        session = desk.sessions.enter(request.args.get("ticket", ""))
        if session is None:
            return locked_out()
        place = request.args.get("to")
        response = redirect(url_for(f"desk.{place}" if place in PLACES else "desk.home"), 303)
        response.set_cookie(
            cookie_name(request.environ),
            session.cookie,
            max_age=int(SESSION_S),
            path=root,
            httponly=True,
            samesite="Strict",
        )
        return response

    @pages.route("/ui", defaults={"rest": ""}, methods=["GET", "POST"])
    @pages.route("/ui/<path:rest>", methods=["GET", "POST"])
    def astray(rest: str) -> AnyResponse:  # noqa: ARG001  Flask passes what the route names
        return locked_out()

    @pages.get(f"{root}/")
    def home() -> str:
        return page(services)

    @pages.get(f"{root}/doctor")
    def doctor() -> str:
        return render_template("doctor.html", findings=desk.examine())

    @pages.get(f"{root}/log")
    def log() -> str:
        return render_template("log.html", file=paths.log_file(), lines=services.recent_log())

    @pages.post(f"{root}/key")
    def keep_key() -> str:
        text = request.form.get("key", "")
        try:
            if request.form.get("where") == "session":
                services.secrets.keep_for_session(text)
            else:
                services.secrets.keep(text)
        except (UnusableKey, KeyringFailure) as error:
            return page(services, trouble=str(error))
        refusal = services.try_key(services.secrets.state.key or "")
        return page(services, trouble=refusal) if refusal else page(services, success="The upstream accepts the key.")

    @pages.post(f"{root}/key/forget")
    def forget_key() -> str:
        try:
            services.secrets.forget()
        except KeyringFailure as error:
            return page(services, trouble=str(error))
        return page(services, success="The key is forgotten.")

    @pages.post(f"{root}/origins/allow")
    def allow_origin() -> str:
        origin = request.form.get("origin", "")
        try:
            services.allow_origin(origin)
        except (ProxyError, OSError) as error:
            return page(services, trouble=str(error))
        return page(services, success=f"{origin} may use the proxy from now on.")

    @pages.post(f"{root}/stop")
    def stop() -> str:
        if desk.stop is None:
            raise UnknownPath
        desk.stop()
        return render_template("stopped.html")

    @pages.get("/ui/icon.png")
    def icon() -> Response:
        return Response(paths.asset("icon/icon-64.png").read_bytes(), content_type="image/png")

    @pages.get("/ui/page.css")
    def style() -> Response:
        return Response(paths.asset("pages/page.css").read_bytes(), content_type="text/css; charset=utf-8")

    @pages.post("/_tray/activate")
    def activate() -> Response:
        check_proof(desk.token, "activate")
        desk.activate()
        return link_for(desk)

    @pages.post("/_tray/link")
    def link() -> Response:
        check_proof(desk.token, "link")
        return link_for(desk)

    return pages


def page(services: Services, *, trouble: str | None = None, success: str | None = None) -> str:
    """Return the page, with what just happened."""
    return render_template(
        "home.html",
        version=__version__,
        base_url=f"http://{request.host}/v1",
        settings_warning=services.store.warning,
        upstream=services.store.current.openai_base_url if services.store.is_known else None,
        key=services.secrets.state,
        is_demo=services.store.origin("openai_api_key") == "command line",
        health=services.health.current,
        key_required=services.store.current.proxy_require_api_key,
        tools_on=services.store.current.enable_tool_execution,
        questions=services.tools.consent.questions,
        refused_origins=services.refused_origins.offered(services.store.current.proxy_allowed_origins),
        trouble=trouble,
        success=success,
    )


def for_every_page(desk: Desk) -> dict[str, Any]:
    """Return what any of the pages may show."""
    return {
        "title": TITLE,
        "command": command,
        "can_stop": desk.stop is not None,
        "form_token": g.session.form_token if "session" in g else "",
    }


def locked_out(why: str = "") -> Response:
    """Answer somebody who may not come in."""
    return Response(render_template("locked.html", why=why), 403)


def is_stranger(environ: Mapping[str, Any]) -> bool:
    """Tell whether a connection comes from another computer, or from another user of this one."""
    client, local = environ.get("REMOTE_ADDR", ""), environ["SERVER_NAME"]
    if not is_this_computer(client, local):
        return True
    return is_another_user(client, int(environ.get("REMOTE_PORT", 0)), local, int(environ["SERVER_PORT"]))


def is_own_origin() -> bool:
    """Tell whether a request comes from one of our pages, or from no page at all."""
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site", "none")
    return site in ("none", "same-origin") and origin in (None, f"http://{request.host}")


def check_proof(token: str, wish: Wish) -> None:
    """Refuse who cannot know the token as if there were nothing here; raises UnknownPath."""
    words = (wish, request.headers.get("Host", ""), request.headers.get(NONCE_HEADER, ""))
    if not is_proof(request.headers.get(PROOF_HEADER), token, *words):
        raise UnknownPath(request.path)


def link_for(desk: Desk) -> Response:
    """Answer with a link, and prove who gives it."""
    link = desk.entrance(f"http://{request.host}")
    said = proof(desk.token, request.headers.get(NONCE_HEADER, ""), link)
    return Response(link, headers={PROOF_HEADER: said}, mimetype="text/plain")
