"""The settings in force: one frozen snapshot, replaced whole; changes can be refused and are then undone."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from proxy.errors import ProxyError, SettingError
from proxy.settings.model import Contradiction, Settings, about, variable
from proxy.settings.sources import BrokenSettingsFile, read_environment, read_file, set_aside, write_file

Origin = Literal["command line", "environment", "settings file", "default"]
Listener = Callable[[Settings, Settings], None]

log = logging.getLogger(__name__)


class SettingsStore:
    """Hold the current settings and where each came from.

    `current` may be read on any thread. `update` is called on one thread at a time and calls the listeners there,
    with no lock held.
    """

    def __init__(self, path: Path, command_line: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._command_line = dict(command_line or {})
        self._listeners: list[Listener] = []
        self._writing = threading.Lock()
        self.set_aside: Path | None = None
        self._origins: dict[str, Origin] = {}
        self.current = self._load()

    def origin(self, field: str) -> Origin:
        """Say where a setting's value comes from."""
        return self._origins.get(field, "default")

    def listen(self, listener: Listener) -> None:
        """Call the listener with (old, new) after each change; it may raise ProxyError to refuse the change."""
        self._listeners.append(listener)

    def update(self, **changes: Any) -> Settings:
        """Keep a change in the settings file and put it in force; None goes back to the default.

        Raises SettingError when a value is wrong or fixed by the environment or command line, OSError when the file
        cannot be written, and what a listener refuses the change with. In each case nothing has changed.
        """
        with self._writing:
            for field in changes:
                if self.origin(field) in ("command line", "environment"):
                    raise SettingError(f"{variable(field)} is fixed by the {self.origin(field)}")
            kept = read_file(self.path)
            wanted = {name: value for name, value in {**kept, **changes}.items() if value is not None}
            old_origins, old = self._origins, self.current
            new = self._merge(wanted)
            write_file(self.path, changes)
            self.current = new
        told: list[Listener] = []
        try:
            for listener in self._listeners:
                told.append(listener)
                listener(old, new)
        except ProxyError:
            with self._writing:
                write_file(self.path, {field: kept.get(field) for field in changes})
                self.current, self._origins = old, old_origins
            for listener in reversed(told[:-1]):
                listener(new, old)
            raise
        return new

    def _load(self) -> Settings:
        try:
            values = read_file(self.path)
        except BrokenSettingsFile as error:
            self.set_aside = set_aside(self.path)
            log.error("%s The file is kept as %s; the defaults are in force, tools are off.", error, self.set_aside)  # noqa: TRY400  the sentence says it all
            values = {}
        return self._merge(values)

    def _merge(self, file_values: Mapping[str, Any]) -> Settings:
        layers: list[tuple[Origin, Mapping[str, Any]]] = [
            ("settings file", file_values),
            ("environment", read_environment()),
            ("command line", self._command_line),
        ]
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for origin, layer in layers:
            values.update(layer)
            origins.update(dict.fromkeys(layer, origin))
        settings = validate(values, origins)
        self._origins = origins
        return settings


def validate(values: Mapping[str, Any], origins: Mapping[str, Origin]) -> Settings:
    """Check the values against the table; raises SettingError naming the variable, what was read, what is expected."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        cause = problem.get("ctx", {}).get("error")
        field = cause.field if isinstance(cause, Contradiction) else str(problem["loc"][0])
        read = "a value" if about(field).secret else repr(values.get(field))
        why = f" ({cause})" if isinstance(cause, ValueError) else ""
        where = origins.get(field, "default")
        raise SettingError(
            f"{variable(field)} is {read} (from the {where}), expected {about(field).expects}{why}"
        ) from error
