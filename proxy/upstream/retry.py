"""Whether a request is worth another try, and after how long: what the SDK documents, and a contract test holds to it.

https://github.com/openai/openai-python#retries
"""

import email.utils
import json
import math
import time
from random import SystemRandom

from proxy.http.answer import Answer
from proxy.http.headers import Headers

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 8.0
JITTER = 0.25  # of a wait, at most, by which it is shorter
MOST_ASKED_S = 120.0  # an upstream that asks for a longer wait is not asked again
SHORT_WAIT_S = 10.0  # a longer wait is the client's to decide on: it sees Retry-After
CHANCE = SystemRandom()  # a host program may have seeded the generator of the module, and count on its numbers
STATUSES = (408, 409, 429)
QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


def may_retry(status: int, headers: Headers) -> bool:
    """Tell whether the SDK would try again after this answer, given tries enough."""
    asked_s = asked_wait_s(headers)
    if asked_s is not None and math.isfinite(asked_s) and asked_s > MOST_ASKED_S:
        return False
    said = headers.get("x-should-retry")
    if said in ("true", "false"):
        return said == "true"
    return status in STATUSES or status >= 500


def retry_pause_s(answer: Answer, tries: int, max_retries: int) -> float | None:
    """Return the seconds to wait before the next try, or None when this answer is final; `tries` counts those made."""
    if tries > max_retries or is_quota_error(answer):
        return None
    asked_s = asked_wait_s(answer.headers)
    is_asked = asked_s is not None and 0 < asked_s <= MOST_ASKED_S
    pause_s = asked_s if asked_s is not None and is_asked else backoff_s(tries)
    return pause_s if pause_s <= SHORT_WAIT_S else None


def backoff_s(tries: int) -> float:
    """Return the seconds to wait where the upstream asks for none."""
    longest_s = min(FIRST_WAIT_S * 2.0 ** min(tries - 1, 10), LONGEST_WAIT_S)
    return longest_s * (1 - JITTER * CHANCE.random())


def asked_wait_s(headers: Headers) -> float | None:
    """Return the seconds an upstream asks to wait, None where it asks for none that can be read."""
    for name, divisor in (("retry-after-ms", 1000), ("retry-after", 1)):
        if value := headers.get(name):
            try:
                return float(value) / divisor
            except ValueError:
                continue
    date = email.utils.parsedate_tz(headers.get("retry-after"))
    try:
        return email.utils.mktime_tz(date) - time.time() if date is not None else None
    except (ValueError, OverflowError, OSError):
        return None


def is_quota_error(answer: Answer) -> bool:
    """Tell a 429 that no waiting mends: the account has no money left."""
    if answer.status != 429:
        return False
    try:
        error = json.loads(answer.body or b"")["error"]
        return error.get("code") in QUOTA_CODES or error.get("type") in QUOTA_CODES
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
