"""The command line's `upstream` group: list, add, remove, rename, choose, find and test upstreams."""

import sys
from typing import TYPE_CHECKING, Any

import click

from proxy import paths, running
from proxy.cli.terminal import log_silent, say
from proxy.command import command
from proxy.errors.configuration import SettingError
from proxy.errors.keyring import KeyringAbsent, KeyringFailure

if TYPE_CHECKING:
    from proxy.services import Services
    from proxy.settings.upstreams import Upstream


@click.group()
def upstream() -> None:
    """Choose where requests go: list, add, remove, rename, use, find, test."""


@upstream.command("list")
def list_upstreams() -> None:
    """List the upstreams; the chosen one is marked, and a running proxy says how each is doing."""
    with log_silent():  # the lines say it
        services = assembled()
        for row in services.store.current.upstreams:
            services.upstream_keys.of(row).load()
    settings = services.store.current
    states = running.upstream_states(paths.runtime_dir(), settings.proxy_port)
    for row in settings.upstreams:
        mark = "*" if row is settings.chosen_upstream else " "
        models = ", ".join(row.models)
        falls = f"falls back to {', '.join(row.fallback)}" if row.fallback else ""
        state = states.get(row.name, "")
        facts = "  ".join(part for part in (models, falls, key_words(services, row), state) if part)
        say(f"{mark} {row.name:15} {row.base_url:45} {facts}")
    for name, targets in settings.proxy_aliases.items():
        say(f"  {name:15} alias of {', then '.join(targets)}")
    for learned in services.learned.described_repairs():
        say(f"  learned: {learned}")


@upstream.command("add")
@click.argument("name")
@click.argument("base_url")
@click.option("--auth", type=click.Choice(["bearer", "x-api-key", "api-key", "none"]), help="How it takes its key.")
@click.option("--model", "models", multiple=True, help="A model, or a pattern such as llama-*, that always goes here.")
@click.option("--fallback", multiple=True, help="The upstream to ask where this one fails.")
@click.option("--complete-url", is_flag=True, help="The base URL is whole: no /v1 is appended.")
@click.option("--replace", is_flag=True, help="Replace the one of that name.")
def add(
    name: str,
    base_url: str,
    auth: str | None,
    models: tuple[str, ...],
    fallback: tuple[str, ...],
    *,
    complete_url: bool,
    replace: bool,
) -> None:
    """Add an upstream."""
    given = {"auth": auth, "models": models, "fallback": fallback, "complete_url": complete_url}
    row = {"name": name, "base_url": base_url, **{field: value for field, value in given.items() if value}}
    services = assembled()
    services.store.update(proxy_upstreams=lambda rows: with_row(rows, row, replace=replace))
    added = named(services, name)
    say(f"Added: {added.name}, {added.base_url}")
    if added.auth != "none" and not added.is_local:
        say(f"Its key: `{command(f'key set --upstream {name}')}`, or {added.key_variable} in the environment.")


@upstream.command("remove")
@click.argument("name")
def remove(name: str) -> None:
    """Remove an upstream; its key leaves the keyring too."""
    services = assembled()
    row = named(services, name)
    if row.is_first:
        raise SettingError(f"{name} is the upstream of OPENAI_BASE_URL; change that setting")
    chosen = services.store.current.proxy_upstream
    changes: dict[str, Any] = {"proxy_upstream": None} if chosen == name else {}
    services.store.update(proxy_upstreams=lambda rows: [each for each in rows if each.name != name], **changes)
    left = ""
    try:
        services.upstream_keys.of(row).forget()
    except KeyringAbsent:
        pass  # no key of it can be there
    except KeyringFailure as failure:
        left = f". Its key may still be in the keyring: {failure}"
    say(f"Removed: {name}{left}")


@upstream.command("rename")
@click.argument("name")
@click.argument("new_name")
def give_name(name: str, new_name: str) -> None:
    """Rename an upstream; its key, and what names it in the settings, follow."""
    from proxy.keys.renaming import rename  # noqa: PLC0415  brings the settings, as below

    services = assembled()
    say(rename(services.store, services.upstream_keys, name, new_name))


@upstream.command("use")
@click.argument("name")
def use(name: str) -> None:
    """Send all requests there that no alias, prefix or pattern sends elsewhere."""
    services = assembled()
    row = named(services, name)
    services.store.update(proxy_upstream=None if row.is_first else row.name)
    say(f"In use: {row.name}, {row.base_url}")


@upstream.command("find")
def find() -> None:
    """Look for model servers on this computer: Ollama, LM Studio, llama.cpp, vLLM, Jan."""
    services = assembled()
    found = services.find_local()
    for each in found:
        adding = f"`{command(f'upstream add {each.name} {each.base_url}')}`"
        say(f"{each.title:12} {each.base_url:32} {len(each.models)} models   {adding}")
    if not found:
        say("No other model server answers on its usual port.", err=True)


@upstream.command("test")
@click.argument("name", required=False)
@click.option("--model", help="The model to chat with; else one of those it lists.")
def test(name: str | None, model: str | None) -> None:
    """Ask an upstream for its models and for a chat of one token, with its key; the chosen one if none is named."""
    services = assembled()
    row = named(services, name) if name else services.store.current.chosen_upstream
    steps = services.try_out(row, model)
    for step in steps:
        say(f"{row.label}: {step}", err=not step.is_good)
    if not all(step.is_good for step in steps):
        sys.exit(1)


@upstream.command("forget-repairs")
def forget_repairs() -> None:
    """Forget which parameters which models were found to refuse."""
    say(f"Forgotten: {assembled().learned.forget_repairs()}")


def with_row(rows: "tuple[Upstream, ...]", row: dict[str, Any], *, replace: bool) -> list[Any]:
    """Return the table with a row added, or in the place of the one of its name where that is meant."""
    if replace and any(each.name == row["name"] for each in rows):
        return [row if each.name == row["name"] else each for each in rows]
    return [*rows, row]


def named(services: "Services", name: str) -> "Upstream":
    """Return the upstream of a name, or of what it is shown as; raises SettingError."""
    rows = services.store.current.upstreams
    upstream = services.store.current.upstream_named(name) or next((row for row in rows if row.label == name), None)
    if upstream is not None:
        return upstream
    names = ", ".join(row.name for row in rows)
    raise SettingError(f"there is no upstream {name!r}; there are {names}")


def key_words(services: "Services", row: "Upstream") -> str:
    """Say whether an upstream has its key."""
    if row.auth == "none":
        return "needs no key"
    state = services.upstream_keys.of(row).state
    return "no key" if state.key is None and not row.is_local else f"key {state}" if state.key else "local, no key"


def assembled() -> "Services":
    """Return the parts, as the settings have them."""
    from proxy.services import assemble  # noqa: PLC0415  pydantic costs the most of a start

    return assemble()
