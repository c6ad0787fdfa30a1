"""The command line: serve, check, config. The one place that prints."""

import logging
import sys
from collections.abc import Mapping
from typing import Any

import click

from proxy.errors import ConfigurationError
from proxy.identity import TITLE, __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=TITLE)
def cli() -> None:
    """Give every tool on this computer one OpenAI-compatible address, with one key behind it."""


@cli.command()
@click.option("--host", help="Address to listen on (PROXY_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes any free one (PROXY_PORT).")
@click.option("--demo", is_flag=True, help="Answer from a built-in demo upstream: no key and no network needed.")
@click.option("--verbose", "-v", is_flag=True, help="Show the log in the terminal too, with the rules' effects.")
def serve(host: str | None, port: int | None, demo: bool, verbose: bool) -> None:
    """Run the proxy without a tray icon, until Ctrl-C."""
    from proxy.headless import run  # noqa: PLC0415  the server's import is what other commands need not pay for

    chosen: dict[str, Any] = {"proxy_host": host, "proxy_port": port, "proxy_log_level": "DEBUG" if verbose else None}
    run(given(chosen), demo=demo, to_terminal=verbose, say=click.echo)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def main() -> None:
    """Run the command line; a configuration error is one line and exit code 1."""
    try:
        cli(standalone_mode=True)
    except ConfigurationError as error:
        logging.getLogger(__name__).error("%s", error)  # noqa: TRY400  one line, for the user
        click.echo(str(error), err=True)
        sys.exit(1)
