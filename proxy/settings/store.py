"""The settings in force: one frozen snapshot, replaced whole; changes can be refused and are then undone."""

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from proxy.errors import BrokenSettingsFile, ProxyError, SettingError
from proxy.settings.forms import without_password
from proxy.settings.model import Contradiction, Settings, about, variable
from proxy.settings.sources import (
    read_content,
    read_environment,
    read_file,
    replace_content,
    set_aside,
    write_file,
)

Origin = Literal["command line", "environment", "settings file", "default"]
Listener = Callable[[Settings, Settings], None]

log = logging.getLogger(__name__)


class SettingsStore:
    """Hold the current settings and where each came from.

    `current` may be read on any thread, and so `update` called, which tells the listeners there and then: one change
    after the other. So a listener may change a setting itself, but must not wait for another thread that does.
    A `forgiving` store starts with the defaults where the settings file is wrong, and keeps the
    reason as its `problem`; what is wrong in the environment or on the command line is an error all the same.
    """

    def __init__(
        self, path: Path, command_line: Mapping[str, Any] | None = None, *, is_forgiving: bool = False
    ) -> None:
        self.path = path
        self._command_line = dict(command_line or {})
        self._is_forgiving = is_forgiving
        self._listeners: list[Listener] = []
        self._one_at_a_time = threading.RLock()
        self.set_aside: Path | None = None
        self.problem: str | None = None  # why nothing of the settings file is in force
        self.current, self._origins = self._load()

    def origin(self, field: str) -> Origin:
        """Say where a setting's value comes from."""
        return self._origins.get(field, "default")

    def fixed_by(self, field: str) -> Origin | None:
        """Say what fixes a setting so that `update` would refuse to change it, None where nothing does."""
        origin = self.origin(field)
        return origin if origin in ("environment", "command line") else None

    def listen(self, listener: Listener) -> None:
        """Call the listener with (old, new) after each change; it may raise ProxyError to refuse the change."""
        self._listeners.append(listener)

    def update(self, **changes: Any) -> Settings:
        """Keep a change in the settings file and put it in force; None goes back to the default.

        Raises SettingError when a value is wrong or fixed by the environment or command line, OSError when the file
        cannot be written, and what a listener refuses the change with. In each case nothing has changed.
        """
        with self._one_at_a_time:
            self._check_may_change(changes)
            content = read_content(self.path)
            kept = {**read_file(self.path), **changes}
            new, origins = self._merge({name: value for name, value in kept.items() if value is not None})
            write_file(self.path, changes)
            self._put_in_force(new, origins, content)
            if self.set_aside is None:
                self.problem = None  # the whole file has just been read, and is in force
            return self.current

    def _put_in_force(self, new: Settings, origins: dict[str, Origin], content_before: bytes | None) -> None:
        """Take the new settings and tell the listeners; where one refuses, all is as before, the file too."""
        old, old_origins = self.current, self._origins
        self.current, self._origins = new, origins
        agreed: list[Listener] = []
        try:
            for listener in self._listeners:
                listener(old, new)
                agreed.append(listener)
        except ProxyError:
            replace_content(self.path, content_before)
            self.current, self._origins = old, old_origins
            for listener in reversed(agreed):
                listener(new, old)
            raise

    def _check_may_change(self, changes: Mapping[str, Any]) -> None:
        for field in changes:
            if field not in Settings.model_fields:
                raise SettingError(f"{field} is no setting")
            if about(field).secret:
                raise SettingError(f"{variable(field)} is a key, and keys do not belong in files")
            if (fixed_by := self.fixed_by(field)) is not None:
                raise SettingError(f"{variable(field)} is fixed by the {fixed_by}")

    def _load(self) -> tuple[Settings, dict[str, Origin]]:
        try:
            return self._merge(read_file(self.path))
        except BrokenSettingsFile as error:
            self._put_aside(error)
        except SettingError as error:
            if not self._is_forgiving:
                raise
            defaults = self._merge({})  # raises where the fault is not the file's
            self.problem = error.detail
            log.error("%s Nothing of the settings file is in force.", error)  # noqa: TRY400  the sentence says it all
            return defaults
        return self._merge({})

    def _put_aside(self, error: BrokenSettingsFile) -> None:
        """Move a broken file out of the way of the next change, where that can be done."""
        try:
            self.set_aside = set_aside(self.path)
            self.problem = f"a broken file, kept as {self.set_aside.name}"
        except OSError:
            self.problem = error.detail
        kept = f"It is kept as {self.set_aside}. " if self.set_aside else ""
        log.error("%s %sThe defaults are in force, tools are off.", error, kept)

    def _merge(self, file_values: Mapping[str, Any]) -> tuple[Settings, dict[str, Origin]]:
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
        return validate(values, origins), origins


def validate(values: Mapping[str, Any], origins: Mapping[str, Origin]) -> Settings:
    """Check the values against the table; raises SettingError naming the variable, what was read, what is expected."""
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        cause = problem.get("ctx", {}).get("error")
        field = cause.field if isinstance(cause, Contradiction) else str(problem["loc"][0])
        read = "" if about(field).secret else f" is {without_password(repr(values.get(field)))}"
        why = f": {cause}; expected is " if isinstance(cause, ValueError) else ", expected "
        raise SettingError(
            f"{variable(field)}{read} (from the {origins.get(field, 'default')}){why}{about(field).expects}"
        ) from None  # pydantic's own error shows every value, keys too
