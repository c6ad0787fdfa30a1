"""What upstreams were seen to do and to refuse: remembered for a while, bounded, and kept in one file.

The file is for the next start, for other processes and for `doctor`.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from proxy.policy.refused_parameters import REPAIRABLE, Repair
from proxy.upstream.facts import ABOUT, KEEPING, MAX_NAME, TOLD, Fact, Habit, Learned, Place
from proxy.upstream.facts_file import read_facts, stamp_of, take_over, write_facts

LOOK_EVERY_S = 1.0  # at the file, which another process may have changed
UNREAD = object()  # the stamp of a file that is to be read
PARAMETERS = tuple(sorted(REPAIRABLE))

log = logging.getLogger(__name__)


class LearnedFacts:
    """Remember. For any thread; a thread of its own writes the file."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()  # of what follows; never held while the file is read or written
        self._held: dict[Place, Learned] = {}
        self._unsaved: dict[Place, Learned] = {}
        self._is_writing = False
        self.may_hold_repairs = True  # False: it is known that there are none
        self._file_lock = threading.Lock()  # of the file and what follows
        self._stamp: object = UNREAD
        self._looked_at = float("-inf")
        self._is_loss_told = False

    def has(self, upstream: str, model: str, habit: Habit) -> bool:
        """Tell whether a habit was seen within a day. The first call reads the file."""
        if self._stamp is UNREAD:
            self.follow()
        learned = self._held.get((upstream, model, ABOUT[habit]))
        return learned is not None and learned.fact is habit and learned.is_held(self._clock())

    def repairs_of(self, upstream: str, model: str) -> list[Repair]:
        """Return the repairs that one model of one upstream needs. May read the file, once a second at most."""
        self.follow()
        held, now = self._held, self._clock()
        found = (held.get((upstream, model, name)) for name in PARAMETERS) if held else ()
        return [each.fact for each in found if each and isinstance(each.fact, Repair) and each.is_held(now)]

    def described_habits(self) -> list[str]:
        """Return in words the habits that change how an upstream is asked or judged. May read the file."""
        return [str(learned) for learned in self._in_force() if learned.fact in TOLD]

    def described_repairs(self) -> list[str]:
        """Return in words the repairs that requests get. May read the file."""
        return [str(learned) for learned in self._in_force() if isinstance(learned.fact, Repair)]

    def learn(self, upstream: str, model: str, fact: Fact) -> bool:
        """Remember a fact in the place of its contrary; return whether it was unknown.

        A habit that is seen again is held for another day. A repair is not: when its time is up, the model is asked
        as the client says.
        """
        if max(len(upstream), len(model)) > MAX_NAME:
            return False
        if self._stamp is UNREAD:
            self.follow()
        learned = Learned(upstream, model, fact, self._clock())
        with self._lock:
            known = self._held.get(learned.place)
            is_known = known is not None and known.fact == fact and known.is_held(learned.at)
            if is_known and isinstance(fact, Repair):
                return False
            self._held[learned.place] = learned
            if is_known:
                return False
            self._held = bounded(self._held)
            self._unsaved[learned.place] = learned
            self.may_hold_repairs |= isinstance(fact, Repair)
            is_first, self._is_writing = not self._is_writing, True
        if fact in TOLD:
            log.warning("%s", learned)
        if is_first:
            threading.Thread(target=self._write_unsaved, name="learned", daemon=True).start()
        return True

    def forget_repairs(self) -> int:
        """Forget all repairs, in the file too; return how many there were. Raises OSError. Blocks."""
        with self._file_lock:
            self._read_again()
            with self._lock:
                count = len(self._held)
                self._held = without_repairs(self._held)
                self._unsaved = without_repairs(self._unsaved)
                self.may_hold_repairs = False
                count -= len(self._held)
                held = list(self._held.values())
            if count:
                write_facts(self._file, held)
                self._stamp = stamp_of(self._file)
        return count

    def follow(self) -> None:
        """Read the file again where another process has changed it, once a second at most. May block."""
        now = time.monotonic()
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        if self._file_lock.acquire(blocking=self._stamp is UNREAD):  # else our own thread writes it just now
            try:
                self._read_again()
            finally:
                self._file_lock.release()

    def _in_force(self) -> list[Learned]:
        self.follow()
        now = self._clock()
        with self._lock:
            return [learned for learned in self._held.values() if learned.is_held(now)]

    def _read_again(self) -> None:
        """Take what the file holds, and what it is still to hold, if it has changed."""
        if self._stamp is UNREAD:
            take_over(self._file)
        stamp = stamp_of(self._file)
        if stamp == self._stamp:
            return
        read = {learned.place: learned for learned in read_facts(self._file)}
        with self._lock:
            self._held = bounded({**read, **self._unsaved})
            self.may_hold_repairs = any(isinstance(learned.fact, Repair) for learned in self._held.values())
        self._stamp = stamp

    def _write_unsaved(self) -> None:
        """Write the file until it holds all that was learned. Runs on a thread of its own."""
        while True:
            with self._file_lock:
                self._read_again()  # what another process has learned or forgotten holds too
                with self._lock:
                    self._unsaved = {}
                    held = [learned for learned in self._held.values() if learned.is_held(self._clock())]
                try:
                    write_facts(self._file, held)
                except OSError as error:
                    self._tell_loss(error)
                    self._stamp = stamp_of(self._file)
                else:
                    self._stamp = stamp_of(self._file) or UNREAD  # gone already: somebody has removed it just now
            with self._lock:
                if not self._unsaved:
                    self._is_writing = False
                    return

    def _tell_loss(self, error: OSError) -> None:
        if not self._is_loss_told:
            log.warning("what was learned about upstreams cannot be kept: %s", error)
        self._is_loss_told = True


def bounded(held: dict[Place, Learned]) -> dict[Place, Learned]:
    """Return the facts without the oldest of each kind that has too many."""
    for kind, keeping in KEEPING.items():
        places = [place for place, learned in held.items() if isinstance(learned.fact, kind)]
        if len(places) > keeping.most:
            places.sort(key=lambda place: held[place].at)
            oldest = frozenset(places[: -keeping.most])
            held = {place: learned for place, learned in held.items() if place not in oldest}
    return held


def without_repairs(held: dict[Place, Learned]) -> dict[Place, Learned]:
    """Return the facts that are no repairs."""
    return {place: learned for place, learned in held.items() if not isinstance(learned.fact, Repair)}
