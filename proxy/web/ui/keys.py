"""Serve keys, refused origins and learned repairs as JSON. No key is shown, except a proxy key when it is made."""

import json
from functools import partial
from typing import Any

from flask import Blueprint, Response

from proxy.errors.keyring import KeyringFailure, KeyringLocked, ProxyKeyTrouble, UnusableKey
from proxy.errors.proxy_error import ProxyError
from proxy.keys.upstream_key import KeyState, keep_tried
from proxy.settings.upstreams import Upstream
from proxy.web.ui.dashboard import PageParts
from proxy.web.ui.json_api import Answered, object_answer, sent_object
from proxy.web.ui.upstreams import named


def add_routes(pages: Blueprint, root: str, parts: PageParts) -> None:
    """Add the routes below a path; the blueprint guards them. They block on the keyring and the upstreams."""
    answer = partial(object_answer, hide=parts.requests.hide)

    def changed(work: Any) -> Answered:
        """Run an action, and return its message and the new state."""
        try:
            said = work(sent_object())
        except (ProxyError, KeyringFailure, UnusableKey, ProxyKeyTrouble, OSError) as error:
            return answer(400, error=str(error))
        return answer(said=said, **state_of(parts))

    @pages.get(f"{root}/api/keys")
    def keys() -> Answered:
        return answer(**state_of(parts))

    @pages.post(f"{root}/api/keys/try")
    def try_key() -> Answered:
        """Try the upstream `{"name"}` with its stored key."""
        return changed(lambda wanted: tried(parts, upstream_of(parts, wanted)))

    @pages.post(f"{root}/api/keys/set")
    def set_key() -> Answered:
        """Try and store `{"name", "key"}`, unless it would replace a working key by one that fails."""
        return changed(lambda wanted: kept(parts, upstream_of(parts, wanted), text_of(wanted, "key")))

    @pages.post(f"{root}/api/keys/forget")
    def forget_upstream_key() -> Answered:
        return changed(lambda wanted: forgotten(parts, upstream_of(parts, wanted)))

    @pages.post(f"{root}/api/keys/unlock")
    def unlock_keyring() -> Answered:
        return changed(lambda _: unlocked(parts))

    @pages.post(f"{root}/api/keys/proxy/new")
    def new_proxy_key() -> Answered:
        """Make a proxy key named `{"name"}`; only this answer holds it."""
        try:
            made = parts.proxy_keys.new(text_of(sent_object(), "name"))
        except (ProxyKeyTrouble, KeyringFailure) as error:
            return answer(400, error=str(error))
        told = {"name": made.name, "key": made.key}
        return Response(json.dumps(told), content_type="application/json"), 200

    @pages.post(f"{root}/api/keys/proxy/revoke")
    def revoke_proxy_key() -> Answered:
        def revoke(wanted: dict[str, Any]) -> str:
            name = text_of(wanted, "name")
            parts.proxy_keys.revoke(name)
            return f"{name} opens the proxy no more."

        return changed(revoke)

    @pages.post(f"{root}/api/origins/allow")
    def let_origin_in() -> Answered:
        def allow(wanted: dict[str, Any]) -> str:
            origin = text_of(wanted, "origin")
            parts.allow_origin(origin)
            return f"{origin} may use the proxy from now on."

        return changed(allow)

    @pages.post(f"{root}/api/learned/forget")
    def forget_learned() -> Answered:
        return changed(lambda _: f"Forgotten: {parts.forget_learned()}.")


def text_of(wanted: dict[str, Any], name: str) -> str:
    """Return a member that is a text, "" for anything else."""
    value = wanted.get(name)
    return value if isinstance(value, str) else ""


def upstream_of(parts: PageParts, wanted: dict[str, Any]) -> Upstream:
    """Return the upstream that is named; raises UnusableKey."""
    return named(parts, text_of(wanted, "name"))


def state_of(parts: PageParts) -> dict[str, Any]:
    """Return the state of the page: names and states, no keys."""
    settings = parts.store.current
    made = {key.name: key.made for key in parts.proxy_keys.made}
    return {
        "upstreams": [key_row(parts, row) for row in settings.upstreams],
        "proxy_keys": [
            {"name": key.name, "made": made.get(key.name, ""), "is_fixed": key.name not in made}
            for key in parts.proxy_keys.current
        ],
        "is_required": settings.proxy_require_api_key,
        "refused_origins": parts.refused_origins.offered(settings.proxy_allowed_origins),
        "learned": parts.learned(),
    }


def key_row(parts: PageParts, row: Upstream) -> dict[str, Any]:
    """Return the state of an upstream's key."""
    state = parts.upstream_keys.of(row).state
    return {
        "name": row.name,
        "base_url": row.base_url,
        "is_set": state.key is not None,
        "state": "none is sent" if row.auth == "none" else str(state),
        "is_locked": is_locked(state),
        "needs_key": row.auth != "none",
        "is_fixed": state.source == "environment",
    }


def is_locked(state: KeyState) -> bool:
    """Tell whether a key cannot be read because nobody has unlocked the keyring."""
    return isinstance(state.problem, KeyringLocked)


def unlocked(parts: PageParts) -> str:
    """Read each key anew that a locked keyring holds; it asks its user, who may take long. Raises KeyringFailure."""
    for row in parts.store.current.upstreams:
        secrets = parts.upstream_keys.of(row)
        if is_locked(secrets.state) and (problem := secrets.load().problem) is not None:
            raise problem
    return "The keyring is open, and the keys in it have been read."


def tried(parts: PageParts, row: Upstream) -> str:
    """Return a sentence that the key works; raises UnusableKey with the upstream's reason."""
    refusal = parts.try_upstream(row, None)
    if refusal is not None:
        raise UnusableKey(f"{row.name}: {refusal}")
    return f"{row.name} accepts the key and lists its models."


def kept(parts: PageParts, row: Upstream, text: str) -> str:
    """Store a tried key, and return a message; raises UnusableKey, KeyringFailure."""
    refusal = keep_tried(parts.upstream_keys.of(row), text, lambda key: parts.try_upstream(row, key))
    return f"The key of {row.name} is kept. {refusal or 'The upstream accepts it.'}"


def forgotten(parts: PageParts, row: Upstream) -> str:
    """Delete a key; raises KeyringFailure."""
    parts.upstream_keys.of(row).forget()
    return f"The key of {row.name} is forgotten."
