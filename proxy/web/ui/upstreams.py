"""The page of upstreams: choose, add, remove and test them, give each its key, and find those on this computer."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, render_template, request

from proxy.errors.keyring import KeyringFailure, UnusableKey
from proxy.errors.proxy_error import ProxyError
from proxy.settings.upstreams import Upstream
from proxy.web.ui.dashboard import PageParts


def add_routes(pages: Blueprint, root: str, parts: PageParts) -> None:
    """Add the routes below a path; the blueprint guards them. They wait for keyring and upstreams."""
    store = parts.store

    def answer(change: Callable[[], str], found: Any = None) -> str:
        """Make a change and return the page with what came of it."""
        try:
            return page(parts, success=change(), found=found)
        except (ProxyError, OSError) as error:
            return page(parts, trouble=str(error), form=request.form)

    @pages.get(f"{root}/upstreams")
    def upstreams() -> str:
        return page(parts)

    @pages.post(f"{root}/upstreams/use")
    def use_upstream() -> str:
        def use() -> str:
            row = named(parts, request.form.get("name", ""))
            store.update(proxy_upstream=None if row.is_first else row.name)
            return f"Requests go to {row.name} from now on."

        return answer(use)

    @pages.post(f"{root}/upstreams/add")
    def add_upstream() -> str:
        def add() -> str:
            row = row_of(request.form)
            store.update(proxy_upstreams=lambda rows: replaced(rows, row))
            key = request.form.get("key", "").strip()
            if key:
                parts.upstream_keys.of(named(parts, row["name"])).keep(key)
            return f"{row['name']} is added."

        return answer(add)

    @pages.post(f"{root}/upstreams/remove")
    def remove_upstream() -> str:
        def remove() -> str:
            row = named(parts, request.form.get("name", ""))
            changes: dict[str, Any] = {"proxy_upstream": None} if store.current.proxy_upstream == row.name else {}
            store.update(proxy_upstreams=lambda rows: [each for each in rows if each.name != row.name], **changes)
            try:
                parts.upstream_keys.of(row).forget()
            except KeyringFailure as failure:
                return f"{row.name} is removed. Its key may still be in the keyring: {failure}"
            return f"{row.name} is removed, and its key."

        return answer(remove)

    @pages.post(f"{root}/upstreams/key")
    def keep_upstream_key() -> str:
        def keep() -> str:
            row = named(parts, request.form.get("name", ""))
            refusal = parts.try_upstream(row, request.form.get("key", ""))
            if refusal is not None and parts.upstream_keys.of(row).state.key is not None:
                raise UnusableKey(f"{refusal} The key that is stored stays")  # it may be a good one
            parts.upstream_keys.of(row).keep(request.form.get("key", ""))
            return f"The key of {row.name} is kept. {refusal or 'The upstream accepts it.'}"

        return answer(keep)

    @pages.post(f"{root}/upstreams/test")
    def test_upstream() -> str:
        row = named(parts, request.form.get("name", ""))
        refusal = parts.try_upstream(row, None)
        words = f"{row.name}: {refusal or 'accepts the key and lists its models.'}"
        return page(parts, trouble=words) if refusal else page(parts, success=words)

    @pages.post(f"{root}/upstreams/find")
    def find_upstreams() -> str:
        known = {row.base_url for row in store.current.upstreams}
        found = [each for each in parts.find_local() if each.base_url not in known]
        return page(parts, success=None if found else "No other model server answers on its usual port.", found=found)


def states(parts: PageParts) -> dict[str, str]:
    """Return in words how each upstream is doing."""
    return {row.name: str(parts.state_of(row)) for row in parts.store.current.upstreams}


def row_of(form: Any) -> dict[str, Any]:
    """Return what a form says of an upstream, as the settings hold it."""
    words = {name: form.get(name, "").strip() for name in ("name", "base_url", "auth")}
    models = [model for model in form.get("models", "").replace(",", " ").split() if model]
    fallback = [name for name in form.get("fallback", "").replace(",", " ").split() if name]
    row = {**words, "models": models, "fallback": fallback, "complete_url": "complete_url" in form}
    return {name: value for name, value in row.items() if value}


def replaced(rows: tuple[Upstream, ...], row: dict[str, Any]) -> list[Any]:
    """Return the table with a row added, or in the place of the one of its name; what the form lacks stays."""
    before = next((each for each in rows if each.name == row.get("name")), None)
    if before is None:
        return [*rows, row]
    kept = {name: value for name, value in before.table().items() if name not in ("models", "fallback", "complete_url")}
    return [{**kept, **row} if each is before else each for each in rows]


def named(parts: PageParts, name: str) -> Upstream:
    """Return the upstream of a name; raises UnusableKey."""
    upstream = parts.store.current.upstream_named(name)
    if upstream is None:
        raise UnusableKey(f"there is no upstream {name!r}")
    return upstream


def page(
    parts: PageParts, *, trouble: str | None = None, success: str | None = None, found: Any = None, form: Any = None
) -> str:
    """Return the page, with what just happened."""
    settings = parts.store.current
    rows = [
        {
            "row": row,
            "is_chosen": row is settings.chosen_upstream,
            "key": parts.upstream_keys.of(row).state,
            "state": parts.state_of(row),
        }
        for row in settings.upstreams
    ]
    return render_template(
        "upstreams.html",
        rows=rows,
        aliases=settings.proxy_aliases,
        learned=parts.learned(),
        fixed_by=parts.store.fixed_by("proxy_upstreams"),
        choice_fixed_by=parts.store.fixed_by("proxy_upstream"),
        found=found or [],
        form=form or {},
        trouble=trouble,
        success=success,
    )
