"""Serve the page of upstreams: choose, add, remove and test them, set keys, and find local model servers."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, render_template, request

from proxy.errors.configuration import SettingError
from proxy.errors.keyring import KeyringFailure, UnusableKey
from proxy.errors.proxy_error import ProxyError
from proxy.keys.renaming import rename
from proxy.keys.upstream_key import keep_tried
from proxy.settings.upstreams import Upstream
from proxy.web.ui.dashboard import PageParts

AUTHS = {
    "bearer": "Authorization: Bearer",
    "x-api-key": "x-api-key (Anthropic)",
    "api-key": "api-key (Azure)",
    "none": "no key",
}
Form = Mapping[str, str]
Action = Callable[["PageParts", Form], str]
FIELDS = ("base_url", "auth", "models", "fallback", "complete_url")  # of a row, each with a field in the form


def add_routes(pages: Blueprint, root: str, parts: PageParts) -> None:
    """Add the routes below a path; the blueprint guards them. They block on keyring and upstreams."""

    @pages.get(f"{root}/upstreams")
    def upstreams() -> str:
        return page(parts)

    def view(act: Action) -> Callable[[], str]:
        """Return a view that acts as its form says, and shows the page with what came of it."""

        def answer() -> str:
            try:
                return page(parts, success=act(parts, request.form))
            except (ProxyError, OSError, TrialFailed) as error:
                return page(parts, trouble=str(error), form=request.form)

        return answer

    for name, act in ACTIONS.items():
        pages.add_url_rule(f"{root}/upstreams/{name}", f"{name}_upstream", view(act), methods=["POST"])

    @pages.post(f"{root}/upstreams/find")
    def find_upstreams() -> str:
        found = parts.find_local()
        return page(parts, success=None if found else "No other model server answers on its usual port.", found=found)


class TrialFailed(Exception):
    """An upstream does not answer as it should; the words are those of each step."""


def use(parts: PageParts, form: Form) -> str:
    """Choose an upstream."""
    row = named(parts, form.get("name", ""))
    parts.store.update(proxy_upstream=None if row.is_first else row.name)
    return f"Requests go to {row.name} from now on."


def add(parts: PageParts, form: Form) -> str:
    """Add an upstream, with its key where one is given."""
    row = row_of(form)
    parts.store.update(proxy_upstreams=lambda rows: [*rows, row])
    key = form.get("key", "").strip()
    if key:
        parts.upstream_keys.of(named(parts, row["name"])).keep(key)
    return f"{row['name']} is added."


def edit(parts: PageParts, form: Form) -> str:
    """Change all of an upstream but its name."""
    before = named(parts, form.get("name", ""))
    row = {**row_of(form), **more_of(form)}
    parts.store.update(proxy_upstreams=lambda rows: [row if each.name == before.name else each for each in rows])
    after = named(parts, before.name)
    needs_key = after.auth != "none" and not after.is_local and parts.upstream_keys.of(after).load().key is None
    asks = " It is another server now, and is not shown the key of the one before: enter its key."
    return f"{before.name} is changed.{asks if needs_key and after.origin != before.origin else ''}"


def give_name(parts: PageParts, form: Form) -> str:
    """Give an upstream another name; its key goes with it."""
    return rename(parts.store, parts.upstream_keys, form.get("name", ""), form.get("new_name", "").strip())


def move(parts: PageParts, form: Form) -> str:
    """Move an upstream up or down."""
    row = named(parts, form.get("name", ""))
    step = 1 if form.get("to") == "down" else -1
    parts.store.update(proxy_upstreams=lambda rows: moved(rows, row.name, step))
    return f"{row.name} is moved {'down' if step > 0 else 'up'}."


def remove(parts: PageParts, form: Form) -> str:
    """Remove an upstream and its key."""
    row = named(parts, form.get("name", ""))
    changes: dict[str, Any] = {"proxy_upstream": None} if parts.store.current.proxy_upstream == row.name else {}
    parts.store.update(proxy_upstreams=lambda rows: [each for each in rows if each.name != row.name], **changes)
    try:
        parts.upstream_keys.of(row).forget()
    except KeyringFailure as failure:
        return f"{row.name} is removed. Its key may still be in the keyring: {failure}"
    return f"{row.name} is removed, and its key."


def keep_alias(parts: PageParts, form: Form) -> str:
    """Keep an alias, or remove it where it has no targets."""
    name = form.get("alias", "").strip()
    targets = [part for part in form.get("targets", "").replace(",", " ").split() if part]

    def with_alias(held: dict[str, Any]) -> dict[str, Any]:
        others = {each: list(chain) for each, chain in held.items() if each != name}
        return {**others, name: targets} if targets else others

    parts.store.update(proxy_aliases=with_alias)
    return f"The alias {name} is {'kept' if targets else 'removed'}."


def keep_key(parts: PageParts, form: Form) -> str:
    """Try a key and keep it, unless the one in force fares better."""
    row = named(parts, form.get("name", ""))
    refusal = keep_tried(parts.upstream_keys.of(row), form.get("key", ""), lambda key: parts.try_upstream(row, key))
    return f"The key of {row.name} is kept. {refusal or 'The upstream accepts it.'}"


def test(parts: PageParts, form: Form) -> str:
    """Ask an upstream for its models and a chat; raises TrialFailed where one of them fails."""
    row = named(parts, form.get("name", ""))
    steps = parts.try_out(row, form.get("model", "").strip() or None)
    words = f"{row.name} {'; '.join(map(str, steps))}."
    if not all(step.is_good for step in steps):
        raise TrialFailed(words)
    return words


# By the last part of their addresses. Each returns what it has done, and raises ProxyError, OSError and TrialFailed.
ACTIONS: dict[str, Action] = {
    "use": use,
    "add": add,
    "edit": edit,
    "rename": give_name,
    "move": move,
    "remove": remove,
    "alias": keep_alias,
    "key": keep_key,
    "test": test,
}


def states(parts: PageParts) -> dict[str, str]:
    """Return the state of each upstream in words."""
    return {row.name: str(parts.state_of(row)) for row in parts.store.current.upstreams}


def row_of(form: Any) -> dict[str, Any]:
    """Return the upstream in a form, as a row of the settings."""
    words = {name: form.get(name, "").strip() for name in ("name", "base_url", "auth")}
    models = [model for model in form.get("models", "").replace(",", " ").split() if model]
    fallback = [name for name in form.get("fallback", "").replace(",", " ").split() if name]
    row = {**words, "models": models, "fallback": fallback, "complete_url": "complete_url" in form}
    return {name: value for name, value in row.items() if value}


def more_of(form: Any) -> dict[str, Any]:
    """Return the rest of a row, which a form holds as JSON; raises SettingError."""
    text = form.get("more", "").strip()
    try:
        more = json.loads(text) if text else {}
    except (ValueError, RecursionError) as error:
        raise SettingError(f"PROXY_UPSTREAMS: what is written under More is no JSON ({error})") from error
    if not isinstance(more, dict) or set(more) & {"name", *FIELDS}:
        raise SettingError("PROXY_UPSTREAMS: More holds a JSON object of what has no field of its own")
    return more


def moved(rows: tuple[Upstream, ...], name: str, step: int) -> list[Upstream]:
    """Return the table with a row moved up or down by one; at an end it stays."""
    ordered = list(rows)
    at = next((place for place, each in enumerate(ordered) if each.name == name), None)
    if at is not None and 0 <= at + step < len(ordered):
        ordered[at], ordered[at + step] = ordered[at + step], ordered[at]
    return ordered


def more_text(row: Upstream) -> str:
    """Return as JSON what of a row has no field of its own in the form, "" for nothing."""
    more = {name: value for name, value in row.table().items() if name not in ("name", *FIELDS)}
    return json.dumps(more, ensure_ascii=False) if more else ""


def named(parts: PageParts, name: str) -> Upstream:
    """Return the upstream with a name; raises UnusableKey."""
    upstream = parts.store.current.upstream_named(name)
    if upstream is None:
        raise UnusableKey(f"there is no upstream {name!r}")
    return upstream


def page(
    parts: PageParts, *, trouble: str | None = None, success: str | None = None, found: Any = None, form: Any = None
) -> str:
    """Return the page with a message."""
    settings = parts.store.current
    rows = [
        {
            "row": row,
            "is_chosen": row is settings.chosen_upstream,
            "key": parts.upstream_keys.of(row).state,
            "state": parts.state_of(row),
            "more": more_text(row),
        }
        for row in settings.upstreams
    ]
    return render_template(
        "upstreams.html",
        rows=rows,
        aliases=settings.proxy_aliases,
        aliases_fixed_by=parts.store.fixed_by("proxy_aliases"),
        learned=parts.learned(),
        auths=AUTHS,
        fixed_by=parts.store.fixed_by("proxy_upstreams"),
        choice_fixed_by=parts.store.fixed_by("proxy_upstream"),
        found=found or [],
        form=form or {},
        trouble=trouble,
        success=success,
    )
