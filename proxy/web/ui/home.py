"""Serve the first page: state of the proxy, the upstream's key, refused origins."""

import time

from flask import Blueprint, render_template, request

from proxy.errors.keyring import KeyringFailure, UnusableKey
from proxy.errors.proxy_error import ProxyError
from proxy.identity import __version__
from proxy.keys.upstream_key import clean_key, worth_keeping
from proxy.settings.taken_up import TakenUp
from proxy.web.ui.connect import lacks_key
from proxy.web.ui.dashboard import PageParts
from proxy.web.ui.keys import is_locked, unlocked

TOLD_FOR_S = 600.0  # so long the page tells of an edit of the settings file


def add_routes(pages: Blueprint, root: str, parts: PageParts) -> None:
    """Add the routes below a path; the blueprint guards them."""

    @pages.get(f"{root}/")
    def home() -> str:
        return page(parts)

    @pages.post(f"{root}/key")
    def keep_key() -> str:
        text = request.form.get("key", "")
        held = parts.secrets.state.key
        try:
            refusal = parts.try_key(clean_key(text)) if held else None
            if works := worth_keeping(refusal, held, parts.try_key):
                return page(parts, trouble=f"{refusal} The key in force {works} and was not replaced.")
            if request.form.get("where") == "session":
                parts.secrets.keep_for_session(text)
            else:
                parts.secrets.keep(text)
        except (UnusableKey, KeyringFailure) as error:
            return page(parts, trouble=str(error))
        refusal = parts.try_key(parts.secrets.state.key or "")
        return page(parts, trouble=refusal) if refusal else page(parts, success="The upstream accepts the key.")

    @pages.post(f"{root}/key/use-stored")
    def use_stored_key() -> str:
        try:
            parts.store.update(openai_key_from="keyring")
        except (ProxyError, OSError) as error:
            return page(parts, trouble=str(error))
        return page(parts, success="The stored key is in use from now on.")

    @pages.post(f"{root}/key/forget")
    def forget_key() -> str:
        try:
            parts.secrets.forget()
        except KeyringFailure as error:
            return page(parts, trouble=str(error))
        return page(parts, success="The key is forgotten.")

    @pages.post(f"{root}/key/unlock")
    def open_keyring() -> str:
        try:
            return page(parts, success=unlocked(parts))
        except KeyringFailure as error:
            return page(parts, trouble=str(error))

    @pages.post(f"{root}/origins/allow")
    def allow_origin() -> str:
        origin = request.form.get("origin", "")
        try:
            parts.allow_origin(origin)
        except (ProxyError, OSError) as error:
            return page(parts, trouble=str(error))
        return page(parts, success=f"{origin} may use the proxy from now on.")


def fresh(edit: TakenUp | None) -> str | None:
    """Return a sentence about an edit of the settings file that was applied in the last minutes."""
    return str(edit) if edit is not None and time.time() - edit.at < TOLD_FOR_S else None


def page(parts: PageParts, *, trouble: str | None = None, success: str | None = None) -> str:
    """Return the page with a message."""
    store = parts.store
    chosen = store.current.chosen_upstream
    return render_template(
        "home.html",
        version=__version__,
        base_url=f"http://{request.host}/v1",
        settings_warning=store.warning,
        newer_version=parts.newer_version(),
        settings_taken_up=fresh(store.taken_up),
        upstream=chosen if store.is_known else None,
        key=parts.secrets.state if chosen.is_first else parts.upstream_keys.of(chosen).load_once(),
        has_stored_key=parts.secrets.has_another,
        is_locked=is_locked(parts.secrets.state),
        lacks_key=lacks_key(parts),
        is_demo=store.origin("openai_api_key") == "command line",
        health=parts.health.current,
        key_required=store.current.proxy_require_api_key,
        tools_on=store.current.enable_tool_execution,
        approvals=parts.consent.questions,
        refused_origins=parts.refused_origins.offered(store.current.proxy_allowed_origins),
        trouble=trouble,
        success=success,
    )
