"""The command line's `install`, `uninstall` and `autostart`: on the desktop, and off it without a trace."""

import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import click

from proxy import paths
from proxy.cli.terminal import say
from proxy.clients.client import Client
from proxy.clients.connection import Connections
from proxy.command import command
from proxy.errors.keyring import KeyringAbsent, KeyringFailure
from proxy.errors.proxy_error import ProxyError
from proxy.identity import APP_ID
from proxy.install import applications
from proxy.install import autostart as login
from proxy.install.start_command import checkout
from proxy.install.uninstall import Trace, data_traces, environment_trace, found, leave_word, program_traces
from proxy.running import end_all

PACKAGE_REMOVERS = (f"`pipx uninstall {APP_ID}`", f"`uv tool uninstall {APP_ID}`", f"`pip uninstall {APP_ID}`")
MANY = 3  # places; more are told as a number


@click.command()
def install() -> None:
    """Add the program to the applications menu."""
    file = applications.add()
    say(f"Added to the applications menu: {file}")
    say(f"`{command('autostart on')}` starts it at login; `{command('uninstall')}` removes all of it again.")


@click.command()
@click.argument("wish", type=click.Choice(["on", "off", "status"]), default="status")
def autostart(wish: str) -> None:
    """Start the program at login, or no longer; `status` asks the system."""
    changes = {"on": login.switch_on, "off": login.switch_off, "status": login.status}
    say(f"Start at login: {changes[wish]()}")


@click.command()
@click.option("--yes", "-y", "is_sure", is_flag=True, help="Ask nothing; settings, keys and all else go too.")
@click.option("--keep-data", is_flag=True, help="Keep settings, tools, keys and what the program remembers.")
def uninstall(*, is_sure: bool, keep_data: bool) -> None:
    """Remove everything the program has made on this computer.

    Launcher, start at login, packages, log, settings, keys and what it remembers: each is named, and you are asked
    once.
    """
    if not is_sure and not is_asked():
        raise click.UsageError("There is no terminal to ask at; say --yes, and --keep-data to keep your settings.")
    program, data = found([*program_traces(), environment_trace()]), found(data_traces())
    tell("This removes:", program)
    say(f"  start at login: {login.status()}")
    for client in Connections(paths.connected_clients_dir).connected():
        say(f"  lines in the settings of {client.title}; what you have changed since stays")
    tell("This is kept:" if keep_data else "And what is your own, which cannot be had back:", data)
    say("  keys in the system's keyring")
    if not (is_sure or click.confirm(f"Remove {'it' if keep_data else 'all of it'}?", default=False)):
        say("Nothing was removed." + ("" if keep_data else " With --keep-data your own things would stay."))
        return
    failures = remove_all(program, [] if keep_data else data, takes_keys=not keep_data)
    for failure in failures:
        say(failure, err=True)
    if failures:
        sys.exit(1)
    say("The program is removed; your settings and keys are kept." if keep_data else "Everything is removed.")
    if (checkout() / "start.sh").is_file():
        say(f"The folder {checkout()} is yours; delete it when you like.")
    elif not getattr(sys, "frozen", False):
        say(f"The package goes by what has installed it: {' or '.join(PACKAGE_REMOVERS)}.")


def remove_all(program: list[Trace], data: list[Trace], *, takes_keys: bool) -> list[str]:
    """End running programs, remove the traces, and return what went wrong; one failure keeps no other back."""
    failures = [f"It is still running (process {info.pid}); quit it" for info in end_all(paths.runtime_dir())]
    if failures:
        return failures
    failures = disconnect_clients()
    if failures:  # what their files held before would go with the rest
        return failures
    keys = [erase_keys] if takes_keys else []
    steps = [*keys, login.switch_off, *(trace.remove for trace in [*data, *program]), leave_word]
    failures = [failure for step in steps if (failure := failure_of(step))]
    remove_empty(trace.places[0].parent for trace in data)
    return failures


def disconnect_clients() -> list[str]:
    """Take our lines out of the settings of clients, which would find nobody; return what went wrong."""
    connections = Connections(paths.connected_clients_dir)

    def undo(client: Client) -> None:
        plan = connections.undo_plan(client)
        if plan is not None:
            connections.undo(client, plan)

    wrong = [(client, failure_of(partial(undo, client))) for client in connections.connected()]
    return [
        f"{client.title}: {failure} Mend that, or delete {paths.connected_clients_dir() / client.name}.json"
        for client, failure in wrong
        if failure
    ]


def failure_of(step: Callable[[], object]) -> str | None:
    """Take a step and return why it failed."""
    try:
        step()
    except (ProxyError, OSError) as error:
        return str(error)
    return None


def erase_keys() -> None:
    """Take the keys out of the system's keyring; raises KeyringFailure."""
    from proxy.keys.erasing import erase  # noqa: PLC0415  this command alone needs the keyring
    from proxy.keys.keychain import SystemKeychain  # noqa: PLC0415  as above

    try:
        erase(SystemKeychain(), entries_of_upstreams())
    except KeyringAbsent:  # then there are no keys in it
        pass
    except KeyringFailure as error:
        raise type(error)(f"the keys are still in the keyring: {error.detail}") from error


def entries_of_upstreams() -> list[str]:
    """Return the keyring's entries of the upstreams that the settings name; none where those are wrong."""
    from proxy.keys.upstream_keys import entry_of  # noqa: PLC0415  as above
    from proxy.settings.store import SettingsStore  # noqa: PLC0415  as above

    try:
        return [entry_of(row) for row in SettingsStore(paths.settings_file()).current.proxy_upstreams]
    except ProxyError:
        return []


def tell(head: str, traces: Iterable[Trace]) -> None:
    """Say what the traces are and where they lie."""
    say(head)
    for trace in traces:
        places = trace.found
        more = f" and {len(places) - 1} more" if len(places) > MANY else ""
        shown = places[:1] if more else places
        say(f"  {trace.name}: {', '.join(map(str, shown))}{more}")


def remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders that are empty now, such as the one in which Windows keeps log and settings."""
    for folder in folders:
        if folder.name == paths.config_dir().name and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def is_asked() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin is not None and sys.stdin.isatty()
