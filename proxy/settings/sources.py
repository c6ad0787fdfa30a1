"""Where settings come from: the environment and the settings file. Neither keeps a secret."""

from collections.abc import Mapping
from datetime import datetime, timezone
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomlkit
from pydantic_settings import EnvSettingsSource
from tomlkit.exceptions import TOMLKitError

from proxy.errors import BrokenSettingsFile, SettingError
from proxy.files import target_of, write_private
from proxy.settings.model import Settings, about, variable


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
    except OSError as error:
        raise BrokenSettingsFile(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
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
        meant = get_close_matches(field, Settings.model_fields, 1)
        raise SettingError(f"{path} sets {name}, which is no setting{f'; is it {meant[0]}?' if meant else ''}")
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

    Raises SettingError for a value TOML cannot hold, OSError; the file is then as it was.
    """
    document = tomlkit.parse(content.decode("utf-8")) if (content := read_content(path)) else tomlkit.document()
    for field, value in changes.items():
        for name in [name for name in document if name.lower() == field and (value is None or name != field)]:
            del document[name]
        if value is not None:
            try:
                document[field] = list(value) if isinstance(value, tuple) else value
            except TOMLKitError as error:
                raise SettingError(f"{variable(field)} cannot be kept in the settings file ({error})") from error
    replace_content(path, tomlkit.dumps(document).encode())


def read_content(path: Path) -> bytes | None:
    """Return the file's bytes, None where there is no file; raises OSError."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def replace_content(path: Path, content: bytes | None) -> None:
    """Put bytes in the file's place; None removes it. Raises OSError, and then nothing has changed."""
    if content is None:
        target_of(path).unlink(missing_ok=True)
    else:
        write_private(path, content)
