"""The command line: serve, page, check, config, key, proxy-key; `tools` stands beside it."""

import logging
import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from proxy import paths
from proxy.cli.connect import connect, run
from proxy.cli.install import autostart, install, uninstall
from proxy.cli.keys import all_services, key, proxy_key, say_what_is_wrong
from proxy.cli.limits import limits
from proxy.cli.parts import parts_of_command
from proxy.cli.terminal import log_silent, say, sentence_of
from proxy.cli.tools import tools
from proxy.cli.upstreams import upstream
from proxy.cli.usage import usage
from proxy.cli.watch import logs, requests, status
from proxy.command import started_as
from proxy.errors.proxy_error import ProxyError
from proxy.identity import TITLE, __version__
from proxy.logs.crashes import catch_crashes
from proxy.logs.lines import SafeFormatter


class Port(click.IntRange):
    """A port, named so in help and errors."""

    name = "port"


SCRIPT_WORDS = """\b
The script's own words:
  without a command  the icon in the system tray, and the proxy behind it;
                     takes --host, --port, --demo, and --tray auto, sni,
                     pystray or none
  headless           the same as serve
  demo               the same as serve --demo
  test               the test suite"""


PACKAGE_WORDS = """\b
Two more words:
  headless           the same as serve
  demo               the same as serve --demo"""
SAME_AS = {"headless": ["serve"], "demo": ["serve", "--demo"]}  # as the start script has them


class Commands(click.Group):
    """The commands, and the words that the start script has for some of them."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is meant."""
        return super().resolve_command(ctx, [*SAME_AS.get(args[0], args[:1]), *args[1:]])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what stands below the help."""
        self.epilog = SCRIPT_WORDS if started_as() else PACKAGE_WORDS
        super().format_epilog(ctx, formatter)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=TITLE)
def cli() -> None:
    """Give every tool on this computer one OpenAI-compatible address, with one key behind it."""


@cli.command()
@click.option("--host", help="Address to listen on (PROXY_HOST).")
@click.option("--port", type=Port(0, 65535), help="Port to listen on; 0 takes any free one (PROXY_PORT).")
@click.option("--demo", is_flag=True, help="Answer from a built-in demo upstream: no key and no network needed.")
@click.option("--verbose", "-v", is_flag=True, help="Show the log in the terminal, with what the rules change.")
def serve(host: str | None, port: int | None, *, demo: bool, verbose: bool) -> None:
    """Run the proxy without a tray icon, until Ctrl-C."""
    from proxy.cli.serve import run as run_server  # noqa: PLC0415  the other commands need no server

    chosen = {"proxy_host": host, "proxy_port": port, "proxy_log_level": "DEBUG" if verbose else None}
    is_read = sys.stdout is not None and sys.stdout.isatty()
    run_server(given(chosen), demo=demo, to_terminal=verbose, is_read=is_read, say=say)


@cli.command()
@click.option("--port", type=Port(1, 65535), help="The port of the proxy that is meant, where several run.")
def page(port: int | None) -> None:
    """Print a link to the running proxy's page.

    It is good once, for two minutes. The page takes the upstream key, looks for problems, shows the log, and lets
    refused web pages in.
    """
    from proxy.running import fresh_link  # noqa: PLC0415  this command alone needs it
    from proxy.settings.store import SettingsStore  # noqa: PLC0415  pydantic costs the most of a start

    with log_silent():  # said below
        store = SettingsStore(paths.settings_file(), starts_anyway=True)
    say_what_is_wrong(store)
    usual_port = store.current.proxy_port
    say(fresh_link(paths.runtime_dir(), usual_port, port))


@cli.command()
@click.option("--stream", is_flag=True, envvar="STREAM_TEST", help="Try a streamed answer too (STREAM_TEST=1).")
@click.option("--base-url", help="The proxy's base URL; the one of its settings if not given.")
@click.option("--model", help="The model to chat with; one that the upstream lists if not given.")
def check(base_url: str | None, model: str | None, *, stream: bool) -> None:
    """Try a running proxy: health, models, one chat.

    Where it asks for a proxy key, that of PROXY_API_KEY is shown, else one of this computer's own.
    """
    from proxy.cli.check import Target, own_key, run_checks  # noqa: PLC0415  brings the SDK

    shown_key = os.environ.get("PROXY_API_KEY")
    if shown_key is None and base_url is None and (services := all_services()).store.current.proxy_require_api_key:
        shown_key = own_key(services.proxy_keys)
    target = Target(base_url or own_base_url(), shown_key, model)
    say(f"Checking {target.base_url}")
    if not run_checks(target, stream=stream, say=say):
        sys.exit(1)


@cli.command()
def config() -> None:
    """Show every setting, its value and where that comes from."""
    from proxy.settings.model import Settings, shown, variable  # noqa: PLC0415  pydantic costs the most of a start
    from proxy.settings.store import SettingsStore  # noqa: PLC0415  as above

    with log_silent():  # the last lines say it
        store = SettingsStore(paths.settings_file(), starts_anyway=True)
    for field in Settings.model_fields:
        origin = store.origin(field)
        value = "?" if origin == "not known" else shown(field, store.current)
        say(f"{variable(field):31} {value:31} {origin}")
    say(f"\nSettings file: {store.path}{'' if store.path.exists() else ' (not there yet)'}")
    if store.warning:
        say(f"\n{store.warning}")
    for sentence in store.passed_over:
        say(f"\n{sentence}.")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, for programs.")
def doctor(*, as_json: bool) -> None:
    """Look for common problems and say what to do; the exit code is 1 where there is one."""
    from proxy.doctor.examine import as_text, examine  # noqa: PLC0415  as above

    services = parts_of_command(runs_tools=True)
    with log_silent():  # the findings say it
        findings = examine(services)
    services.tools.stop()
    say(as_text(findings, as_json=as_json))
    if not all(finding.is_good for finding in findings):
        sys.exit(1)


for made in (
    key,
    proxy_key,
    connect,
    run,
    tools,
    upstream,
    usage,
    limits,
    requests,
    logs,
    status,
    install,
    uninstall,
    autostart,
):
    cli.add_command(made)


def own_base_url() -> str:
    """Return the base URL the settings lead to; raises SettingError, and SettingsBroken where no port is known.

    The proxy key goes there, and who listens on the default port may be anybody.
    """
    from proxy.server.thread import Address  # noqa: PLC0415  brings the server
    from proxy.settings.store import SettingsStore  # noqa: PLC0415  as above

    settings = SettingsStore(paths.settings_file(), starts_anyway=True).chosen
    return Address(settings.proxy_host, settings.proxy_port).local.base_url


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def main() -> None:
    """Run the command line; what a user can mend is one line and exit code 1."""
    catch_crashes(SafeFormatter().format)
    if logging.lastResort is not None:  # what writes warnings where no log was started
        logging.lastResort.setFormatter(SafeFormatter("%(message)s"))
    try:
        if sentence := paths.missing_home():
            say(f"{sentence}.", err=True)
        cli(prog_name=started_as())
    except ProxyError as error:
        say(str(error), err=True)
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that cannot be written
        say(sentence_of(error), err=True)
        sys.exit(1)
