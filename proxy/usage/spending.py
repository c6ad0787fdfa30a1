"""Hold the usage of today and this month in memory: read from the ledger once, then updated as requests end.

The ledger's writer updates it; any thread may read, without waiting for the disk.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.settings.model import Settings
from proxy.usage.limits import (
    ANY_KEY,
    WORDS,
    Limit,
    Period,
    hard_limits,
    month_begin,
    noon_of,
    period_at,
    said,
    said_time,
    soft_limits,
)
from proxy.usage.row import Row, reader
from proxy.usage.schema import last_row

# The rows after a number, added up by day and key; days are those of this computer's clock.
SPENT = """SELECT strftime('%Y-%m-%d', began_at, 'unixepoch', 'localtime'), key_name, COUNT(*),
    SUM(COALESCE(input_tokens, 0) + COALESCE(output_tokens, 0)), COALESCE(SUM(cost_usd), 0),
    SUM(input_tokens IS NOT NULL AND cost_usd IS NULL)
    FROM requests WHERE rowid > ? AND rowid <= ? AND began_at >= ? GROUP BY 1, 2"""

QUARTER_S = 900
HALF_DAY_S = 43_200.0
MAX_DAYS = 100  # that are held of each key; the oldest go first
MAX_SET_BACK_S = 400 * 86_400.0  # of the clock, up to which what it has seen before counts
read_spent = reader("began_at", "key_name", "input_tokens", "output_tokens", "cost_usd")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Spent:
    """The usage of some requests."""

    requests: int = 0
    tokens: int = 0  # input and output
    usd: float = 0.0  # of those whose price is known
    unpriced: int = 0  # requests with tokens whose price is not known

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            self.requests + other.requests,
            self.tokens + other.tokens,
            self.usd + other.usd,
            self.unpriced + other.unpriced,
        )


@dataclass(frozen=True)
class Standing:
    """How much of a limit is used."""

    limit: Limit
    period: Period
    spent: Spent

    @property
    def used(self) -> float:
        """Return the amount that counts towards the limit."""
        return self.spent.usd if self.limit.unit == "usd" else self.spent.tokens

    @property
    def is_reached(self) -> bool:
        """Return whether the limit is reached."""
        return self.used >= self.limit.amount

    def as_object(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        return {
            "key": self.limit.key,
            "period": self.limit.period,
            "unit": self.limit.unit,
            "limit": self.limit.amount,
            "used": self.used,
            "unpriced": self.spent.unpriced,
            "is_hard": self.limit.is_hard,
            "is_reached": self.is_reached,
            "resets_at": self.period.ends,
            "sentence": f"{self.sentence}.",
        }

    @property
    def sentence(self) -> str:
        """Return in a sentence how much is used, and when the limit resets."""
        limit, unpriced = self.limit, self.spent.unpriced
        whose = "All requests together" if limit.key is None else f"The proxy key {limit.key!r}"
        have = "have" if limit.key is None else "has"
        when = "today" if limit.period == "day" else "this month"
        amounts = f"{said(limit.unit, self.used)} of {said(limit.unit, limit.amount)}"
        unknown = (
            f", beside {unpriced:,} request{'s' if unpriced > 1 else ''} whose price is unknown"
            if unpriced and limit.unit == "usd"
            else ""
        )
        return f"{whose} {have} used {amounts} {when}{unknown}. This resets on {said_time(self.period.ends)}"


@dataclass(frozen=True)
class Notice:
    """A limit that was reached, announced once in its period."""

    title: str
    text: str


class Spending:
    """Add up the usage, and announce once in a period that a limit is reached."""

    def __init__(self, settings: Callable[[], Settings], clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = threading.Lock()  # over the sums; held for a moment only
        self._by_key: dict[str | None, dict[str, Spent]] = {}  # by key and day, of this month and the last
        self._last_row = 0  # of the ledger, whose rows up to here are counted
        self._noticed: set[str] = set()
        self._quarter, self._day = -1, ""  # of an hour, since the epoch, and its day
        self._listeners: list[Callable[[Notice | None], None]] = []
        self.is_loaded = threading.Event()  # the ledger was read, or could not be

    def listen(self, listener: Callable[[Notice | None], None]) -> None:
        """Call the listener on the writer's thread after each change, with a notice if a limit was just reached."""
        self._listeners.append(listener)

    def today(self) -> Spent:
        """Return today's usage of all requests."""
        today = period_at("day", self._clock()).id
        return sum((spent for day, spent in self._days(None) if day == today), Spent())

    def this_month(self, key: str) -> Spent:
        """Return this month's usage of a proxy key."""
        return self._standing(Limit("month", "tokens", 0, key), self._clock()).spent

    def standings(self, limits: Iterable[Limit]) -> list[Standing]:
        """Return how much of each limit is used."""
        now = self._clock()
        return [self._standing(limit, now) for limit in limits]

    def _standing(self, limit: Limit, now: float) -> Standing:
        """Return how much of a limit is used.

        Days to come count too, which a clock has seen that was set back since: that opens no limit again. Days that
        are very far off do not count, for then it is the other clock that was wrong.
        """
        period = period_at(limit.period, now)
        far = period_at("day", now + MAX_SET_BACK_S).id
        counted = [(day, spent) for day, spent in self._days(limit.key) if period.id <= day <= far]
        latest = max((day for day, _ in counted), default=period.id)
        if not latest.startswith(period.id):
            period = period_at(limit.period, noon_of(latest))
        return Standing(limit, period, sum((spent for _, spent in counted), Spent()))

    def all_standings(self) -> list[Standing]:
        """Return how much is used of every limit: those of all requests, then those of each key that has some."""
        settings = self._settings()
        with self._lock:
            keys = {key for key in self._by_key if key is not None}
        keys |= settings.proxy_key_limits.keys() - {ANY_KEY}
        found = [*soft_limits(settings), *(limit for key in sorted(keys) for limit in hard_limits(settings, key))]
        return self.standings(found)

    def reached(self, key: str | None, settings: Settings) -> Standing | None:
        """Return the limit that refuses a key's requests now, the one that lasts longest; None if there is none."""
        found = [standing for standing in self.standings(hard_limits(settings, key)) if standing.is_reached]
        return max(found, key=lambda standing: standing.period.ends, default=None)

    def add(self, rows: Sequence[Row]) -> None:
        """Count finished requests; on the writer's thread, or on one that calls `Ledger.settle`."""
        sums: dict[tuple[str, str | None], list[Any]] = {}
        for began_at, key, tokens_in, tokens_out, usd in map(read_spent, rows):
            found = sums.setdefault((self._day_of(began_at), key), [0, 0, 0.0, 0])
            found[0] += 1
            if tokens_in is not None:
                found[1] += tokens_in + (tokens_out or 0)
                found[3] += usd is None
            found[2] += usd or 0.0
        for (day, key), counted in sums.items():
            self._count(day, key, Spent(*counted))

    def _day_of(self, moment: float) -> str:
        """Return the id of a time's day; in every time zone days begin at a quarter of an hour."""
        quarter = int(moment // QUARTER_S)
        if quarter != self._quarter:
            self._quarter, self._day = quarter, period_at("day", moment).id
        return self._day

    def sync(self, ledger: sqlite3.Connection) -> None:
        """Count the ledger's new rows: at first all of this and the last month, then those of other processes."""
        last = last_row(ledger)
        since = month_begin(month_begin(self._clock()) - HALF_DAY_S)
        for day, key, *sums in ledger.execute(SPENT, (self._last_row, last, since)).fetchall():
            self._count(day, key, Spent(*sums))
        self._last_row = last

    def skip_to(self, row: int) -> None:
        """Note that the ledger's rows up to a number are counted."""
        self._last_row = row

    def announce(self, ledger: sqlite3.Connection | None) -> None:
        """Tell the listeners about the change, and about each reached limit not yet announced in its period.

        The ledger remembers announcements for other processes and later runs; without a ledger, memory does.
        """
        notices = [
            notice_of(standing)
            for standing in self.all_standings()
            if standing.is_reached and self._is_news(standing, ledger)
        ]
        for notice in notices:
            log.warning("%s: %s.", notice.title, notice.text)
        for told in notices or (None,):
            for listener in self._listeners:
                try:
                    listener(told)
                except Exception:  # noqa: PERF203  the writer must go on
                    log.exception("a listener of the spending failed")

    def _is_news(self, standing: Standing, ledger: sqlite3.Connection | None) -> bool:
        limit = standing.limit
        name = f"{standing.period.id} {limit.unit} {limit.amount:g} {'' if limit.key is None else limit.key!r}"
        if name in self._noticed:
            return False
        self._noticed.add(name)
        if ledger is None:
            return True
        told = ledger.execute("INSERT OR IGNORE INTO notices VALUES (?, ?)", (name, self._clock()))
        return told.rowcount == 1

    def _count(self, day: str, key: str | None, spent: Spent) -> None:
        """Add to a day's sum. Which days are kept does not depend on the clock, which may be set back into one."""
        with self._lock:
            days = self._by_key.setdefault(key, {})
            days[day] = days.get(day, Spent()) + spent
            if len(days) > MAX_DAYS:
                del days[min(days)]

    def _days(self, key: str | None) -> list[tuple[str, Spent]]:
        """Return the days of a key with what was used on each; for None, those of all keys."""
        with self._lock:
            those = self._by_key.values() if key is None else [self._by_key.get(key, {})]
            return [pair for days in those for pair in days.items()]


def today_words(spent: Spent) -> str:
    """Return today's usage in one line; a plus marks a cost that lacks requests of unknown price."""
    if not spent.requests:
        return "Today: no requests yet"
    some_price = spent.usd or not spent.unpriced
    cost = f"${spent.usd:,.2f}{'+' if spent.unpriced else ''}" if some_price else "cost unknown"
    return (
        f"Today {short(spent.tokens)} tokens · {cost} · {spent.requests:,} request{'' if spent.requests == 1 else 's'}"
    )


def short(number: int) -> str:
    """Return a count for display: 950, 12.4 k, 1.2 M."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= size * 0.99995:
            return f"{number / size:,.1f} {letter}"
    return f"{number}"


def notice_of(standing: Standing) -> Notice:
    """Return the notice of a reached limit, with its effect."""
    limit = standing.limit
    whose = "" if limit.key is None else f" of the proxy key {limit.key!r}"
    follows = "its requests are refused until then" if limit.is_hard else "requests go on"
    return Notice(f"The {WORDS[limit.period]} limit{whose} is reached", f"{standing.sentence}; {follows}")
