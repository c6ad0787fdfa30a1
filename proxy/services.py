"""Put the parts together: the only place where they meet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy import logs, paths
from proxy.exchange.passthrough import Models, Passthrough
from proxy.exchange.ruled import Ruled
from proxy.settings.store import SettingsStore
from proxy.upstream.client import Upstream


@dataclass(frozen=True)
class Services:
    """The parts, wired."""

    store: SettingsStore
    upstream: Upstream
    ruled: Ruled
    passthrough: Passthrough
    models: Models


def assemble(command_line: Mapping[str, Any] | None = None, settings_file: Path | None = None) -> Services:
    """Wire the parts; raises SettingError."""
    store = SettingsStore(settings_file or paths.settings_file(), command_line)
    logs.set_level(store.current.proxy_log_level)
    store.listen(lambda _, new: logs.set_level(new.proxy_log_level))
    upstream = Upstream(lambda: store.current, lambda: upstream_key(store))
    return Services(
        store=store,
        upstream=upstream,
        ruled=Ruled(upstream, lambda: store.current),
        passthrough=Passthrough(upstream, lambda: store.current),
        models=Models(upstream),
    )


def upstream_key(store: SettingsStore) -> str | None:
    """Return the key for the upstream, None where there is none."""
    key = store.current.openai_api_key
    return key.get_secret_value() if key else None


def secrets_of(store: SettingsStore) -> list[str]:
    """Return the keys that must appear nowhere."""
    settings = store.current
    keys = [*([settings.openai_api_key] if settings.openai_api_key else []), *settings.proxy_api_keys]
    return [key.get_secret_value() for key in keys]
