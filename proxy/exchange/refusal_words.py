"""What a refusal says, in each shape that providers write one in: its words, its code, and what it is about."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from proxy.stream.event_json import read_value

About = Literal["", "key", "credit"]

MAX_WORDS = 2_000  # characters; a plain text may be a whole page
MAX_CODES = 16
CODE_MEMBERS = ("code", "type", "status", "reason", "error_code")
TEXT_MEMBERS = ("message", "detail", "msg", "error_description", "error", "title")
PARTS = ("error", "details", "detail", "errors")  # what holds one object or several with more of the same

KEY_CODES = re.compile(
    r"(?:(?:invalid|incorrect|wrong|expired|revoked|disabled|missing|unknown)_(?:api_?)?(?:key|token|credentials?)"
    r"|(?:api_?)?key_(?:invalid|expired|revoked|disabled|missing|not_found)|(?:access_)?token_(?:expired|invalid)"
    r"|invalid_authentication(?:_error)?|authentication_(?:error|failed)|api_key_service_blocked|unauthenticated"
    r"|401)"
)
CREDIT_CODES = re.compile(
    r"insufficient_(?:quota|credits?|balance|funds)|billing_hard_limit_reached|billing_not_active|payment_required"
    r"|credit_balance_too_low|out_of_credits?|no_credits|account_balance_insufficient|quota_exhausted_billing"
    r"|arrearage|exceeded_current_quota(?:_error)?"
)
KEY = (
    r"(?:api[ _-]?(?:key|token)|(?:access|security|bearer|jwt)[ _-]token|auth(?:entication|orization)?[ _-]token"
    r"|(?:secret|subscription) key|jwt|credentials?)"
)
WRONG = r"(?:invalid|incorrect|wrong|expired|revoked|malformed|deactivated|disabled|unrecogni[sz]ed|leaked|compromised)"
BETWEEN = (
    r"(?:\W+(?:or|and|missing|invalid|expired|the|your|an?|provided|authentication|openai|google|gemini|upstream"
    r"|anthropic|mistral|cohere|bearer|x))"
)
AFTER = (
    r"(?:\W+(?:you|provided|provide|given|supplied|used|included|is|was|has|been|are|does|did|could|be|in|the|header"
    r"|request|reported|as))"
)
WRONG_KEY = re.compile(
    rf"\b{WRONG}{BETWEEN}{{0,4}}\W+{KEY}"
    rf"|\b{KEY}(?:\s*[:'\"`(]\S+)?{AFTER}{{0,5}}\W+(?:{WRONG}|not (?:valid|found|exist|recogni[sz]ed|correct))\b"
    rf"|\bno (?:valid )?(?:auth )?{KEY}|\bmissing {KEY}|\bcould not (?:validate|verify)(?: your| the)? {KEY}"
    r"|\bunregistered callers\b"
    r"|^\W*(?:not authenticated|unauthenticated|unauthori[sz]ed|authentication (?:error|failed|required))\W*$",
    re.IGNORECASE,
)
NO_CREDIT = re.compile(
    r"credit balance (?:is )?too low|insufficient (?:account )?(?:balance|credits?|funds|quota)\b|\bout of credits?\b"
    r"|not enough (?:credits?|balance|funds)|(?:no|used all)(?: \w+){0,2} credits|requires more credits"
    r"|payment required|billing hard limit|check your (?:plan and )?billing details"
    r"|balance (?:is )?(?:insufficient|not enough|too low)|\bcredits? (?:are |is |have been )?(?:depleted|exhausted)"
    r"|\bspend(?:ing)? (?:limit|cap)\b|\bkey limit exceeded|account is in (?:good standing|arrears)|余额不足|欠费",
    re.IGNORECASE,
)
RATE = re.compile(r"rate[ _-]?limit|per[ _-]?(?:minute|day|second)|retry ?(?:in|delay)", re.IGNORECASE)
PAGE = re.compile(r"\s*(?:\ufeff)?\s*<", re.ASCII)


@dataclass(frozen=True)
class Words:
    """What a refusal says."""

    message: str  # "" where it says nothing that a person could read
    kind: str  # its type, "" where it names none
    codes: tuple[str, ...]  # every code, type, status and reason it names
    is_json: bool


def read_words(body: bytes) -> Words:
    """Read a refusal's body: OpenAI's error, FastAPI's detail, a message, a list of errors, plain text; never fails."""
    is_json, value = read_value(body)
    if not is_json:
        return Words(plain_text(body), "", (), is_json=False)
    objects = list(objects_in(value))
    codes = tuple(code for each in objects for code in codes_of(each))[:MAX_CODES]
    inner = next((each for each in objects if text_of(each)), {})
    message = value if isinstance(value, str) else text_of(inner)
    return Words(message[:MAX_WORDS], text(inner.get("type")), codes, is_json=True)


def about(status: int, words: Words) -> About:
    """Return what a refusal is about: the key it came with, the money behind it, or something else ("")."""
    names = [name.lower().replace("-", "_") for name in words.codes]
    speaks_of_credit = status in (400, 403, 429) and NO_CREDIT.search(words.message) and not RATE.search(words.message)
    if status == 402 or (status in (400, 403, 429) and any(map(CREDIT_CODES.fullmatch, names))) or speaks_of_credit:
        return "credit"
    is_wrong_key = any(map(KEY_CODES.fullmatch, names)) or WRONG_KEY.search(words.message)
    return "key" if status == 401 or (status in (400, 403) and is_wrong_key) else ""


def objects_in(value: object, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the objects of an error, the innermost error first, then what holds it and what it lists."""
    if isinstance(value, list) and depth < 4:
        for each in value[:MAX_CODES]:
            yield from objects_in(each, depth + 1)
    elif isinstance(value, dict) and depth < 4:
        error = value.get(PARTS[0])
        yield from objects_in(error, depth + 1)
        yield value
        for name in PARTS[1:]:
            yield from objects_in(value.get(name), depth + 1)


def codes_of(value: dict[str, Any]) -> Iterator[str]:
    """Yield what an object of an error names as its code; a text in the place of the object is one too."""
    for name in (*CODE_MEMBERS, "error"):
        if code := text(value.get(name)):
            yield code[:MAX_WORDS]


def text_of(value: dict[str, Any]) -> str:
    """Return the words of an error's object."""
    return next((said for name in TEXT_MEMBERS if isinstance(said := value.get(name), str) and said.strip()), "")


def text(value: object) -> str:
    """Return a code as text, "" for what is none."""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def plain_text(body: bytes) -> str:
    """Return what a refusal says that is no JSON: nothing where it is a page, or no text at all."""
    try:
        said = body.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return ""
    return "" if PAGE.match(said) or "\0" in said else said[:MAX_WORDS]
