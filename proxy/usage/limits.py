"""Limits of usage in a day or a month, by the clock of this computer."""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from proxy.settings.model import Settings

PeriodName = Literal["day", "month"]
Unit = Literal["usd", "tokens"]

ANY_KEY = "*"  # in the settings: each key that is not named there, by itself
WORDS = {"day": "daily", "month": "monthly"}


@dataclass(frozen=True)
class Limit:
    """A limit for a day or a month, of all requests or of one proxy key. A key's limit is hard."""

    period: PeriodName
    unit: Unit
    amount: float
    key: str | None = None  # None: by all requests, and then it gives notice and refuses nothing

    @property
    def is_hard(self) -> bool:
        """Return whether requests are refused once it is reached."""
        return self.key is not None


@dataclass(frozen=True)
class Period:
    """A day or a month in local time."""

    name: PeriodName
    id: str  # such as 2026-11-28, or 2026-11
    ends: float  # seconds of the wall clock


def period_at(name: PeriodName, moment: float) -> Period:
    """Return the day or the month of a time, in seconds of the wall clock."""
    year, month, day = time.localtime(moment)[:3]
    if name == "day":
        return Period(name, f"{year:04}-{month:02}-{day:02}", time.mktime((year, month, day + 1, 0, 0, 0, 0, 0, -1)))
    return Period(name, f"{year:04}-{month:02}", time.mktime((year, month + 1, 1, 0, 0, 0, 0, 0, -1)))


def month_begin(moment: float) -> float:
    """Return the begin of a time's month, in seconds of the wall clock."""
    year, month = time.localtime(moment)[:2]
    return time.mktime((year, month, 1, 0, 0, 0, 0, 0, -1))


def noon_of(day: str) -> float:
    """Return the noon of a day such as 2026-11-28, in seconds of the wall clock."""
    year, month, date = map(int, day.split("-"))
    return time.mktime((year, month, date, 12, 0, 0, 0, 0, -1))


def soft_limits(settings: Settings) -> list[Limit]:
    """Return the limits of all requests together."""
    given: tuple[tuple[PeriodName, Unit, float | None], ...] = (
        ("day", "usd", settings.proxy_daily_limit_usd),
        ("month", "usd", settings.proxy_monthly_limit_usd),
        ("day", "tokens", settings.proxy_daily_limit_tokens),
        ("month", "tokens", settings.proxy_monthly_limit_tokens),
    )
    return [Limit(period, unit, amount) for period, unit, amount in given if amount is not None]


def hard_limits(settings: Settings, key: str | None) -> list[Limit]:
    """Return the limits of a proxy key; a request that came without one has none."""
    table = settings.proxy_key_limits
    if key is None or not table:
        return []
    row = table.get(key, table.get(ANY_KEY, {}))
    periods: tuple[PeriodName, ...] = ("day", "month")
    units: tuple[Unit, ...] = ("usd", "tokens")
    return [
        Limit(period, unit, row[name], key)
        for period in periods
        for unit in units
        if (name := f"{period}_{unit}") in row
    ]


def said(unit: Unit, amount: float) -> str:
    """Return an amount for display; money is never rounded to zero."""
    if unit == "tokens":
        return f"{amount:,.0f} tokens"
    return f"${amount:,.2f}" if amount == 0 or amount >= 0.01 else f"${amount:.6f}".rstrip("0")


def said_time(moment: float) -> str:
    """Return a time of the wall clock for display, in local time."""
    return f"{datetime.fromtimestamp(moment).astimezone():%A, %d %B %Y, %H:%M}"
