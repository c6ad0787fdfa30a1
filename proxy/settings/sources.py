"""Read settings from the environment and the settings file; write the file. It never holds a secret."""

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import tomlkit
from pydantic_settings import EnvSettingsSource
from tomlkit.exceptions import TOMLKitError

from proxy.errors.configuration import SettingError, SettingsFileWrong
from proxy.settings.file_text import FileText, read_content
from proxy.settings.model import Settings, about, variable
from proxy.settings.parsing import cut
from proxy.settings.statements import line_of, toml_name, with_setting
from proxy.settings.upstreams import Upstream


def read_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in an environment, as text; pass the original one, as keys are removed from the process's."""
    values = dict(EnvSettingsSource(Settings)())
    for name, value in environment.items():
        field = name.lower()
        if value and field in Settings.model_fields and about(field).secret:
            values[field] = value
    return values


def read_file(path: Path) -> dict[str, Any]:
    """Return the settings in the settings file; a missing file sets nothing. Raises SettingsFileWrong."""
    return parse(read_content(path), path)


def parse(content: bytes | None, path: Path) -> dict[str, Any]:
    """Return the settings in the file's content; raises SettingsFileWrong, also for names it may not hold."""
    if content is None:
        return {}
    try:
        text = FileText.of(content).text
        values = tomlkit.parse(text).unwrap()
    except (TOMLKitError, RecursionError) as error:
        line = f", line {error.line}" if hasattr(error, "line") else ""
        raise SettingsFileWrong(f"{path}{line}: this is not valid TOML ({reason(error)})") from error
    except ValueError as error:
        raise SettingsFileWrong(f"{path}, {error}") from error
    check_names(values, path, content)
    return {name.lower(): value for name, value in values.items()}


def reason(error: Exception) -> str:
    """Return the parser's reason, without the line; it takes a line end for a sign that a text may not hold."""
    text = str(error).partition(" at line ")[0]
    return "a quote is missing at the end" if text.endswith(r"use \u000a instead") else text


def check_names(names: Mapping[str, object], path: Path, content: bytes) -> None:
    """Raise SettingsFileWrong for an unknown name, the name of a secret, and a duplicate."""
    seen: dict[str, str] = {}
    for name in names:
        field = name.lower()
        if field not in Settings.model_fields:
            meant = get_close_matches(field, Settings.model_fields, 1)
            why = f"{cut(toml_name(name))} is no setting{suggestion(meant[0]) if meant else ''}"
        elif about(field).secret:
            why = f"it holds {name}; keys do not belong in files: set {variable(field)} in the environment"
        elif field in seen:
            why = f"it holds both {seen[field]} and {name}, which are one setting"
        else:
            seen[field] = name
            continue
        raise SettingsFileWrong(f"{place(path, content, field)}: {why}")


def suggestion(field: str) -> str:
    """Suggest a setting for an unknown name; never suggest a key, which must not stand in the file."""
    if about(field).secret:
        return "; if it is to hold a key: keys do not belong in files, but in the keyring or the environment"
    return f"; is it {field}?"


def place(path: Path, content: bytes | None, field: str | None) -> str:
    """Return the place of a setting in the settings file, for a sentence; None means the whole file."""
    line = line_of(FileText.of(content).text, field) if content and field is not None else None
    return f"{path}, line {line}" if line else f"{path}"


def changed(content: bytes | None, changes: Mapping[str, Any], path: Path) -> bytes | None:
    """Return the file's content with some settings changed and all else kept, comments too; None removes a setting.

    Raises SettingError for a value TOML cannot hold.
    """
    form, before = FileText.of(content or b""), parse(content, path)
    plain = {field: as_plain(value) for field, value in changes.items()}
    text = form.text
    for field, value in plain.items():
        if before.get(field) != value:
            text = changed_text(text, field, value)
    if text == form.text:
        return content
    new = form.content(text)
    if parse(new, path) != {name: value for name, value in {**before, **plain}.items() if value is not None}:
        raise SettingError("the settings file is written in a way that cannot be changed from here; change it by hand")
    return new


def as_plain(value: Any) -> Any:
    """Return a setting's value as a file holds it: lists, and tables by name."""
    if isinstance(value, Upstream):
        return value.table()
    if isinstance(value, Mapping):
        return {name: as_plain(part) for name, part in value.items()}
    return [as_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


def changed_text(text: str, field: str, value: object) -> str:
    """Return the file's text with one setting changed; raises SettingError."""
    try:
        new = with_setting(text, field, value)
        new.encode()  # half a character has no place in a file
    except (TOMLKitError, UnicodeEncodeError) as error:
        raise SettingError(f"{variable(field)} cannot be kept in the settings file ({error})") from error
    return new
