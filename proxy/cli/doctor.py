"""Look for common problems: a list of checks, each with one finding that says what to do."""

import os
from collections.abc import Callable
from dataclasses import dataclass

from proxy import paths
from proxy.command import command
from proxy.errors.proxy_error import ProxyError
from proxy.services import Services


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    title: str
    is_well: bool
    detail: str


def examine(services: Services) -> list[Finding]:
    """Run every check; takes some seconds, for it asks the keyring and the upstream. Not for the event loop."""
    return [run(check, services) for check in CHECKS]


def run(check: Callable[[Services], Finding], services: Services) -> Finding:
    """Run a check; one that breaks is a finding too."""
    try:
        return check(services)
    except Exception as error:  # noqa: BLE001  a check must not keep the others from being made
        title = (check.__doc__ or check.__name__).rstrip(".")
        return Finding(title, is_well=False, detail=str(error) if isinstance(error, ProxyError) else repr(error))


def check_settings(services: Services) -> Finding:
    """Read the settings file."""
    store = services.store
    if store.warning is not None:
        return Finding("Settings file", is_well=False, detail=store.warning)
    return Finding("Settings file", is_well=True, detail=str(store.path) if store.path.exists() else "none; defaults")


def check_log(services: Services) -> Finding:  # noqa: ARG001  every check takes the services
    """Look whether the log can be written."""
    folder = paths.log_file().parent
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Finding("Log", is_well=True, detail=str(paths.log_file()))
    return Finding("Log", is_well=False, detail=f"{folder} cannot be written; make it yours")


def check_key(services: Services) -> Finding:
    """Look for the upstream key."""
    state = services.secrets.state if services.secrets.state.key else services.secrets.load()
    missing = f"not set: store it with `{command('key set')}`, enter it on the program's page, or set OPENAI_API_KEY"
    is_missing = state.key is None and state.problem is None
    return Finding("Upstream key", is_well=state.key is not None, detail=missing if is_missing else str(state))


def check_upstream(services: Services) -> Finding:
    """Ask the upstream whether it accepts the key."""
    if not services.store.is_known:
        return Finding("Upstream", is_well=False, detail="not asked: which one you have chosen is not known")
    url, key = services.store.current.openai_base_url, services.secrets.state.key
    if key is None:
        return Finding("Upstream", is_well=False, detail=f"{url} was not asked: there is no key")
    refusal = services.try_key(key)
    return Finding("Upstream", is_well=refusal is None, detail=refusal or f"{url} accepts the key")


def check_access(services: Services) -> Finding:
    """Look whether somebody can get in at all."""
    services.proxy_keys.reload()  # where the keyring is open: the last check has asked its user
    making = f"`{command('proxy-key new NAME')}` makes one"
    if services.store.current.proxy_require_api_key and not services.proxy_keys.current:
        return Finding("Proxy keys", is_well=False, detail=f"one is asked for, but there is none: {making}")
    asked = "asked for" if services.store.current.proxy_require_api_key else "not asked for"
    return Finding("Proxy keys", is_well=True, detail=f"{len(services.proxy_keys.current)} there, {asked}")


def check_tools(services: Services) -> Finding:
    """Look whether the tools can be loaded and their servers come up, where tools are on."""
    if not services.store.current.enable_tool_execution:
        return Finding("Tools", is_well=True, detail="off")
    count, problems = services.tools.examine()
    return Finding("Tools", is_well=not problems, detail=" ".join(problems) or f"{count} ready")


CHECKS = (check_settings, check_log, check_key, check_upstream, check_access, check_tools)
