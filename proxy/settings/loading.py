"""Load the settings from all sources, and decide what holds if the settings file is wrong.

A mistake in the file never brings the defaults back: the last good settings stay in force, from a private copy. Without
a copy nothing is relayed until the file is corrected.
"""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from proxy.errors.configuration import SettingError, SettingsContradict, SettingsFileWrong
from proxy.logs.redaction import shown_value
from proxy.settings.file_text import is_blank, read_content
from proxy.settings.good_copy import GoodCopy
from proxy.settings.model import Settings, about, variable
from proxy.settings.parsing import cut, parse_json
from proxy.settings.sources import parse, place, read_environment
from proxy.settings.upstreams import Contradiction, OwnAddress

Origin = Literal["command line", "environment", "settings file", "last good settings", "default", "not known"]

# What holds whatever environment and command line say, as long as nobody knows what the user has chosen: the program is
# there for this computer alone, to say what is wrong, and even who does not ask `is_known` reaches no upstream.
NOT_KNOWN: Mapping[str, Any] = {
    "openai_base_url": "https://settings-file-is-wrong.invalid/v1",  # RFC 6761: this name never resolves
    "proxy_host": "127.0.0.1",
    "enable_tool_execution": False,
}

# What README has users export for their tools, and the program finds in the same environment.
OWN_ADDRESS = (
    "OPENAI_BASE_URL in the environment is this proxy's own address, which is meant for your tools; it is passed over, "
    "and the upstream is that of the settings file, else the default"
)
OWN_KEY = (
    "OPENAI_API_KEY in the environment is a key of this proxy, which is meant for your tools; it is passed over, and "
    "the upstream's key is that of the keyring"
)
PROXY_KEY = re.compile(r"op-[A-Za-z0-9_-]{43}")  # as `keys.proxy_keys` makes them

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class InForce:
    """The settings in force, the origin of each, and what is wrong with the settings file."""

    settings: Settings
    origins: Mapping[str, Origin]
    content: bytes | None = None  # of the settings file, as it was read
    file_values: Mapping[str, Any] = field(default_factory=dict)  # what it sets
    problem: str | None = None
    is_known: bool = True  # what the user has chosen is
    is_environment_wrong: bool = False  # the problem is the environment's, not the file's
    passed_over: tuple[str, ...] = ()  # variables that can only be meant for the tools, each with what to do


class Loader:
    """Load the settings from one settings file, the environment and the command line."""

    def __init__(
        self,
        path: Path,
        command_line: Mapping[str, Any],
        environment: Mapping[str, str] = os.environ,
        *,
        starts_anyway: bool = False,
    ) -> None:
        self._path = path
        self._environment = environment  # the process's may be without its keys
        self._starts_anyway = starts_anyway
        self._passes_over_address = False
        self._command_line = dict(command_line)
        self._good_copy = GoodCopy(path)

    def load(self) -> InForce:
        """Return the settings for the start; raises SettingError if the environment or the command line is wrong.

        A mistake in the settings file becomes the result's `problem`; so does one in the environment for a start
        anyway, and then nothing is relayed: the next best value could send the key to somebody else.
        """
        try:
            try:
                return self._load()
            except SettingsContradict as error:
                # At the start alone: a port that is moved later onto the upstream's must not choose another upstream.
                if not error.is_own_address or error.origin != "environment":
                    raise
                self._passes_over_address = True
                return self._load()
        except SettingError as error:
            if not self._starts_anyway or error.origin != "environment":
                raise
            origins: dict[str, Origin] = dict.fromkeys(NOT_KNOWN, "not known")
            settings = validate(NOT_KNOWN, origins)
            return InForce(settings, origins, problem=error.detail, is_known=False, is_environment_wrong=True)

    def _load(self) -> InForce:
        try:
            in_force = self.read()
        except SettingsFileWrong as error:
            return self._without_file(error.detail)
        if in_force.content is None and self._good_copy.read() is not None:
            log.warning("the settings file %s is gone; the defaults are in force", self._path)
        self.keep_copy(in_force)
        return in_force

    def read(self, *, is_expected: bool = False) -> InForce:
        """Read the settings file and return the settings that result; raises as `judge`."""
        return self.judge(read_content(self._path), is_expected=is_expected)

    def judge(self, content: bytes | None, *, is_expected: bool) -> InForce:
        """Return the settings that result from a content of the settings file; raises SettingsFileWrong.

        An empty file that held settings before was cut off, by a full disk or a crash, and is wrong too.
        Where a file is expected and gone, an editor may have it in its hands, or its disk went: the defaults come with
        a restart, and not while the program runs.
        """
        if content is None and is_expected:
            raise SettingsFileWrong(f"{self._path} is gone; only a restart goes back to the defaults")
        if content is not None and is_blank(content) and (is_expected or self._good_copy.read() is not None):
            raise SettingsFileWrong(f"{self._path} is empty; delete it to go back to the defaults")
        return self._of(content, "settings file")

    def merge(self, file_values: Mapping[str, Any]) -> InForce:
        """Return the settings that would result if the settings file held these values; raises SettingError."""
        return self._merge("settings file", file_values)

    def keep_copy(self, in_force: InForce) -> None:
        """Save the settings in force as the last good settings.

        A file that sets nothing is not saved: the defaults must never replace the user's choices.
        """
        try:
            if in_force.content is not None and in_force.file_values:
                self._good_copy.keep(in_force.content)
            else:
                self._good_copy.forget()
        except OSError as error:
            log.warning("the last good settings cannot be kept: %s", error)

    def _without_file(self, problem: str) -> InForce:
        """Return the last good settings; if there are none, settings with which nothing is relayed."""
        if (copy := self._good_copy.read()) is not None:
            try:
                return replace(self._of(copy, "last good settings"), problem=problem)
            except SettingError as error:
                log.warning("the last good settings cannot be used: %s", error.detail)
        try:
            self._merge("settings file", {})  # raises where environment or command line are wrong
        except SettingsContradict as error:
            log.debug("%s: the settings file may resolve that", error)
        return replace(self._merge("settings file", {}, NOT_KNOWN), problem=problem, is_known=False)

    def _of(self, content: bytes | None, origin: Origin) -> InForce:
        """Return the settings that result from a content of the settings file.

        Raises SettingsFileWrong for mistakes in the file, SettingError for those in environment and command line.
        """
        values = parse(content, self._path)
        try:
            return replace(self._merge(origin, values), content=content)
        except SettingError as error:
            is_own = error.origin == origin
            if not is_own:
                self._merge(origin, {})  # raises where the fault is not the file's
            where = place(self._path, content, error.field if is_own else None)
            raise SettingsFileWrong(f"{where}: {error.detail}") from error

    def _merge(self, file: Origin, file_values: Mapping[str, Any], forced: Mapping[str, Any] | None = None) -> InForce:
        environment = read_environment(self._environment)
        passed_over: tuple[str, ...] = ()
        if is_proxy_key(environment.get("openai_api_key")):
            del environment["openai_api_key"]
            passed_over = (OWN_KEY,)
        if self._passes_over_address and "openai_base_url" in environment:
            del environment["openai_base_url"]
            passed_over = (*passed_over, OWN_ADDRESS)
        return replace(self._layered(file, file_values, environment, forced or {}), passed_over=passed_over)

    def _layered(
        self,
        file: Origin,
        file_values: Mapping[str, Any],
        environment: Mapping[str, Any],
        forced: Mapping[str, Any],
    ) -> InForce:
        layers: list[tuple[Origin, Mapping[str, Any]]] = [
            (file, file_values),
            ("environment", environment),
            ("command line", self._command_line),
            ("not known", forced),
        ]
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for origin, layer in layers:
            values.update(layer)
            origins.update(dict.fromkeys(layer, origin))
        return InForce(validate(values, origins), origins, file_values=file_values)


def is_proxy_key(value: object) -> bool:
    """Return whether a value is a proxy key made by this program; no upstream may see one."""
    return isinstance(value, str) and PROXY_KEY.fullmatch(value.strip().strip("\"'")) is not None


def validate(values: Mapping[str, Any], origins: Mapping[str, Origin]) -> Settings:
    """Check the values against the table; raises SettingError naming the variable, what was read, what is expected."""
    try:
        return Settings.model_validate(values)
    except RecursionError as error:
        raise SettingError("a value is nested too deep") from error
    except ValidationError as error:
        problem = error.errors()[0]
        cause = problem.get("ctx", {}).get("error")
        name = cause.field if isinstance(cause, Contradiction) else str(problem["loc"][0])
        origin = origins.get(name, "default")
        row = row_of(values.get(name), problem["loc"]) if name == "proxy_upstreams" else None
        is_hidden = about(name).secret or not {"headers", "query"}.isdisjoint(
            problem["loc"]
        )  # a key, where none belongs
        read = "" if is_hidden else f" is {cut(shown_value(values.get(name)))}"
        inner = f"{row or ''}{within(problem['loc'])}"
        why = f": {inner}{cause}; expected is " if isinstance(cause, ValueError) else ", expected "
        if inner and not isinstance(cause, ValueError):
            why = f": {inner}{problem['msg']}; expected is "
        kind = SettingsContradict if isinstance(cause, Contradiction) else SettingError
        wrong = kind(f"{variable(name)}{read} (from the {origin}){why}{about(name).expects}")
        wrong.field, wrong.origin = name, origin
        if isinstance(wrong, SettingsContradict):
            wrong.is_own_address = isinstance(cause, OwnAddress)
        raise wrong from None  # pydantic's own error shows every value, keys too


def row_of(value: object, loc: tuple[int | str, ...]) -> str | None:
    """Say which row of the table of upstreams is meant, by its name where it has one; return None where none is."""
    if len(loc) < 2 or not isinstance(loc[1], int):
        return None
    rows = parse_json(value)
    row = rows[loc[1]] if isinstance(rows, (list, tuple)) and loc[1] < len(rows) else None
    name = row.get("name") if isinstance(row, dict) else None
    return f"the upstream {cut(name)}, row " if isinstance(name, str) else "row "


def within(loc: tuple[int | str, ...]) -> str:
    """Name the part of a setting's value, counted from 1, such as `2, auth: `; an empty text means the whole."""
    parts = [str(part + 1) if isinstance(part, int) else str(part) for part in loc[1:]]
    return f"{cut(', '.join(parts))}: " if parts else ""
