"""The commands `connect` and `run`: point a client program at the proxy, undo it, or do it for one command."""

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from proxy import paths
from proxy.cli.parts import parts_of_command
from proxy.cli.terminal import say, show
from proxy.clients.client import ANY_KEY, Client, Target
from proxy.clients.connection import Connections
from proxy.clients.environment import prepared
from proxy.clients.models import chat_models
from proxy.clients.table import BY_NAME, IMPOSSIBLE
from proxy.command import as_typed, command
from proxy.errors.configuration import ClientUnknown, NoProxyRuns
from proxy.errors.keyring import ProxyKeyTrouble
from proxy.running import proven

if TYPE_CHECKING:
    from proxy.keys.proxy_keys import ProxyKeys
    from proxy.services import Services

SHOWN_KEY = "YOUR_PROXY_KEY"


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--write", is_flag=True, help="Write the lines into its settings file; what it held before is kept.")
@click.option("--undo", is_flag=True, help="Take the lines out again; what you have changed since stays.")
@click.option("--model", "models", multiple=True, help="A model it may choose; those the proxy lists if not given.")
@click.option("--base-url", help="The proxy's base URL; that of the running one if not given.")
def connect(name: str, models: tuple[str, ...], base_url: str | None, *, write: bool, undo: bool) -> None:
    """Point a client program at the proxy: show the lines, write them, undo it.

    NAME is one of continue, cline, roo, zed, vscode, jetbrains, codex, opencode, aider, llm, claude-code, python, node,
    shell.
    """
    client = known(name)
    if write and undo:
        raise click.UsageError("--write and --undo contradict each other.")
    connections = Connections(paths.connected_clients_dir)
    if undo:
        disconnect(client, connections)
        return
    services = parts_of_command()
    is_asked_for = services.store.current.proxy_require_api_key
    url = base_url or running_base_url(services) or listening_url(services)
    if not models:
        key = first_key(services) if is_asked_for else ANY_KEY
        models = chat_models(url, key) if running_base_url(services) == url else ()
    if not write:
        target = Target(url, SHOWN_KEY if is_asked_for else ANY_KEY, models)
        show_lines(client, target, connections)
        return
    connections.plan(client, Target(url, SHOWN_KEY, models))  # before a key is made: it may be refused
    key = key_of(client, services.proxy_keys) if is_asked_for else ANY_KEY
    plan = connections.plan(client, Target(url, key, models))
    say((plan.diff.replace(key, "…") if is_asked_for else plan.diff) or "Nothing changes.")
    connections.connect(client, plan, client.title if is_asked_for else None)
    say(f"{client.title} is connected. {as_typed(client.steps)}")
    say(f"`{command(f'connect {client.name} --undo')}` undoes it.")


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--model", "models", multiple=True, help="A model it may choose, where it asks for a list.")
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND…", type=click.UNPROCESSED)
def run(words: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Run one command that is pointed at the proxy; no file is touched.

    It gets OPENAI_BASE_URL, OPENAI_API_BASE, OPENAI_API_KEY, ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY, and none of the
    proxy's own variables.
    """
    from proxy.settings.model import Settings, variable  # noqa: PLC0415  pydantic costs the most of a start

    services = parts_of_command()
    url = running_base_url(services)
    if url is None:
        raise NoProxyRuns("the command would find nobody at its address")
    key = first_key(services) if services.store.current.proxy_require_api_key else ANY_KEY
    own = {variable(field) for field in Settings.model_fields} | {"START_COMMAND", "PROXY_API_KEY"}
    line, environment = prepared(words, Target(url, key, models or chat_models(url, key)), os.environ, own)
    try:
        if sys.platform == "win32":
            sys.exit(subprocess.call(line, env=environment))  # noqa: S603  it is the user's own command
        os.execvpe(line[0], line, environment)  # noqa: S606  as above
    except OSError as error:
        say(f"{line[0]} cannot be started: {error.strerror or error}", err=True)
        sys.exit(127 if isinstance(error, FileNotFoundError) else 126)


def known(name: str) -> Client:
    """Return the client of a name; raises ClientUnknown."""
    client = BY_NAME.get(name.lower())
    if client is None:
        raise ClientUnknown(IMPOSSIBLE.get(name.lower()) or f"{name!r} is none of {', '.join(BY_NAME)}")
    return client


def show_lines(client: Client, target: Target, connections: Connections) -> None:
    """Print the lines for a client's settings, and the file they belong in."""
    show(client.snippet(target).rstrip("\n"))
    if client.file is not None:
        plan = connections.plan(
            client, target if target.models else Target(target.base_url, target.key, (target.model,))
        )
        say(f"\nThis belongs in {plan.path}.", err=True)
        say(f"`{command(f'connect {client.name} --write')}` writes it there, and keeps what the file held.", err=True)
    if client.steps:
        say(f"\n{as_typed(client.steps)}", err=True)
    if target.key == SHOWN_KEY:
        say(f"\nThe proxy asks for a key: `{command('proxy-key new NAME')}` makes one.", err=True)


def disconnect(client: Client, connections: Connections) -> None:
    """Undo a connection and say what came of it; raises ClientFileRefused."""
    record = connections.record(client)
    plan = connections.undo_plan(client)
    if plan is None or record is None:
        say(f"{client.title} is not connected by this program; nothing was changed.")
        return
    say(plan.diff or "Nothing changes.")
    connections.undo(client, plan)
    say(f"{client.title} is disconnected.")
    for name in plan.kept:
        say(f"{name} was changed by you, and stays.")
    if record.key_name:
        try:
            parts_of_command().proxy_keys.revoke(record.key_name)
        except ProxyKeyTrouble:
            return  # it was revoked by hand
        say(f"Its key {record.key_name!r} is revoked.")


def key_of(client: Client, keys: "ProxyKeys") -> str:
    """Return the proxy key of a client's own, made where it has none; raises KeyringFailure, ProxyKeyTrouble."""
    keys.read()
    return next((each.key for each in keys.made if each.name == client.title), None) or keys.new(client.title).key


def first_key(services: "Services") -> str:
    """Return a proxy key; raises KeyringFailure."""
    return services.proxy_keys.first().key


def running_base_url(services: "Services") -> str | None:
    """Return the base URL of a running proxy that proves to be this user's, preferably at the usual port."""
    info = proven(paths.runtime_dir(), services.store.current.proxy_port)
    return f"{info.url}/v1" if info else None


def listening_url(services: "Services") -> str:
    """Return the base URL the settings lead to."""
    from proxy.server.thread import Address  # noqa: PLC0415  brings the server

    settings = services.store.current
    return Address(settings.proxy_host, settings.proxy_port).local.base_url
