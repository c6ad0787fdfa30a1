"""Start the tray program: `python -m tray_app`."""

import logging
import sys
from contextlib import ExitStack
from typing import Any

import click

from proxy import paths
from proxy.cli.main import Port
from proxy.cli.terminal import say
from proxy.command import started_as
from proxy.errors.configuration import ConfigurationError
from proxy.hosting import demo_upstream
from proxy.identity import TITLE, __version__
from proxy.logs.log import start_logging
from proxy.logs.redaction import redact
from proxy.process import tune_process
from proxy.services import assemble
from tray_app.app import TrayApp
from tray_app.backends.choose import Wanted
from tray_app.notify import notify
from tray_app.single_instance import SingleInstance

ACTIVATE_TIMEOUT_S = 5.0
NO_ANSWER = (
    "The program is already running but does not answer. Quit it from its menu or end its process, then start again."
)

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
def main(host: str | None, port: int | None, tray: Wanted, *, demo: bool) -> None:
    """Show the icon in the system tray and run the proxy behind it."""
    chosen = {"proxy_host": host, "proxy_port": port}
    try:
        run({name: value for name, value in chosen.items() if value is not None}, tray, demo=demo)
    except (ConfigurationError, OSError) as error:  # OSError: the folder of the lock cannot be written
        log.error("%s", error)  # noqa: TRY400  one sentence, for the user
        notify(TITLE, redact(str(error)))
        say(str(error))
        sys.exit(1)


def run(command_line: dict[str, Any], tray: Wanted, *, demo: bool) -> None:
    """Run the tray, or activate the one that is already running; raises ConfigurationError."""
    with ExitStack() as stack:
        instance = stack.enter_context(SingleInstance(paths.runtime_dir()))
        if not instance.is_first:
            link = instance.activate(ACTIVATE_TIMEOUT_S)
            say(f"The program is already running. Its page (the link works once): {link}" if link else NO_ANSWER)
            return
        log_file = start_logging()
        if demo:
            command_line = {**command_line, **stack.enter_context(demo_upstream())}
        services = assemble(command_line, starts_anyway=True)
        log_file.hide(services.every_secret)
        services.follow_log_level()
        tune_process()
        has_terminal = sys.stdout is not None and sys.stdout.isatty()
        log_problem = None if log_file.file else f"{paths.log_file()} cannot be written"
        TrayApp(services, instance, tray, say, log_problem, has_terminal=has_terminal).run()


if __name__ == "__main__":
    main(prog_name=started_as())
