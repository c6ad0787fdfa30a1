"""Where settings come from: the environment and the settings file. Neither keeps a secret."""

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import tomlkit
from pydantic_settings import EnvSettingsSource
from tomlkit.exceptions import TOMLKitError

from proxy.errors import SettingError
from proxy.settings.model import Settings, about, variable


class BrokenSettingsFile(SettingError):
    """Name the line of a settings file that cannot be read."""

    title = "The settings file is not valid TOML"


def read_environment() -> dict[str, Any]:
    """Return what the environment sets, as text."""
    return dict(EnvSettingsSource(Settings)())


def read_file(path: Path) -> dict[str, Any]:
    """Return what the settings file sets; a missing file sets nothing.

    Raises BrokenSettingsFile for bad TOML, SettingError for names it may not hold.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenSettingsFile(f"{path}: {error}") from error
    try:
        values = tomlkit.parse(text).unwrap()
    except TOMLKitError as error:
        raise BrokenSettingsFile(f"{path}: {error}") from error
    return {check_name(name, path): value for name, value in values.items()}


def check_name(name: str, path: Path) -> str:
    """Return the field a file's key means; raises SettingError for a secret or an unknown name."""
    field = name.lower()
    if field not in Settings.model_fields:
        raise SettingError(f"{path} sets {name}, which is no setting")
    if about(field).secret:
        raise SettingError(
            f"{path} holds {name}; keys do not belong in files: set {variable(field)} in the environment"
        )
    return field


def set_aside(path: Path) -> Path:
    """Move a broken settings file out of the way and return its new place; raises OSError."""
    stamp = datetime.now(timezone.utc).strftime("%Y-%m-%d-%H%M%S")
    aside = path.with_name(f"{path.name}.bad-{stamp}")
    path.replace(aside)
    return aside


def write_file(path: Path, changes: Mapping[str, Any]) -> None:
    """Change some settings in the file and keep the rest of it, comments too; None removes one.

    Raises OSError. The file is complete at every moment: written beside, synced, renamed.
    """
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = tomlkit.document()
    for field, value in changes.items():
        if value is None:
            document.pop(field, None)
        else:
            document[field] = list(value) if isinstance(value, tuple) else value
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    with open(beside, "w", encoding="utf-8", opener=open_private) as file:
        file.write(tomlkit.dumps(document))
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def open_private(path: str, flags: int) -> int:
    """Open a file that only its owner can read."""
    return os.open(path, flags, mode=0o600)
