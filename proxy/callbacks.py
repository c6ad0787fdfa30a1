"""What the parts call of each other when something happens: small functions that the wiring hands out."""

from pathlib import Path

from proxy import paths
from proxy.command import command
from proxy.files import remove_leftovers, target_of
from proxy.keys.proxy_keys import ProxyKeys
from proxy.keys.upstream_key import Keychain, Secrets
from proxy.settings.model import Settings
from proxy.settings.store import SettingsStore


def sweep(settings_file: Path) -> None:
    """Remove the halves of files that a killed process of ours has left in our folders and beside the settings."""
    remove_leftovers(target_of(settings_file).parent, target_of(settings_file).name)
    state = (paths.state_file().parent, paths.connected_clients_dir(), paths.kept_requests_dir())
    for folder in (paths.config_dir(), *state, paths.runtime_dir()):
        remove_leftovers(folder)


def always_allow(store: SettingsStore, tool: str) -> None:
    """Keep in the settings that a tool needs no question any more; raises SettingError or OSError."""
    store.update(tool_consent=lambda rules: {**rules, tool: "auto"})


def load_when_required(proxy_keys: ProxyKeys, old: Settings, new: Settings) -> None:
    """Read the proxy keys once the user asks every caller for one."""
    if new.proxy_require_api_key and not old.proxy_require_api_key:
        proxy_keys.load_in_background()


def system_keychain() -> Keychain:
    """Return the system's keyring."""
    from proxy.keys.keychain import SystemKeychain  # noqa: PLC0415  loaded when it is needed, in a thread that may wait

    return SystemKeychain()


def hint_of_another(secrets: Secrets) -> str:
    """Return what to do where the environment's key is refused and another one is stored; "" where none is."""
    if not secrets.has_another:
        return ""
    return (
        f" It is OPENAI_API_KEY's; another key is stored in the keyring: `{command('key use keyring')}` makes it count."
    )


def environment_key(store: SettingsStore) -> str | None:
    """Return the upstream key the environment sets."""
    key = store.current.openai_api_key
    return key.get_secret_value() if key else None
