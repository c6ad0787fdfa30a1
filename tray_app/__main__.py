"""Start the tray program: `python -m tray_app`."""

import json
import logging
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import click

from proxy import paths
from proxy.cli.main import Port
from proxy.cli.terminal import say, sentence_of
from proxy.command import command, started_as
from proxy.errors.configuration import ConfigurationError
from proxy.hosting import demo_upstream
from proxy.identity import TITLE, __version__
from proxy.install.start_command import AT_LOGIN
from proxy.logs.log import start_logging
from proxy.logs.redaction import redact
from proxy.process import tune_process, wait_for_keyring_calls
from proxy.running import InstanceInfo, ask
from proxy.services import assemble
from proxy.settings.key_variables import take_keys
from tray_app.app import TrayApp
from tray_app.backends.choose import Wanted
from tray_app.ending import is_end_wanted
from tray_app.notify import notify, show_failure
from tray_app.own_window import leave_window
from tray_app.single_instance import SingleInstance

ACTIVATE_TIMEOUT_S = 5.0
NO_ANSWER = "The program is already running{} but does not answer. Start it with --replace to end that one."
OTHER_VERSION = "Version {} is running, and this is {}. Start this one with --replace to have it take over."
UNWRITABLE = "Make it yours and writable, with room on its disk; `{}` runs without it."
STAYS = "The program that is already running does not end; end its process by hand."

log = logging.getLogger(__name__)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=TITLE)
@click.option("--host", help="Address to listen on (PROXY_HOST).")
@click.option("--port", type=Port(0, 65535), help="Port to listen on (PROXY_PORT).")
@click.option("--demo", is_flag=True, help="Answer from a built-in demo upstream.")
@click.option(
    "--tray",
    type=click.Choice(["auto", "sni", "pystray", "none"]),
    default="auto",
    help="How to show the icon; auto picks what this desktop supports.",
)
@click.option("--replace", is_flag=True, help="End the program that is already running, and take its place.")
@click.option(AT_LOGIN, is_flag=True, help="Say nothing where the program is already running.")
def main(host: str | None, port: int | None, tray: Wanted, *, demo: bool, replace: bool, at_login: bool) -> None:
    """Show the icon in the system tray and run the proxy behind it."""
    chosen = {"proxy_host": host, "proxy_port": port}
    try:
        leave_window(say)
        run({name: value for name, value in chosen.items() if value is not None}, tray, Start(demo, replace, at_login))
    except (ConfigurationError, OSError) as error:  # OSError: the folder of the lock cannot be written
        sentence = (
            f"{sentence_of(error)} {UNWRITABLE.format(command('serve'))}" if isinstance(error, OSError) else str(error)
        )
        if logging.root.handlers:  # else it would be written to the terminal, where it is said below
            log.error("%s", sentence)  # noqa: TRY400  one sentence, for the user
        show_failure(redact(sentence))
        say(sentence)
        sys.exit(1)


@dataclass(frozen=True)
class Start:
    """How the program was asked to start."""

    demo: bool = False
    replace: bool = False  # end the one that is already running
    at_login: bool = False  # nobody waits for an answer


def run(command_line: dict[str, Any], tray: Wanted, start: Start) -> None:
    """Run the tray, or activate the one that is already running; raises ConfigurationError."""
    with ExitStack() as stack:
        instance = stack.enter_context(SingleInstance(paths.runtime_dir()))
        if not instance.is_first and start.replace and not instance.replace():
            raise ConfigurationError(STAYS)
        if not instance.is_first:
            if start.at_login or not is_to_be_ended(instance):
                return
            if not instance.replace():
                raise ConfigurationError(STAYS)
        stack.callback(wait_for_keyring_calls)
        log_file = start_logging()
        if homeless := paths.missing_home():
            log.warning("%s", homeless)
            say(f"{homeless}.")
        if start.demo:
            command_line = {**command_line, **stack.enter_context(demo_upstream())}
        services = assemble(command_line, starts_anyway=True, environment=take_keys(os.environ))
        log_file.hide(services.every_secret)
        services.follow_log_level()
        tune_process()
        has_terminal = sys.stdout is not None and sys.stdout.isatty()
        log_problem = None if log_file.file else f"{paths.log_file()} cannot be written"
        TrayApp(services, instance, tray, say, log_problem, has_terminal=has_terminal).run()


def is_to_be_ended(instance: SingleInstance) -> bool:
    """Open the running program's page; if that program hangs, return whether the user wants to end it."""
    link = instance.activate(ACTIVATE_TIMEOUT_S)
    info = instance.running_instance()
    if link:
        say(f"The program is already running. Its page (the link works once): {link}")
        if info is not None and (version := version_of(info)) not in (None, __version__):
            tell(OTHER_VERSION.format(version, __version__))
        return False
    sentence = NO_ANSWER.format(f" (process {info.pid})" if info else "")
    say(sentence)
    if info is None:  # nobody knows whom to end
        show_failure(sentence)
        return False
    return is_end_wanted(sentence)


def version_of(info: InstanceInfo) -> str | None:
    """Return the version of a running program, None if it does not say."""
    try:
        return str(json.loads(ask(info, "report") or "{}")["version"])
    except (ValueError, LookupError, TypeError):
        return None


def tell(sentence: str) -> None:
    """Show a message in the terminal, and on the screen if there is one."""
    say(sentence)
    notify(TITLE, sentence)


if __name__ == "__main__":
    main(prog_name=started_as())
