"""Which parameters which models do without, as learnt from refusals: kept in the state folder for thirty days."""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.files import write_private
from proxy.policy.refused_parameters import RENAMED, REPAIRABLE, Repair

KEPT_S = 30 * 86_400.0
MAX_ENTRIES = 500
MAX_FILE_BYTES = 262_144
MAX_MODEL_CHARACTERS = 200  # a caller may name any model
LOOK_EVERY_S = 1.0  # at the file, which the doctor may have emptied

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Learned:
    """A repair that worked, for one upstream and model; `at` is the wall clock's time in seconds."""

    upstream: str
    model: str
    repair: Repair
    at: float

    def __str__(self) -> str:
        return f"{self.repair} for {self.model or 'requests without a model'} at {self.upstream}"


class LearnedRepairs:
    """Remember repairs. For any thread; what is learnt is written by a thread of its own."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[tuple[str, str, str], Learned] = {}
        self._stamp: object = ()  # of the file, as it was read
        self._looked_at = float("-inf")
        self.may_hold_some = True  # False: it is known that there are none

    def of(self, upstream: str, model: str) -> list[Repair]:
        """Return the repairs that one model of one upstream needs."""
        self.follow()
        if not self._entries:
            return []
        oldest = self._clock() - KEPT_S
        entries = list(self._entries.values())
        return [
            each.repair for each in entries if (each.upstream, each.model) == (upstream, model) and each.at > oldest
        ]

    def all(self) -> list[Learned]:
        """Return every repair that is in force, as the doctor tells them."""
        self.follow()
        oldest = self._clock() - KEPT_S
        return [each for each in list(self._entries.values()) if each.at > oldest]

    def learn(self, upstream: str, model: str, repair: Repair) -> bool:
        """Keep a repair that worked; False where it is known, or its model's name is too long to be kept."""
        if len(model) > MAX_MODEL_CHARACTERS:
            return False
        place = (upstream, model, repair.parameter)
        with self._lock:
            known = self._entries.get(place)
            if known is not None and known.repair == repair and known.at > self._clock() - KEPT_S:
                return False
            self._entries[place] = Learned(upstream, model, repair, self._clock())
            self.may_hold_some = True
            while len(self._entries) > MAX_ENTRIES:
                del self._entries[min(self._entries, key=lambda each: self._entries[each].at)]
        threading.Thread(target=self._write, name="learned-repairs", daemon=True).start()
        return True

    def forget(self) -> int:
        """Forget all of them; returns how many there were. Raises OSError. May block."""
        self.follow()
        with self._lock:
            count = len(self._entries)
            self._entries = {}
            self.may_hold_some = False
            self._path.unlink(missing_ok=True)
        return count

    def follow(self) -> None:
        """Read the file again where somebody else has changed it, once a second at most. May block."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        stamp = stamp_of(self._path)
        if stamp != self._stamp:
            with self._lock:
                self._stamp = stamp
                self._entries = {(each.upstream, each.model, each.repair.parameter): each for each in read(self._path)}
        self.may_hold_some = bool(self._entries)

    def _write(self) -> None:
        with self._lock:
            rows = [
                {
                    "upstream": e.upstream,
                    "model": e.model,
                    "parameter": e.repair.parameter,
                    "as": e.repair.new_name,
                    "at": e.at,
                }
                for e in self._entries.values()
            ]
            try:
                write_private(self._path, json.dumps(rows, indent=1).encode())
            except OSError as error:
                log.warning("what was learnt of parameters cannot be kept: %s", error)
                self._stamp = stamp_of(self._path)
            else:
                self._stamp = stamp_of(self._path) or ()  # gone already: another process has forgotten it just now


def stamp_of(path: Path) -> object:
    """Return what changes with a file: its time, size and number; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def read(path: Path) -> list[Learned]:
    """Return what a file holds; what is wrong in it is left out."""
    try:
        with path.open("rb") as file:
            rows = json.loads(file.read(MAX_FILE_BYTES))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RecursionError) as error:
        log.warning("what was learnt of parameters cannot be read: %s", error)
        return []
    return [learned for row in rows if (learned := learned_of(row))] if isinstance(rows, list) else []


def learned_of(row: Any) -> Learned | None:
    """Return a row as a value; None where it is none, or would change what no repair may."""
    match row:
        case {"upstream": str(upstream), "model": str(model), "parameter": str(name), "as": new_name, "at": float(at)}:
            if name in REPAIRABLE and new_name in (None, RENAMED.get(name)):
                return Learned(upstream, model, Repair(name, new_name), at)
    return None
