"""The environment of an empty computer: without the settings and proxies of whoever runs the tests."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fakes.leaks import know
from proxy.settings.model import Settings

ROOT = Path(__file__).parents[2]
FOREIGN = ("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
OURS = (*map(str.upper, Settings.model_fields), "PROXY_API_KEY", "STREAM_TEST", "START_COMMAND")
FOLDERS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
# Windows asks its registry for these, and platformdirs first asks here.
OF_WINDOWS = {"WIN_PD_OVERRIDE_LOCAL_APPDATA": "local", "WIN_PD_OVERRIDE_APPDATA": "roaming", "USERPROFILE": ""}


def folders_below(home: Path) -> dict[str, Path]:
    """Return the user's folders by their variables. The address of a socket may be 107 bytes long: `run` is short."""
    of_linux = {"HOME": home, **{name: home / name.lower() for name in FOLDERS}, "XDG_RUNTIME_DIR": home / "run"}
    of_windows = {name: home / folder for name, folder in OF_WINDOWS.items()} if sys.platform == "win32" else {}
    return {**of_linux, **of_windows}


def clean(patch: pytest.MonkeyPatch) -> None:
    """Take settings and proxies out of the environment."""
    for name in (*OURS, *FOREIGN):
        patch.delenv(name, raising=False)
        patch.delenv(name.lower(), raising=False)


@contextmanager
def clean_environment() -> Iterator[None]:
    """Do so for what outlives one test."""
    with pytest.MonkeyPatch.context() as patch:
        clean(patch)
        yield


def environment(home: Path, **variables: str) -> dict[str, str]:
    """Return an environment for a program: the user's folders below `home`, and these variables added."""
    kept = {name: value for name, value in os.environ.items() if name.upper() not in (*OURS, *FOREIGN)}
    folders = folders_below(home)
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = {name: str(folder) for name, folder in folders.items()}
    know(variables.get("OPENAI_API_KEY"), *variables.get("PROXY_API_KEYS", "").split(","))
    return kept | told | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **variables}
