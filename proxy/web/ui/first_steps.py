"""Serve the first steps as JSON: choose a provider, try and store its key, send a test request."""

import json
import re
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint

from proxy.errors.keyring import KeyringFailure, UnusableKey
from proxy.errors.proxy_error import ProxyError
from proxy.keys.upstream_key import clean_key, worth_keeping
from proxy.settings.parsing import is_loopback, parse_upstream_url
from proxy.settings.upstreams import Upstream
from proxy.web.exchange_response import ExchangeResponse
from proxy.web.ui.connect import lacks_key, target_of
from proxy.web.ui.dashboard import PageParts
from proxy.web.ui.json_api import Answered, object_answer, sent_object
from proxy.web.ui.providers import PROVIDERS

MAX_MODEL = 256  # characters
QUESTION = "Say hello in one short sentence, and name one thing you can help a programmer with."


class NotAccepted(Exception):
    """The provider refused the key or was not reached; nothing was stored."""

    def __init__(self, words: str, *, may_keep: bool) -> None:
        super().__init__(words)
        self.may_keep = may_keep  # no key that works would be lost


def add_routes(pages: Blueprint, root: str, parts: PageParts) -> None:
    """Add the routes below a path; the blueprint guards them. They block on keyring and upstream."""
    answer = partial(object_answer, hide=parts.requests.hide)

    @pages.get(f"{root}/api/first")
    def first() -> Answered:
        return answer(**state_of(parts))

    @pages.post(f"{root}/api/first/provider")
    def choose_provider() -> Answered:
        """Take `{"provider", "base_url", "key", "where", "anyway"}`; try it, then keep it and use it."""
        wanted = sent_object()
        try:
            said = use(parts, row_of(wanted), wanted)
        except NotAccepted as refusal:
            return answer(409, error=str(refusal), may_keep=refusal.may_keep)
        except (UnusableKey, KeyringFailure, ProxyError, ValueError, OSError) as error:
            return answer(400, error=str(error))
        return answer(said=said, **state_of(parts))

    @pages.get(f"{root}/api/first/models")
    def models() -> Answered:
        return answer(models=list(target_of(parts).models))

    @pages.post(f"{root}/api/first/test")
    def test_request() -> ExchangeResponse | Answered:
        """Send a short chat to `{"model"}` through the whole pipeline; the answer streams as any client's does."""
        model = sent_object().get("model")
        if not isinstance(model, str) or not 0 < len(model.strip()) <= MAX_MODEL:
            return answer(400, error="Choose a model first.")
        body = {"model": model.strip(), "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
        return ExchangeResponse(parts.chat(json.dumps(body).encode()))


def state_of(parts: PageParts) -> dict[str, Any]:
    """Return the initial state of the first steps."""
    settings = parts.store.current
    chosen = settings.chosen_upstream
    key = parts.upstream_keys.of(chosen).state
    return {
        "is_demo": parts.store.origin("openai_api_key") == "command line",
        "needs_key": lacks_key(parts),
        "problem": str(key.problem) if key.problem else None,
        "upstream": {"name": chosen.name, "base_url": chosen.base_url, "key": str(key)},
        "fixed_by": parts.store.fixed_by("proxy_upstream") or parts.store.fixed_by("proxy_upstreams"),
        "providers": [
            {
                "name": each.name,
                "title": each.title,
                "base_url": each.base_url,
                "about": each.about,
                "keys_url": each.keys_url,
                "needs_key": each.auth != "none",
            }
            for each in PROVIDERS
        ],
    }


def row_of(wanted: dict[str, Any]) -> Upstream:
    """Return the requested upstream; raises ValueError with a sentence."""
    known = next((each for each in PROVIDERS if each.name == wanted.get("provider")), None)
    if known is not None:
        return Upstream(name=known.name, base_url=known.base_url, auth=known.auth)
    address = wanted.get("base_url")
    host = urlsplit(address.strip()).hostname if isinstance(address, str) else None
    if not isinstance(address, str) or not host:
        raise ValueError("Write the provider's address, as https://api.example.com/v1.")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", host).strip("-")[:64]
    return Upstream(name=name, base_url=parse_upstream_url(address.strip()))


def known_as(parts: PageParts, row: Upstream) -> Upstream:
    """Return the equal upstream of the settings, else this one, so that OPENAI_BASE_URL's keeps its place."""
    return next((each for each in parts.store.current.upstreams if each.base_url == row.base_url), row)


def use(parts: PageParts, row: Upstream, wanted: dict[str, Any]) -> str:
    """Try an upstream and its key, store both, and return a message; raises NotAccepted, with nothing changed."""
    row = known_as(parts, row)
    secrets = parts.upstream_keys.of(row)
    text = wanted.get("key")
    is_local = is_loopback(urlsplit(row.base_url).hostname or "")
    key = clean_key(text) if isinstance(text, str) and text.strip() else None
    held = secrets.load_once().key
    if key is None and held is None and not is_local and row.auth != "none":
        raise UnusableKey("paste the provider's key")
    refusal = parts.try_upstream(row, key)
    works = worth_keeping(refusal, held if key is not None else None, lambda old: parts.try_upstream(row, old))
    if refusal is not None and (works or wanted.get("anyway") is not True):
        stays = f" The key in force {works} and was not replaced." if works else ""
        raise NotAccepted(refusal + stays, may_keep=not works)
    for field in () if row.is_first else ("proxy_upstreams", "proxy_upstream"):
        if fixed_by := parts.store.fixed_by(field):
            raise UnusableKey(f"which upstream is asked is fixed by the {fixed_by}, and changed there")
    settings = parts.store.current
    if any(each.name == row.name for each in settings.upstreams) and row not in settings.upstreams:
        raise UnusableKey(f"there is an upstream {row.name!r} with another address; change it under Upstreams")
    if key is not None and wanted.get("where") == "session":
        secrets.keep_for_session(key)
    elif key is not None:
        secrets.keep(key)
    put_in_use(parts, row)
    accepted = "answers" if key is None else "accepts the key"
    return f"{title_of(row)} {accepted}." if refusal is None else f"It is kept. {refusal}"


def put_in_use(parts: PageParts, row: Upstream) -> None:
    """Send requests to an upstream from now on; raises SettingError, OSError."""
    if row.is_first:
        if parts.store.current.proxy_upstream is not None:
            parts.store.update(proxy_upstream=None)
        return
    table = row.table()
    parts.store.update(
        proxy_upstreams=lambda rows: rows if any(each.name == row.name for each in rows) else [*rows, table],
        proxy_upstream=row.name,
    )


def title_of(row: Upstream) -> str:
    """Return an upstream's title for display."""
    return next((each.title for each in PROVIDERS if each.base_url == row.base_url), row.name)
