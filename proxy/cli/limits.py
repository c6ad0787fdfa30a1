"""The command line's `limits` group: how much of each limit is used, and which limits there are."""

import json
from typing import Any

import click

from proxy.cli.keys import all_services
from proxy.cli.terminal import log_silent, say
from proxy.cli.watch import summaries_of
from proxy.command import command
from proxy.errors.configuration import SettingError
from proxy.usage import summaries

AMOUNTS = {  # the options, by the names that the limits of a key have
    "day_usd": "proxy_daily_limit_usd",
    "month_usd": "proxy_monthly_limit_usd",
    "day_tokens": "proxy_daily_limit_tokens",
    "month_tokens": "proxy_monthly_limit_tokens",
}


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print an object a limit, as a list.")
@click.pass_context
def limits(context: click.Context, *, as_json: bool) -> None:
    """Show how much of each limit is used; `set` and `clear` change them."""
    if context.invoked_subcommand is not None:
        return
    with log_silent():
        services = all_services()
    settings = services.store.current
    standings = summaries_of(summaries.spending, services.ledger.file, settings).all_standings()
    if as_json:
        say(json.dumps([standing.as_object() for standing in standings]))
        return
    for standing in standings:
        say(f"{standing.sentence}.{' Until then its requests are refused.' if is_refusing(standing) else ''}")
    if not standings:
        say(f"There are no limits. `{command('limits set --day-usd 5')}` gives notice once a day has cost so much.")
    if settings.proxy_key_limits and not settings.proxy_require_api_key:
        say("The limits of proxy keys have no effect: turn PROXY_REQUIRE_API_KEY on.")


@limits.command("set")
@click.option("--key", help="The proxy key that is limited; `*` for each key without limits of its own.")
@click.option("--day-usd", type=click.FloatRange(min=0), help="Dollars a day.")
@click.option("--month-usd", type=click.FloatRange(min=0), help="Dollars a month.")
@click.option("--day-tokens", type=click.IntRange(min=0), help="Tokens a day.")
@click.option("--month-tokens", type=click.IntRange(min=0), help="Tokens a month.")
def set_limits(key: str | None, **amounts: float | None) -> None:
    """Set limits: of one proxy key, whose requests are then refused; without --key of all, which only gives notice."""
    given = {name: amount for name, amount in amounts.items() if amount is not None}
    if not given:
        raise SettingError(f"no limit is named; there are {', '.join(option(name) for name in AMOUNTS)}")
    store = all_services().store
    if key is None:
        store.update(**{AMOUNTS[name]: amount for name, amount in given.items()})
    else:
        store.update(proxy_key_limits=lambda table: {**table, key: {**table.get(key, {}), **given}})
    whose = "all requests" if key is None else f"the proxy key {key!r}"
    say(f"Limits of {whose}: {', '.join(f'{option(name)[2:]} {amount:,g}' for name, amount in given.items())}")
    if key is not None and not store.current.proxy_require_api_key:
        say("They have no effect yet: turn PROXY_REQUIRE_API_KEY on.")


@limits.command("clear")
@click.option("--key", help="The proxy key whose limits are removed.")
def clear(key: str | None) -> None:
    """Remove the limits of one proxy key, or without --key those of all requests."""
    store = all_services().store
    if key is None:
        store.update(**dict.fromkeys(AMOUNTS.values()))
        say("Removed: the limits of all requests")
        return
    if key not in store.current.proxy_key_limits:
        raise SettingError(f"the proxy key {key!r} has no limits")
    store.update(proxy_key_limits=lambda table: {name: row for name, row in table.items() if name != key})
    say(f"Removed: the limits of the proxy key {key!r}")


def option(name: str) -> str:
    """Return the option of an amount."""
    return f"--{name.replace('_', '-')}"


def is_refusing(standing: Any) -> bool:
    """Tell whether requests are refused for it now."""
    return bool(standing.is_reached and standing.limit.is_hard)
