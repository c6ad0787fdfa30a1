"""Serve the page on which client programs are connected, observed and disconnected."""

import time
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request

from proxy import paths
from proxy.clients.client import ANY_KEY, Client, Target
from proxy.clients.connection import Connections, Record
from proxy.clients.models import chat_models
from proxy.clients.seen import request_words
from proxy.clients.table import BY_NAME, CLIENTS, IMPOSSIBLE
from proxy.command import as_typed
from proxy.errors.configuration import ClientFileRefused, ClientUnknown
from proxy.errors.keyring import KeyringFailure, ProxyKeyTrouble
from proxy.errors.proxy_error import ProxyError
from proxy.usage import summaries
from proxy.web.ui.dashboard import PageParts

SHOWN_KEY = "YOUR_PROXY_KEY"
SEEN_WITHIN_S = 86_400.0


def add_routes(pages: Blueprint, root: str, parts: PageParts) -> None:
    """Add the routes below a path; the blueprint guards them. They block on the keyring and the upstream's models."""
    connections = Connections(paths.connected_clients_dir)

    def answer(act: Any, name: str) -> str:
        """Run an action for a client and return the page with its result."""
        try:
            client = BY_NAME.get(name)
            if client is None:
                raise ClientUnknown(f"there is no {name!r}")
            return page(parts, connections, opened=name, success=act(client))
        except ProxyError as error:
            return page(parts, connections, opened=name, trouble=str(error))

    @pages.get(f"{root}/connect")
    def connect() -> str:
        return page(parts, connections, opened=request.args.get("client", ""))

    @pages.get(f"{root}/api/connect")
    def clients_seen() -> Response:
        """Return the last request of each client; a page that waits for a first request polls it."""
        seen = recently_seen(parts)
        words = {}
        for client in CLIENTS:
            with suppress(ClientFileRefused):
                words[client.name] = seen_words(client, connections.record(client), seen)
        return jsonify(seen=words)

    @pages.post(f"{root}/connect/<name>")
    def do_connect(name: str) -> str:
        def write(client: Client) -> str:
            plan = connections.plan(client, target_of(parts))
            if plan.seen != request.form.get("seen"):
                raise ClientFileRefused(f"{plan.path} has changed since it was shown; look at the lines again")
            key = own_key(parts, client)
            plan = connections.plan(client, target_of(parts, key))
            if plan.seen != request.form.get("seen"):
                raise ClientFileRefused(f"{plan.path} has changed meanwhile; look at the lines again")
            connections.connect(client, plan, client.title if key else None)
            steps = client.steps.replace("`", "")  # marks of code, which a message shows as they are
            return f"{client.title} is connected. {steps}"

        return answer(write, name)

    @pages.post(f"{root}/connect/<name>/undo")
    def undo_connect(name: str) -> str:
        def undo(client: Client) -> str:
            record, plan = connections.record(client), connections.undo_plan(client)
            if record is None or plan is None:
                return f"{client.title} is not connected."
            if plan.seen != request.form.get("seen"):
                raise ClientFileRefused(f"{plan.path} has changed since it was shown; look at the lines again")
            connections.undo(client, plan)
            kept = "".join(f" {name} was changed by you, and stays." for name in plan.kept)
            return f"{client.title} is disconnected.{kept}{revoked(parts, record.key_name)}"

        return answer(undo, name)


def own_key(parts: PageParts, client: Client) -> str | None:
    """Return the client's own proxy key, None if none is required; raises KeyringFailure, ProxyKeyTrouble."""
    if not parts.store.current.proxy_require_api_key:
        return None
    parts.proxy_keys.read()
    held = next((each.key for each in parts.proxy_keys.made if each.name == client.title), None)
    return held or parts.proxy_keys.new(client.title).key


def revoked(parts: PageParts, key_name: str | None) -> str:
    """Revoke a client's key and say so."""
    try:
        if key_name is not None:
            parts.proxy_keys.revoke(key_name)
            return " Its key is revoked."
    except ProxyKeyTrouble:
        pass  # it was revoked by hand
    except KeyringFailure as failure:
        return f" Its key is still valid: {failure}"
    return ""


def target_of(parts: PageParts, key: str | None = None) -> Target:
    """Return the target for clients: this proxy, at the address of the page."""
    address, port = request.environ["SERVER_NAME"], request.environ["SERVER_PORT"]  # a Host header may lead elsewhere
    base_url = f"http://{f'[{address}]' if ':' in address else address}:{port}/v1"
    is_asked_for = parts.store.current.proxy_require_api_key
    some_key = next((each.key for each in parts.proxy_keys.current), ANY_KEY)
    models = chat_models(base_url, some_key if is_asked_for else ANY_KEY)
    return Target(base_url, key or (SHOWN_KEY if is_asked_for else ANY_KEY), models)


def row_of(client: Client, target: Target, connections: Connections, seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a client's row on the page."""
    row: dict[str, Any] = {"client": client, "snippet": client.snippet(target), "steps": as_typed(client.steps)}
    row["lacks_model"] = client.file is not None and client.file.needs_model and not target.models
    try:
        row["record"] = record = connections.record(client)
        row["seen"] = seen_words(client, record, seen)
        if client.file is None:
            return row
        row["undo"] = connections.undo_plan(client)
        row["plan"] = None if row["record"] else connections.plan(client, target)
    except ClientFileRefused as error:
        row["trouble"] = str(error)
    return row


def seen_words(client: Client, record: Record | None, seen: list[dict[str, Any]]) -> str | None:
    """Return a client's last request in words; a connection is proved only by a later request."""
    own = next((each for each in seen if client.is_own(each["client"], each["key_name"])), None)
    is_proof = own is not None and (record is None or own["began_at"] >= record.at)
    return request_words(own) if own and is_proof else None


def recently_seen(parts: PageParts) -> list[dict[str, Any]]:
    """Return the last request of each client of the last day."""
    try:
        return summaries.last_by_client(parts.ledger_file, time.time() - SEEN_WITHIN_S)
    except summaries.LedgerUnreadable:
        return []


def lacks_key(parts: PageParts) -> bool:
    """Return whether the upstream in use lacks a key it needs."""
    chosen = parts.store.current.chosen_upstream
    needs_one = not chosen.is_local and chosen.auth != "none"
    return needs_one and parts.upstream_keys.of(chosen).state.key is None


def page(
    parts: PageParts,
    connections: Connections,
    *,
    opened: str = "",
    trouble: str | None = None,
    success: str | None = None,
) -> str:
    """Return the page, with what just happened."""
    target, seen = target_of(parts), recently_seen(parts)
    return render_template(
        "connect.html",
        rows=[row_of(client, target, connections, seen) for client in CLIENTS],
        target=target,
        impossible=IMPOSSIBLE,
        lacks_key=lacks_key(parts),
        key_required=parts.store.current.proxy_require_api_key,
        opened=opened,
        trouble=trouble,
        success=success,
    )
