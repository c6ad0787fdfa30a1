"""Serve the settings as JSON: each with meaning, value and origin; changes are checked and made one by one."""

import json
from functools import partial
from typing import Any

from flask import Blueprint

from proxy.capture.hiding import Hide
from proxy.errors.proxy_error import ProxyError
from proxy.exchange.rules import preview
from proxy.settings.model import Settings, about, shown, variable
from proxy.settings.store import SettingsStore
from proxy.web.ui.json_api import Answered, object_answer, sent_object

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Upstream", ("openai_base", "openai_time", "openai_max", "openai_org", "openai_pro", "openai_ca", "proxy_ups")),
    ("Models and parameters", ("proxy_aliases", "openai_param", "openai_stream", "proxy_repair")),
    ("Who may call", ("openai_api", "proxy_require", "proxy_api", "proxy_forward", "allow_un", "proxy_allowed")),
    ("Tools", ("enable_tool", "function_tools", "tool_")),
    (
        "Usage and requests",
        ("proxy_usage", "proxy_prices", "proxy_daily", "proxy_monthly", "proxy_key_l", "proxy_capture"),
    ),
    ("Server", ("",)),  # the rest
)


def add_routes(pages: Blueprint, root: str, store: SettingsStore, hide: Hide) -> None:
    """Add the routes below a path; the blueprint guards them, and they wait in a worker thread."""
    answer = partial(object_answer, hide=hide)

    @pages.get(f"{root}/api/settings")
    def settings() -> Answered:
        edit = store.taken_up
        taken_up = None if edit is None else {"text": str(edit), "at": edit.at}
        rows = [row(store, field) for field in in_order()]
        return answer(file=str(store.path), warning=store.warning, taken_up=taken_up, settings=rows)

    @pages.post(f"{root}/api/settings/<field>")
    def change_setting(field: str) -> Answered:
        """Take `{"value": …}`; null is the default."""
        wanted = sent_object()
        if "value" not in wanted:
            return answer(400, error="The value is missing.")
        try:
            store.update(**{field: wanted["value"]})
        except (ProxyError, OSError) as error:
            return answer(400, error=str(error))
        return answer(**row(store, field))

    @pages.post(f"{root}/api/try-rules")
    def try_rules() -> Answered:
        """Take a body as `{"body": "…"}` and return what the parameter rules make of it."""
        body = sent_object().get("body")
        try:
            fields = json.loads(body) if isinstance(body, str) else None
        except (ValueError, RecursionError) as error:
            return answer(400, error=f"This is no JSON: {error}")
        if not isinstance(fields, dict):
            return answer(400, error="The body must be a JSON object.")
        sent, changes = preview(store.current, str(body).encode("utf-8", "replace"), fields)
        return answer(sent=sent.decode("utf-8", "replace"), changed=sorted(changes))


def in_order() -> list[str]:
    """Return the settings' names, group by group."""
    return sorted(Settings.model_fields, key=lambda field: [name for name, _ in GROUPS].index(group_of(field)))


def group_of(field: str) -> str:
    """Return the heading of a setting's group."""
    return next(name for name, beginnings in GROUPS if field.startswith(beginnings))


def row(store: SettingsStore, field: str) -> dict[str, Any]:
    """Return a setting's row on the page; of a key, only whether it is set."""
    told, fixed_by = about(field), store.fixed_by(field)
    default = Settings.model_fields[field].default
    reason = f"Set by the {fixed_by}, and changed there" if fixed_by else None
    if told.secret:
        reason = "A key: it is kept in the system's keyring or the environment, and never shown"
    return {
        "name": field,
        "variable": variable(field),
        "group": group_of(field),
        "meaning": told.meaning,
        "expects": told.expects,
        "kind": kind_of(field, default),
        "value": None if told.secret else plain(store.current, field),
        "shown": shown(field, store.current),
        "default": None if told.secret else json_of(default),
        "origin": store.origin(field),
        "fixed": reason,
        "moves_server": told.restart,
    }


def kind_of(field: str, default: object) -> str:
    """Return a setting's kind of input: switch, number, list, json, level or text."""
    if field == "proxy_log_level":
        return "level"
    if isinstance(default, bool):
        return "switch"
    if isinstance(default, int | float):
        return "number"
    if isinstance(default, dict) or field == "proxy_upstreams":
        return "json"
    return "list" if isinstance(default, tuple) else "text"


def plain(settings: Settings, field: str) -> Any:
    """Return a setting's value as a JSON value."""
    if field == "proxy_upstreams":
        return [each.table() for each in settings.proxy_upstreams]
    return json_of(getattr(settings, field))


def json_of(value: object) -> Any:
    """Return a value with lists for tuples."""
    return json.loads(json.dumps(value, default=str))
