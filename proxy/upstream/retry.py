"""Whether a refused request is worth another try, and after how long. The SDK is the authority.

It keeps both decisions in methods of its own (`_should_retry`, `_calculate_retry_timeout`); a contract test compares
what we do with what the SDK does.
"""

import json

import httpx2
import openai
from openai._models import FinalRequestOptions

from proxy.http.answer import Answer
from proxy.http.headers import Headers, encoded

SHORT_WAIT_S = 10.0  # a longer wait is the client's to decide on: it sees Retry-After
QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


def may_retry(sdk: openai.AsyncOpenAI, status: int, headers: Headers) -> bool:
    """Tell whether the SDK would try again after this answer, given tries enough."""
    return sdk._should_retry(httpx2.Response(status, headers=for_sdk(headers)))  # noqa: SLF001  the SDK decides, and only here


def retry_pause_s(sdk: openai.AsyncOpenAI, answer: Answer, tries: int) -> float | None:
    """Return the seconds to wait before the next try, or None when this answer is final; `tries` counts those made."""
    remaining = sdk.max_retries - (tries - 1)
    if remaining <= 0 or is_quota_error(answer):
        return None
    options = FinalRequestOptions(method="post", url="")
    pause_s = sdk._calculate_retry_timeout(remaining, options, for_sdk(answer.headers))  # noqa: SLF001  as above
    return pause_s if pause_s <= SHORT_WAIT_S else None


def for_sdk(headers: Headers) -> httpx2.Headers:
    """Return an answer's headers as the SDK reads them; as text it would refuse what is not ASCII."""
    return httpx2.Headers(encoded(headers))


def is_quota_error(answer: Answer) -> bool:
    """Tell a 429 that no waiting mends: the account has no money left."""
    if answer.status != 429:
        return False
    try:
        error = json.loads(answer.body or b"")["error"]
        return error.get("code") in QUOTA_CODES or error.get("type") in QUOTA_CODES
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
