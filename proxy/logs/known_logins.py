"""Find the logins in the environment, in every form in which a library may write them. Pure functions."""

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote

from proxy.logs.addresses import HIDDEN, is_secret_name

BASE_URL = "openai_base_url"
LONG_ENOUGH = 6  # a shorter password is hidden where it stands as one; alone it may be any word
MIXED_LONG_ENOUGH = 4  # of letters and something else
LEFT_BY_CLIENTS = ("", "!$&'()*+,;=", "!$&'()*+,;=:")  # what HTTP clients do not percent-encode in a login
HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})
HEX = re.compile(r"%[0-9A-F]{2}")


@dataclass(frozen=True)
class Known:
    """A secret in one form."""

    text: str
    pattern: re.Pattern[str]
    mark: str = HIDDEN

    def hide(self, text: str) -> str:
        """Return a text without the secret."""
        return self.pattern.sub(self.mark, text) if self.text in text else text


def known_logins(environment: Mapping[str, str]) -> tuple[Known, ...]:
    """Return the logins in the proxy variables (any `…_proxy`) and in the upstream's URL, the longest first."""
    names = [name for name in environment if is_address(name.lower())]
    return logins_in(tuple(value for name in names if (value := environment.get(name))))


def is_address(variable: str) -> bool:
    """Return whether a variable, its name in lower case, holds a URL that may have a login."""
    return variable == BASE_URL or (variable.endswith("_proxy") and variable != "no_proxy")


@lru_cache(maxsize=16)
def logins_in(addresses: tuple[str, ...]) -> tuple[Known, ...]:
    """Return the logins and keys in URLs, in every form, the longest first."""
    found = {known.text: known for address in addresses for known in secrets_of(address)}
    return tuple(sorted(found.values(), key=lambda known: len(known.text), reverse=True))


def secrets_of(address: str) -> Iterator[Known]:
    """Yield the secrets in a URL as people write it: an unencoded login may hold any character, even @, / and #."""
    rest = encodable(address.strip())
    rest = rest.partition("://")[2] or rest
    login, _, _ = rest.rpartition("@")
    if ":" in login:
        for form in written(login):
            yield Known(f"{form}@", re.compile(rf"(?<!\w){re.escape(form)}@"), f"{HIDDEN}@")
        yield from forms_of_login(*login.partition(":")[::2])
    for part in re.split(r"[?&#]", rest)[1:]:
        name, _, value = part.partition("=")
        if is_secret_name(name):
            yield from (whole(form) for secret in spellings(value) for form in written(secret) if is_telling(secret))


def forms_of_login(user: str, password: str) -> Iterator[Known]:
    """Yield user and password together, plain and in base64, and the password alone unless it is a common word."""
    for name, secret in {(user, password), (unquote(user), unquote(password))}:
        for encoding in ("utf-8", "latin-1"):
            pair = f"{name}:{secret}".encode(encoding, "replace" if encoding == "latin-1" else "surrogateescape")
            for encode in (b64encode, urlsafe_b64encode):
                if len(code := encode(pair).decode().rstrip("=")) >= LONG_ENOUGH:
                    yield Known(code, re.compile(rf"{re.escape(code)}={{0,2}}"))
        if is_telling(secret):
            yield from (Known(form, re.compile(re.escape(form))) for form in written(f"{name}:{secret}"))
    for secret in spellings(password):
        if is_telling(secret):
            yield from map(whole, written(secret))


def spellings(secret: str) -> set[str]:
    """Return a secret as given, decoded, and percent-encoded as different clients do it."""
    found = {secret, unquote(secret)}
    for form in tuple(found):
        found |= {quote(form, safe=safe, errors="surrogateescape") for safe in LEFT_BY_CLIENTS}
        found.add(quote_plus(form, errors="surrogateescape"))
    return found | {HEX.sub(lambda match: match[0].lower(), form) for form in found}


def written(text: str) -> set[str]:
    """Return a text plain, and as Python, JSON and HTML escape it."""
    data = text.encode("utf-8", "surrogateescape")
    return {
        text,
        repr(text)[1:-1],
        ascii(text)[1:-1],
        repr(data)[2:-1],
        json.dumps(text)[1:-1],
        json.dumps(text, ensure_ascii=False)[1:-1],
        data.decode("latin-1"),
        text.translate(HTML),
    }


def encodable(text: str) -> str:
    """Return a text without the lone surrogates that Windows allows in a variable."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def is_telling(secret: str) -> bool:
    """Return whether a secret is long enough to be removed from any text; a short one could be any word."""
    mixed = not secret.isalpha() and any(map(str.isalpha, secret))
    return len(secret) >= (MIXED_LONG_ENOUGH if mixed else LONG_ENOUGH)


def whole(secret: str) -> Known:
    """Return a secret to hide anywhere; one of only letters or only digits is hidden only as a whole word."""
    literal = re.escape(secret)
    if secret.isalpha() or secret.isdigit():
        literal = rf"(?:(?<![^\W_])|(?<=%[0-9A-Fa-f]{{2}})){literal}(?![^\W_])"
    return Known(secret, re.compile(literal))
