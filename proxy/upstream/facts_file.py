"""The file of what was learned about upstreams. What cannot be read of it was never learned."""

import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from proxy.files import write_private
from proxy.policy.refused_parameters import RENAMED, REPAIRABLE, Repair
from proxy.upstream.facts import MAX_NAME, Fact, Habit, Learned

MAX_FILE_BYTES = 2_097_152  # more than the fullest file has
OLD_REPAIRS_FILE, OLD_HABITS_FILE = "learned-repairs.json", "upstreams.json"  # of versions with a file for each kind

log = logging.getLogger(__name__)


def take_over(file: Path) -> None:
    """Take over the file of repairs that an older version has written, and remove that of habits, which last a day."""
    with suppress(OSError):
        old = file.with_name(OLD_REPAIRS_FILE)
        if not file.exists():
            old.rename(file)  # its rows are the same
        old.unlink(missing_ok=True)
    with suppress(OSError):
        file.with_name(OLD_HABITS_FILE).unlink(missing_ok=True)


def stamp_of(file: Path) -> object:
    """Return what changes with a file: its time, size and number; None where there is none."""
    try:
        status = file.stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_size, status.st_ino)


def write_facts(file: Path, held: Iterable[Learned]) -> None:
    """Have a file hold these facts and no others; raises OSError."""
    write_private(file, json.dumps([row_of(learned) for learned in held], indent=1).encode())


def row_of(learned: Learned) -> dict[str, object]:
    """Return a fact as it stands in the file."""
    fact = learned.fact
    told = {"habit": fact.value} if isinstance(fact, Habit) else {"parameter": fact.parameter, "as": fact.new_name}
    return {"upstream": learned.upstream, "model": learned.model, **told, "at": learned.at}


def read_facts(file: Path) -> list[Learned]:
    """Return what a file holds; what is wrong in it is left out, and the log says so."""
    if not file.is_file():
        return []
    try:
        with file.open("rb") as opened:
            rows = json.loads(opened.read(MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        log.warning("what was learned about upstreams cannot be read from %s: %s", file, error)
        return []
    found = [learned_of(row) for row in rows] if isinstance(rows, list) else [None]
    if None in found:
        log.warning("%s has entries that are not valid; they are ignored", file)
    return [learned for learned in found if learned is not None]


def learned_of(row: Any) -> Learned | None:
    """Return a row of the file as a value; None where it is none, or would change what no repair may."""
    match row:
        case {"upstream": str(upstream), "model": str(model), "habit": str(habit), "at": float(at)}:
            fact: Fact | None = next((each for each in Habit if each.value == habit), None)
        case {"upstream": str(upstream), "model": str(model), "parameter": str(name), "as": new_name, "at": float(at)}:
            is_allowed = name in REPAIRABLE and new_name in (None, RENAMED.get(name))
            fact = Repair(name, new_name) if is_allowed else None
        case _:
            return None
    return None if fact is None or max(len(upstream), len(model)) > MAX_NAME else Learned(upstream, model, fact, at)
