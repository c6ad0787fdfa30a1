"""Hold the settings in force: one frozen snapshot, replaced whole. A listener may refuse a change, which undoes it."""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from proxy import paths
from proxy.errors.configuration import EnvironmentBroken, SettingError, SettingsBroken, SettingsFileWrong
from proxy.errors.proxy_error import ProxyError
from proxy.files import held, target_of
from proxy.settings.file_text import FileState, read_content, replace_content
from proxy.settings.loading import InForce, Loader, Origin
from proxy.settings.model import Settings, about, variable
from proxy.settings.sources import as_plain, changed, place
from proxy.settings.taken_up import TakenUp

Listener = Callable[[Settings, Settings], None]
Observer = Callable[[], None]

LOCK_LIMIT_S = 5.0

log = logging.getLogger(__name__)


class SettingsStore:
    """Hold the current settings and where each came from.

    Every method may be called on any thread. `update` and `reload` call the listeners on the caller's thread, one
    change after the other. So a listener may change a setting itself, but must not wait for another thread that does.

    A mistake in the settings file does not stop the start: it is kept as the `problem`. One in the environment or on
    the command line raises SettingError; with `starts_anyway` one in the environment becomes the `problem` too.
    """

    def __init__(
        self,
        path: Path,
        command_line: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] = os.environ,
        *,
        starts_anyway: bool = False,
    ) -> None:
        self.path = path
        self._environment = environment
        self._listeners: list[Listener] = []
        self._observers: list[Observer] = []
        self._one_at_a_time = threading.RLock()
        self._loader = Loader(path, command_line or {}, environment, starts_anyway=starts_anyway)
        self.in_force = self._loader.load()  # frozen, and replaced whole
        self.taken_up: TakenUp | None = None  # the last edit by hand that was put in force
        if self.problem is not None:
            log.error("%s", self.warning)
        for sentence in self.passed_over:
            log.warning("%s", sentence)

    @property
    def current(self) -> Settings:
        """Return the settings in force; code that sends requests to an upstream uses `chosen`."""
        return self.in_force.settings

    @property
    def chosen(self) -> Settings:
        """Return the settings that the user has chosen; raises SettingsBroken while they are unknown."""
        in_force = self.in_force
        if not in_force.is_known:
            raise (EnvironmentBroken if in_force.is_environment_wrong else SettingsBroken)(in_force.problem or "")
        return in_force.settings

    @property
    def is_known(self) -> bool:
        """Return whether the user's choices are known, from the settings file or its last good copy."""
        return self.in_force.is_known

    @property
    def problem(self) -> str | None:
        """Return what is wrong with the settings file or the environment, None if nothing is."""
        return self.in_force.problem

    @property
    def passed_over(self) -> tuple[str, ...]:
        """Return a sentence for each environment variable that is ignored, as it is meant for the tools."""
        return self.in_force.passed_over

    @property
    def warning(self) -> str | None:
        """Return the problem in sentences, with its effect and the remedy."""
        if self.problem is None:
            return None
        if self.in_force.is_environment_wrong:
            return f"The environment is wrong: {self.problem}. Nothing is relayed; correct it, and start again."
        what = "The last good settings stay in force" if self.is_known else "Nothing is relayed"
        stop = "" if self.problem.endswith("?") else "."
        return f"The settings file is wrong: {self.problem}{stop} {what} until it is mended; no restart is needed."

    def read_anew(self) -> "SettingsStore":
        """Return a new store that reads the file and the environment again, without this one's command line."""
        return SettingsStore(self.path, None, self._environment, starts_anyway=True)

    def origin(self, field: str) -> Origin:
        """Return where a setting's value comes from."""
        return self.in_force.origins.get(field, "default" if self.is_known else "not known")

    def fixed_by(self, field: str) -> Origin | None:
        """Return what fixes a setting, so that `update` would refuse to change it; None if nothing does."""
        origin = self.origin(field)
        return origin if origin in ("environment", "command line") else None

    def listen(self, listener: Listener, *, may_refuse: bool = False) -> None:
        """Call the listener with (old, new) after each change; it may raise ProxyError to refuse the change.

        Who is known to refuse is asked before the others have begun anything.
        """
        self._listeners.insert(0 if may_refuse else len(self._listeners), listener)

    def observe(self, observer: Observer) -> None:
        """Call the observer after each finished change, and when the problem of the settings file changes.

        It is called on the thread that made the change, which it must not hold up.
        """
        self._observers.append(observer)

    def update(self, **changes: Any) -> Settings:
        """Write a change to the settings file and apply it, with everything else the file holds now.

        A change is a value, None for the default, or a function that makes the new value of the one the file holds now:
        what somebody has written there by hand meanwhile is added to, not replaced. It is called again where the file
        is saved in that very moment.

        Raises SettingError when a value is wrong or fixed by the environment or command line, or the file is wrong;
        OSError when the file cannot be written, and what a listener refuses the change with. In each case nothing has
        changed.
        """
        with self._one_change():
            self._check_may_change(changes)
            with held(lock_file(self.path), LOCK_LIMIT_S):  # against other processes of ours; no editor asks for it
                before, values, new = self._prepare(changes)
                while read_content(self.path) != before.content:  # somebody has saved it since
                    before, values, new = self._prepare(changes)
                if new.content != before.content:
                    replace_content(self.path, new.content)
            try:
                self._put_in_force(new)
            except ProxyError:
                self._restore_file(new, before, values)
                raise
            self._loader.keep_copy(self.in_force)
            return self.current

    def reload(self, seen: FileState) -> bool:
        """Apply what somebody else wrote to the settings file; return False if the file has changed since `seen`.

        What is wrong with it, and what a listener refuses it with, becomes the `problem`: nothing else has changed
        then. What is in force already, as after an `update`, is no change, and no listener hears of it.
        """
        with self._one_change():
            if FileState.of(self.path) != seen:
                return False
            try:
                self._reload(seen)
            except SettingsFileWrong as error:
                self._note_problem(error.detail)
            except SettingError as error:  # one of the environment's, which the file resolved before
                self._note_problem(f"{self.path}: {error.detail}")
            return True

    def _reload(self, seen: FileState) -> None:
        """Apply the content that the settings file was seen to hold; raises SettingError."""
        old = self.in_force
        if seen.problem is not None:
            raise SettingsFileWrong(seen.problem)
        if seen.content == old.content and old.problem is None:
            return
        new = self._loader.judge(seen.content, is_expected=self._is_file_expected)
        fields = differing(old.settings, new.settings)
        if fields:
            try:
                self._put_in_force(new)
            except ProxyError as error:
                raise SettingsFileWrong(f"{self._place_of(fields, seen)}: {error.detail or error.title}") from error
        else:
            self.in_force = replace(new, settings=old.settings)
        self._loader.keep_copy(self.in_force)
        if fields or old.problem:
            self.taken_up = TakenUp(self.path.name, tuple(fields), time.time(), was_wrong=old.problem is not None)
        what = "is right again" if old.problem else "has changed"
        log.info("the settings file %s; put in force: %s", what, ", ".join(map(variable, fields)) or "nothing new")

    @contextmanager
    def _one_change(self) -> Iterator[None]:
        """Serialise changes, and tell the observers after each."""
        before = self.in_force
        try:
            with self._one_at_a_time:
                before = self.in_force
                yield
        finally:
            if self.in_force is not before:
                for observer in self._observers:
                    observer()

    def _prepare(self, changes: Mapping[str, Any]) -> tuple[InForce, dict[str, Any], InForce]:
        """Return the file's state, the changes as values, and the settings that result."""
        before = self._read()
        values = {
            field: as_plain(change(getattr(before.settings, field)) if callable(change) else change)
            for field, change in changes.items()
        }
        kept = {name: value for name, value in {**before.file_values, **values}.items() if value is not None}
        return before, values, replace(self._loader.merge(kept), content=changed(before.content, values, self.path))

    def _read(self) -> InForce:
        """Return the settings that result from the file now; raises SettingsFileWrong, and keeps it as the problem."""
        try:
            return self._loader.read(is_expected=self._is_file_expected)
        except SettingsFileWrong as error:
            self._note_problem(error.detail)
            raise

    @property
    def _is_file_expected(self) -> bool:
        """Return whether a missing or empty file is a mistake, and not a choice of the defaults."""
        return bool(self.in_force.file_values) or not self.is_known

    def _note_problem(self, problem: str) -> None:
        """Keep what is wrong with the settings file, and log it once."""
        if problem != self.problem and not self.in_force.is_environment_wrong:  # that is told, and no file mends it
            self.in_force = replace(self.in_force, problem=problem)
            log.error("%s", self.warning)

    def _place_of(self, fields: list[str], seen: FileState) -> str:
        """Return the place of the refused setting in the file; of several, the one that moves the server."""
        moving = [field for field in fields if about(field).restart]
        return place(self.path, seen.content, (moving or fields)[0])

    def _put_in_force(self, new: InForce) -> None:
        """Apply the new settings and call the listeners; if one refuses, restore the old ones and raise its error."""
        old, self.in_force = self.in_force, new
        agreed: list[Listener] = []
        try:
            for listener in self._listeners:
                listener(old.settings, new.settings)
                agreed.append(listener)
        except ProxyError:
            self.in_force = old
            for listener in reversed(agreed):
                listener(new.settings, old.settings)
            raise

    def _restore_file(self, new: InForce, before: InForce, changes: Mapping[str, Any]) -> None:
        """Remove a refused change from the file; keep what somebody else has written there meanwhile."""
        try:
            with held(lock_file(self.path), LOCK_LIMIT_S):
                content = read_content(self.path)
                if content == new.content:
                    restored = before.content
                else:
                    values = {field: before.file_values.get(field) for field in changes}
                    restored = changed(content, values, self.path)
                replace_content(self.path, restored)
        except (SettingError, TimeoutError) as error:
            log.warning("a refused change stays in the settings file: %s", error)

    def _check_may_change(self, changes: Mapping[str, Any]) -> None:
        for field in changes:
            if field not in Settings.model_fields:
                raise SettingError(f"{field} is no setting")
            if about(field).secret:
                raise SettingError(f"{variable(field)} is a key, and keys do not belong in files")
            if (fixed_by := self.fixed_by(field)) is not None:
                raise SettingError(f"{variable(field)} is fixed by the {fixed_by}")


def lock_file(path: Path) -> Path:
    """Return the file whose lock guards a settings file, whichever path leads to it."""
    name = os.path.normcase(target_of(path)).encode("utf-8", "surrogateescape")
    return paths.state_file().with_name(f"settings-{hashlib.sha256(name).hexdigest()[:16]}.lock")


def differing(old: Settings, new: Settings) -> list[str]:
    """Return the names of the settings that differ."""
    return [field for field in Settings.model_fields if getattr(old, field) != getattr(new, field)]
