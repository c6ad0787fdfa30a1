"""The command line's `key` and `proxy-key` groups: the keys of upstreams, and those that tools show the proxy."""

import sys
from typing import TYPE_CHECKING

import click

from proxy.cli.parts import parts_of_command
from proxy.cli.terminal import log_silent, say
from proxy.cli.upstreams import named
from proxy.command import command
from proxy.errors.keyring import KeyringFailure

if TYPE_CHECKING:
    from proxy.keys.proxy_keys import ProxyKeys
    from proxy.keys.upstream_key import Secrets
    from proxy.services import Services
    from proxy.settings.store import SettingsStore

FOR_UPSTREAM = click.option("--upstream", "name", help="The upstream that is meant, where there are several.")


@click.group()
def key() -> None:
    """Set, show or delete the upstream key in the system's keyring."""


@key.command("set")
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the key from standard input instead of asking for it.")
@click.option("--yes", is_flag=True, help="Replace a key that works with one that does not, without asking.")
@FOR_UPSTREAM
def set_key(name: str | None, *, from_stdin: bool, yes: bool) -> None:
    """Try and store the upstream key, asked for without being shown."""
    from proxy.cli.new_key import keep_tried  # noqa: PLC0415  as above

    if not (from_stdin or sys.stdin.isatty()):
        raise click.UsageError("There is no terminal to ask at; pass the key with --stdin.")
    text = sys.stdin.readline() if from_stdin else click.prompt("Upstream API key, not shown", hide_input=True)
    services = all_services()
    upstream = services.store.current.upstreams[0] if name is None else named(services, name)
    state = keep_tried(
        services.upstream_keys.of(upstream),
        lambda key: services.try_key(key, upstream),
        text,
        may_ask=not from_stdin,
        yes=yes,
    )
    say(f"Upstream key: {state}")


@key.command("status")
@FOR_UPSTREAM
def show_key(name: str | None) -> None:
    """Show whether a key is stored, and its last characters."""
    with log_silent():  # the state says it
        state = secrets(name).load()
    say(f"Upstream key: {state}")


@key.command("delete")
@FOR_UPSTREAM
def delete_key(name: str | None) -> None:
    """Delete the upstream key from the keyring."""
    say(f"Upstream key: {secrets(name).forget()}")


@key.command("use")
@click.argument("source", type=click.Choice(["keyring", "environment"]))
def use_key(source: str) -> None:
    """Choose which key is used if the environment sets one and another is stored."""
    services = parts_of_command()
    with log_silent():  # said below
        services.secrets.reload()
    services.store.update(openai_key_from=source)
    say(f"Upstream key: {services.secrets.load()}")


@click.group("proxy-key")
def proxy_key() -> None:
    """Make, list or revoke proxy keys, with which tools call the proxy."""


@proxy_key.command("new")
@click.argument("name")
def new_proxy_key(name: str) -> None:
    """Make a proxy key and show it once."""
    click.echo(proxy_keys().new(name).key)


@proxy_key.command("list")
def list_proxy_keys() -> None:
    """List the proxy keys by name, never the keys themselves."""
    keys = proxy_keys()
    failure = None
    try:
        keys.read()
    except KeyringFailure as error:
        failure = error
    for entry in keys.current:
        say(f"{entry.name:31} {entry.made or 'from the environment'}")
    if failure:
        raise failure
    if not keys.current:
        say(f"There is no proxy key yet: `{command('proxy-key new NAME')}` makes one.", err=True)


@proxy_key.command("revoke")
@click.argument("name")
def revoke_proxy_key(name: str) -> None:
    """Revoke a proxy key.

    A running proxy learns of it within some seconds.
    """
    proxy_keys().revoke(name)
    say(f"The key {name!r} is revoked.")


def secrets(name: str | None) -> "Secrets":
    """Return what holds an upstream's key; the one of OPENAI_BASE_URL where none is named. Raises SettingError."""
    services = all_services()
    return services.secrets if name is None else services.upstream_keys.of(named(services, name))


def all_services() -> "Services":
    """Return the parts, and say what is wrong with the settings. Raises SettingError."""
    services = parts_of_command()
    say_what_is_wrong(services.store)
    return services


def proxy_keys() -> "ProxyKeys":
    """Return the proxy keys of this computer's user."""
    return all_services().proxy_keys


def say_what_is_wrong(store: "SettingsStore") -> None:
    """Say what is wrong with the environment beside what a command is asked for."""
    if store.in_force.is_environment_wrong:
        say(str(store.warning), err=True)
