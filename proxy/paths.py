"""Where the program keeps its files on this system, and where its own assets lie."""

import atexit
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs

from proxy.identity import APP_ID

SHARED_RUNTIME_DIR = "runtime-"  # platformdirs' name for the one in the folder of temporary files, before the user's id


def home() -> Path:
    """Return the user's home folder; for who has none the folder that stands for it."""
    try:
        folder = Path.home()
    except RuntimeError:
        return stand_in() / "home"
    return folder if folder.is_absolute() else stand_in() / "home"


def found(ask: Callable[..., str], *names: str, **options: Any) -> Path:
    """Return the folder that platformdirs names, else one in the folder that stands for the home."""
    try:
        folder = Path(ask(*names, **options))
    except RuntimeError:  # no HOME, and a user without an entry among the system's users
        return stand_in() / ask.__name__
    return folder if folder.is_absolute() else stand_in() / ask.__name__


@cache
def stand_in() -> Path:
    """Make a folder for this process alone, which goes when it ends: a lasting name in /tmp others could take first."""
    folder = Path(tempfile.mkdtemp(prefix=f"{APP_ID}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def missing_home() -> str | None:
    """Say that there is no home folder, what that means and what to do; None where there is one."""
    folder = config_dir()
    if stand_in.cache_info().currsize == 0 or not folder.is_relative_to(stand_in()):
        return None
    return (
        "You have no home folder: HOME is not set and the system does not know this user. Settings, log and what is "
        "learnt are lost when the program ends. Set HOME to a folder of yours"
    )


def config_dir() -> Path:
    """Return the folder of what the user writes: settings and tools."""
    return found(platformdirs.user_config_dir, APP_ID, appauthor=False)


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
    return found(platformdirs.user_log_dir, APP_ID, appauthor=False) / "proxy.log"


def runtime_dir() -> Path:
    """Return the folder of what holds only while the program runs: who runs, and how to reach him.

    Where a session has none, or somebody else's (`sudo` and `su` may keep the variable), it is beside what the program
    remembers: the usual way out is a folder that everybody on the computer can make first, and whoever did could send
    us elsewhere.
    """
    with suppress(OSError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # platformdirs warns of that way out
        folder = found(platformdirs.user_runtime_dir, APP_ID, appauthor=False)
        if not folder.parent.name.startswith(SHARED_RUNTIME_DIR) and is_ours(folder.parent):
            return folder
    return state_file().with_name("run")


def is_ours(folder: Path) -> bool:
    """Tell whether a folder belongs to this user; on Linux alone does it not lie in the home. Raises OSError."""
    return sys.platform != "linux" or folder.stat().st_uid == os.geteuid()


def state_file() -> Path:
    """Return the file in which the program remembers that it has run before."""
    return found(platformdirs.user_state_dir, APP_ID, appauthor=False) / "state.toml"


def learned_file() -> Path:
    """Return the file of what was learned about upstreams and their models."""
    return state_file().with_name("learned.json")


def key_changes_file() -> Path:
    """Return the file that stands for the last change of keys in the keyring."""
    return state_file().with_name("keys-changed")


def proxy_keys_lock() -> Path:
    """Return the file whose lock is held while the list of proxy keys changes."""
    return state_file().with_name("proxy-keys.lock")


def updates_file() -> Path:
    """Return the file in which the program remembers when it asked for a newer version, and which there was."""
    return state_file().with_name("updates.json")


def connected_clients_dir() -> Path:
    """Return the folder of what the settings files of connected clients held before."""
    return state_file().with_name("clients")


def user_config_home() -> Path:
    """Return the folder that holds the configuration of all programs."""
    return found(platformdirs.user_config_dir)


def user_data_home() -> Path:
    """Return the folder that holds the data of all programs; on Windows the roaming one, where the Start menu lies."""
    return found(platformdirs.user_data_dir, roaming=True)


def cache_dir() -> Path:
    """Return the folder of what can be fetched or made again."""
    return found(platformdirs.user_cache_dir, APP_ID, appauthor=False)


def ledger_file() -> Path:
    """Return the file of what finished requests used and cost."""
    return state_file().with_name("usage.sqlite3")


def kept_requests_dir() -> Path:
    """Return the folder of requests that are kept with all that was said, where the user wants that."""
    return state_file().with_name("requests")


def asset(name: str) -> Path:
    """Return an asset's path: beside the code in a checkout, inside the package when installed."""
    package = Path(__file__).parent
    installed = package / "_assets"
    return (installed if installed.is_dir() else package.parent / "assets") / name
