"""What upstreams were seen to do with streams, by upstream and model: remembered for a day, bounded, kept in a file.

The file only lets the next start, and `doctor`, know: what cannot be read of it was never learnt.
"""

import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path

from proxy.files import write_private

DAY_S = 86_400.0
MAX_FACTS = 256
MAX_NAME = 200  # characters; what has a longer name is not remembered: callers choose the names
MAX_FILE_BYTES = 262_144

log = logging.getLogger(__name__)


class Habit(Enum):
    """What an upstream does; the values stand in the file."""

    TAKES_USAGE = "takes stream_options"
    REFUSES_USAGE = "refuses stream_options"
    SENDS_FINISH = "sends a finish_reason"
    NEVER_FINISHES = "sends no finish_reason"


CONTRARY = {
    Habit.TAKES_USAGE: Habit.REFUSES_USAGE,
    Habit.REFUSES_USAGE: Habit.TAKES_USAGE,
    Habit.SENDS_FINISH: Habit.NEVER_FINISHES,
    Habit.NEVER_FINISHES: Habit.SENDS_FINISH,
}
TOLD = {
    Habit.REFUSES_USAGE: "refuses stream_options, so it is not asked for usage",
    Habit.NEVER_FINISHES: "sends no finish_reason, so its [DONE] alone ends an answer",
}

Key = tuple[str, str, Habit]  # base URL, or the address of one endpoint; model


class Habits:
    """Remember. Every method runs on the event loop, `described` on any thread."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._seen_at: OrderedDict[Key, float] | None = None  # by the wall clock: a day passes in sleep too
        self._writing = threading.Lock()

    def has(self, upstream: str, model: str, habit: Habit) -> bool:
        """Tell whether it was seen within a day."""
        seen_at = self._facts().get((upstream, model, habit))
        return seen_at is not None and 0 <= self._clock() - seen_at < DAY_S

    def learn(self, upstream: str, model: str, habit: Habit) -> None:
        """Take note of it, and forget the contrary."""
        if max(len(upstream), len(model)) > MAX_NAME:
            return
        facts = self._facts()
        is_new = not self.has(upstream, model, habit)
        facts.pop((upstream, model, CONTRARY[habit]), None)
        facts[upstream, model, habit] = self._clock()
        facts.move_to_end((upstream, model, habit))
        while len(facts) > MAX_FACTS:
            facts.popitem(last=False)
        if is_new:
            if habit in TOLD:
                log.warning("%s, model %s: %s", upstream, model or "not named", TOLD[habit])
            threading.Thread(target=self._save, args=(dict(facts),), name="habits", daemon=True).start()

    def described(self) -> list[str]:
        """Return in words what was learnt that changes how an upstream is asked or judged."""
        facts = self._seen_at if self._seen_at is not None else read(self._file)
        return [
            f"{upstream}, model {model or 'not named'}: {TOLD[habit]}"
            for (upstream, model, habit), seen_at in list(facts.items())
            if habit in TOLD and 0 <= self._clock() - seen_at < DAY_S
        ]

    def _facts(self) -> OrderedDict[Key, float]:
        if self._seen_at is None:
            self._seen_at = read(self._file)
        return self._seen_at

    def _save(self, facts: dict[Key, float]) -> None:
        rows = [[upstream, model, habit.value, seen_at] for (upstream, model, habit), seen_at in facts.items()]
        try:
            with self._writing:
                write_private(self._file, json.dumps(rows).encode())
        except OSError as error:
            log.debug("what was learnt of upstreams cannot be kept: %s", error)


def read(file: Path) -> OrderedDict[Key, float]:
    """Return what a file holds; nothing where it cannot be read."""
    try:
        with file.open("rb") as opened:
            rows = json.loads(opened.read(MAX_FILE_BYTES))
        return OrderedDict(list(facts_in(rows))[-MAX_FACTS:])
    except (OSError, ValueError, TypeError, RecursionError):
        return OrderedDict()


def facts_in(rows: object) -> Iterator[tuple[Key, float]]:
    """Yield the facts of a file; raises ValueError or TypeError for what is none."""
    if not isinstance(rows, list):
        raise TypeError("no list")
    for upstream, model, habit, seen_at in rows:
        if isinstance(upstream, str) and isinstance(model, str) and isinstance(seen_at, (int, float)):
            yield (upstream, model, Habit(habit)), float(seen_at)
