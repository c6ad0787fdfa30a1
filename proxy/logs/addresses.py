"""Hide secrets in URLs and HTTP credentials, recognised by their form. Every function takes linear time."""

import re
from base64 import b64decode

HIDDEN = "…"

WORD = re.compile(r"[^\s\"'<>`]+")
SLASHES = re.compile(r"((?:\\?/){2,})")
AUTHORITY_END = re.compile(r"[/?#\\]")
IS_PORT = re.compile(r"[0-9]*\Z")
# `user:password@host:3128`, a proxy without `http://`; an e-mail address has no port, and no digest is one.
AT_HOST_AND_PORT = re.compile(r"@(?:[\w.-]+|\[[\w:.%]+\]):[0-9]{1,5}(?![\w@])")
BEFORE_A_LOGIN = re.compile(r".*[=(,;{|]", re.DOTALL)
# An address within another one's query; it may have been encoded more than once.
ENCODED_LOGIN = re.compile(
    r"(%(?:25){0,3}2F%(?:25){0,3}2F)(?:(?!%(?:25){0,3}(?:2F|3F|23|26))[^\s\"'<>`&])+(%(?:25){0,3}40)", re.IGNORECASE
)

KEY_NAME = re.compile(
    r"(?:[?&;#]|%(?:25){0,3}(?:3F|26|23)|\\?u0026)([\w.-]{1,64})(?:=|%(?:25){0,3}3D)", re.IGNORECASE | re.ASCII
)
KEY_VALUE = re.compile(r"(?:(?!%(?:25){0,3}26)[^&;\s\"'<>`#\\])+", re.IGNORECASE)
SENTENCE_MARKS = "),.:]}"
WORDS_OF_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
SECRET_WORDS = frozenset(
    ("key", "auth", "authorization", "code", "credential", "credentials", "jwt", "pass", "passphrase", "pwd", "sig")
)
SECRET_ENDS = ("apikey", "accesskey", "subscriptionkey", "token", "secret", "password", "passwd", "signature")
CODES_OF_A_STATE = ("statuscode", "errorcode", "countrycode", "languagecode")

SCHEMES = ("basic", "negotiate", "ntlm")  # most texts hold none, which is found fast
CREDENTIALS = re.compile(r"\b(Basic|Negotiate|NTLM)([ \t]{1,8})([A-Za-z0-9+/_=-]{4,})", re.IGNORECASE)
URL_SAFE = str.maketrans("-_", "+/")
FIRST_PRINTABLE = 32
LONGER_THAN_A_WORD = 20
TEXT = r"b?(?:'(?:[^'\\]|\\.){0,400}'|\"(?:[^\"\\]|\\.){0,400}\")"  # as Python writes one
ARGUMENTS = re.compile(
    rf"\b(BasicAuth\(login=){TEXT}|\b(password=|passwd=|pwd=){TEXT}|\b(auth=)\({TEXT}, ?{TEXT}\)", re.DOTALL
)


def hide_addresses(text: str) -> str:
    """Return a text without the logins and keys of its URLs, and without HTTP credentials."""
    if "@" in text:
        text = WORD.sub(lambda match: hide_login(match[0]) if "@" in match[0] else match[0], text)
    if "%" in text:
        text = ENCODED_LOGIN.sub(lambda match: f"{match[1]}{HIDDEN}{match[2]}", text)
    if "=" in text or "%" in text:
        text = hide_keys(text)
        text = ARGUMENTS.sub(hide_argument, text)
    folded = text.lower()
    return CREDENTIALS.sub(hide_credentials, text) if any(scheme in folded for scheme in SCHEMES) else text


def hide_login(word: str) -> str:
    """Return a word that holds an @ without the login of each URL in it."""
    first, *others = SLASHES.split(word)
    pairs = zip(others[::2], map(hide_authority, others[1::2]), strict=True)
    return hide_bare_login(first) + "".join(slashes + rest for slashes, rest in pairs)


def hide_authority(rest: str) -> str:
    """Return the text after `//` without its login, the part before the last @ of the authority (RFC 3986, 3.2).

    A password that was not encoded may hold a character that ends an authority; a port that is no number reveals it.
    """
    authority = AUTHORITY_END.split(rest, maxsplit=1)[0]
    at = authority.rfind("@")
    if at < 0 and ":" in authority and not authority.startswith("["):
        at = -1 if IS_PORT.match(authority.rpartition(":")[2]) else rest.rfind("@")
    if at > 0:
        return HIDDEN + rest[at:]
    return rest if at == 0 else authority + hide_bare_login(rest[len(authority) :])


def hide_bare_login(text: str) -> str:
    """Return a text without the `user:password` before the last @ that a host and a port follow."""
    places = [match.start() for match in AT_HOST_AND_PORT.finditer(text)]
    login = text[: places[-1]] if places else ""
    if ":" not in login:
        return text
    before = BEFORE_A_LOGIN.match(login.partition(":")[0])
    return (before[0] if before else "") + HIDDEN + text[len(login) :]


def hide_keys(text: str) -> str:
    """Return a text without the values of query parameters that are keys."""
    pieces, done = [], 0
    for match in KEY_NAME.finditer(text):
        if match.end() < done or not is_secret_name(match[1]):  # looked at first: a value may be the rest of the text
            continue
        if value := KEY_VALUE.match(text, match.end()):
            pieces += [text[done : match.end()], HIDDEN]
            done = match.end() + len(value[0].rstrip(SENTENCE_MARKS))
    return "".join((*pieces, text[done:]))


def is_secret_name(name: str) -> bool:
    """Return whether a query parameter's name means a key: `key`, `api-key`, `accessToken`, `X-Amz-Signature`."""
    words = [word.lower() for word in WORDS_OF_NAME.findall(name)]
    together = "".join(words)
    if together.endswith(CODES_OF_A_STATE):
        return False
    return together.endswith(SECRET_ENDS) or (bool(words) and words[-1] in SECRET_WORDS)


def hide_argument(match: re.Match[str]) -> str:
    """Return the argument of a call, as Python's repr writes it, without its value."""
    if match[3]:
        return f"{match[3]}({HIDDEN})"
    return f"{match[1] or match[2]}'{HIDDEN}'"


def hide_credentials(match: re.Match[str]) -> str:
    """Hide the credentials after an HTTP authentication scheme, unless they are a word of a sentence."""
    is_login = is_pair(match[3]) if match[1].lower() == "basic" else len(match[3]) >= LONGER_THAN_A_WORD
    return f"{match[1]}{match[2]}[key]" if is_login else match[0]


def is_pair(code: str) -> bool:
    """Return whether a text is `user:password` in base64, and not a word that happens to decode."""
    bare = code.translate(URL_SAFE).rstrip("=")
    try:
        pair = b64decode(bare + "=" * (-len(bare) % 4))
    except ValueError:
        return False
    is_text = not any(byte < FIRST_PRINTABLE for byte in pair)
    return b":" in pair and is_text and (pair.isascii() or not code.isalpha())
