"""Where the program keeps its files on this system, and where its own assets lie."""

import warnings
from contextlib import suppress
from pathlib import Path

import platformdirs

from proxy.identity import APP_ID

SHARED_RUNTIME_DIR = "runtime-"  # platformdirs' name for the one in the folder of temporary files, before the user's id


def config_dir() -> Path:
    """Return the folder of what the user writes: settings and tools."""
    return Path(platformdirs.user_config_dir(APP_ID, appauthor=False))


def settings_file() -> Path:
    """Return the path of the settings file, whether or not it exists."""
    return config_dir() / "settings.toml"


def function_tools_file() -> Path:
    """Return the path of the user's tools, whether or not they exist."""
    return config_dir() / "function_tools.py"


def mcp_servers_file() -> Path:
    """Return the path of the list of MCP servers, whether or not it exists."""
    return config_dir() / "mcp.json"


def log_file() -> Path:
    """Return the path of the current log file."""
    return Path(platformdirs.user_log_dir(APP_ID, appauthor=False)) / "proxy.log"


def runtime_dir() -> Path:
    """Return the folder of what holds only while the program runs: who runs, and how to reach him.

    Where a session has none, it is beside what the program remembers: the usual way out is a folder that everybody on
    the computer can make first, and whoever did could send us elsewhere.
    """
    with suppress(PermissionError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns of that way out
        folder = Path(platformdirs.user_runtime_dir(APP_ID, appauthor=False))
        if not folder.parent.name.startswith(SHARED_RUNTIME_DIR):
            return folder
    return state_file().with_name("run")


def state_file() -> Path:
    """Return the file in which the program remembers that it has run before."""
    return Path(platformdirs.user_state_dir(APP_ID, appauthor=False)) / "state.toml"


def learned_repairs_file() -> Path:
    """Return the file of the parameters that models were found to do without."""
    return state_file().with_name("learned-repairs.json")


def key_changes_file() -> Path:
    """Return the file that stands for the last change of keys in the keyring."""
    return state_file().with_name("keys-changed")


def habits_file() -> Path:
    """Return the file in which the program remembers what upstreams were seen to do."""
    return state_file().with_name("upstreams.json")


def updates_file() -> Path:
    """Return the file in which the program remembers when it asked for a newer version, and which there was."""
    return state_file().with_name("updates.json")


def connected_clients_dir() -> Path:
    """Return the folder of what the settings files of connected clients held before."""
    return state_file().with_name("clients")


def user_config_home() -> Path:
    """Return the folder that holds the configuration of all programs."""
    return Path(platformdirs.user_config_dir())


def user_data_home() -> Path:
    """Return the folder that holds the data of all programs; on Windows the roaming one, where the Start menu lies."""
    return Path(platformdirs.user_data_dir(roaming=True))


def cache_dir() -> Path:
    """Return the folder of what can be fetched or made again."""
    return Path(platformdirs.user_cache_dir(APP_ID, appauthor=False))


def ledger_file() -> Path:
    """Return the file of what finished requests used and cost."""
    return state_file().with_name("usage.sqlite3")


def asset(name: str) -> Path:
    """Return an asset's path: beside the code in a checkout, inside the package when installed."""
    package = Path(__file__).parent
    installed = package / "_assets"
    return (installed if installed.is_dir() else package.parent / "assets") / name
