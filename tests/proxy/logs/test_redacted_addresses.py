"""No login and no key of an address is in any text, whoever wrote it; all other text stays as it was."""

import json
from base64 import b64encode
from time import perf_counter
from urllib.parse import quote, quote_plus

import httpx2
import pytest

from proxy.logs.redaction import redact, shown_value, without_logins

NO_PROXIES: dict[str, str] = {}


def hidden(text: str) -> str:
    """Return what is left of a text where the environment names no proxy: shapes alone are hidden."""
    return redact(text, environment=NO_PROXIES)


# --- logins, by their shape -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("http://user:pass@host:3128", "http://…@host:3128"),
        ("to http://user:pass@host/x?y=1#z now", "to http://…@host/x?y=1#z now"),
        ("HTTPS://User:Pass@Host", "HTTPS://…@Host"),
        ("socks5h://user:pass@host:1080", "socks5h://…@host:1080"),
        ("ws://user:pass@host and wss://a:b@c", "ws://…@host and wss://…@c"),
        ("postgresql+psycopg://user:pass@db/x", "postgresql+psycopg://…@db/x"),
        ("http://user@host", "http://…@host"),
        ("http://:pass@host", "http://…@host"),
        ("http://user:@host", "http://…@host"),
        ("http://user:pass@[::1]:3128/", "http://…@[::1]:3128/"),
        ("http://user:p%40s%2Fs@host", "http://…@host"),
        ("http://user:p@ss@host", "http://…@host"),
        ("http://user:p:a:s:s@host", "http://…@host"),
        ("http://user:pa/ss@host", "http://…@host"),
        ("http://user:pa?ss@host:3128", "http://…@host:3128"),
        ("http://user:pa#ss@host", "http://…@host"),
        ("http://user:pa\\ss@host", "http://…@host"),
        ("http://pässwörter:ö@host", "http://…@host"),
        ("HTTPS_PROXY=user:pass@proxy:3128", "HTTPS_PROXY=…@proxy:3128"),
        ("user:pass@proxy.example:3128", "…@proxy.example:3128"),
        ("(user:p@ss@[::1]:3128)", "(…@[::1]:3128)"),
        ("http://a:b@c,http://d:e@f", "http://…@c,http://…@f"),
        ("'http://user:pass@host'", "'http://…@host'"),
        ("<http://user:pass@host>", "<http://…@host>"),
        ("URL('http://user:pass@host')", "URL('http://…@host')"),
        ("b'http://user:pass@host'", "b'http://…@host'"),
        ('{"url": "http:\\/\\/user:pass@host\\n"}', '{"url": "http:\\/\\/…@host\\n"}'),
        ("?proxy=http%3A%2F%2Fuser%3Apass%40host%3A1&x=1", "?proxy=http%3A%2F%2F…%40host%3A1&x=1"),
        ("http%3a%2f%2fuser%3apass%40host", "http%3a%2f%2f…%40host"),
        ("http%253A%252F%252Fuser%253Apass%2540host", "http%253A%252F%252F…%2540host"),
    ],
)
def test_the_login_of_an_address_is_hidden(text: str, safe: str) -> None:
    assert hidden(text) == safe


@pytest.mark.parametrize(
    "text",
    [
        "mail a.b+c@example.com, or <a@b.c>; mailto:a@b.c",
        "http://host/path@2x.png and https://medium.com/@user/story",
        "http://host:8080/a@b http://[::1]:8080/a@b http://host:/a@b",
        "git@github.com:owner/repository.git and ssh root@10.0.0.1:22",
        "//cdn.example/npm/package@1.2.3/index.js",
        "nginx:1.25@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "pip install thing@https://example.com/x.whl",
        "@app.route('/v1') @ 12:30 user@host",
        "the user name and the password are wrong: 407 Proxy Authentication Required",
        "http://@host //@media",
        "Basic authentication, Basic information, basic knowledge; Negotiate it",
        "api-version=1 key=value password=none",
        "https://host/v1?api-version=1&max_tokens=5&status_code=404&order=asc&monkey=1",
        "100% @ 50%40",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert hidden(text) == text


# --- keys in queries, and credentials ---------------------------------------------------------------------------------

NAMES = (
    *(
        "key",
        "KEY",
        "api_key",
        "api-key",
        "apikey",
        "apiKey",
        "APIKey",
        "x-api-key",
        "token",
        "access_token",
        "accessToken",
    ),
    *(
        "refresh_token",
        "sig",
        "signature",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-Amz-Credential",
        "code",
        "auth",
    ),
    *("password", "passwd", "pwd", "secret", "client_secret", "subscription-key", "Ocp-Apim-Subscription-Key", "jwt"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_key_in_a_query_is_hidden(name: str) -> None:
    assert hidden(f"https://host/v1?{name}=s3cr.et-1%2B&a=1 failed") == f"https://host/v1?{name}=…&a=1 failed"
    assert hidden(f"'/v1?a=1&{name}=s3cr.et'") == f"'/v1?a=1&{name}=…'"
    assert hidden(f"a=1&amp;{name}=s3cret&amp;b=2") == f"a=1&amp;{name}=…&amp;b=2"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("(see https://host?key=s3cret).", "(see https://host?key=…)."),
        ('{"url":"https://host?key=s3cret\\u0026b=1"}', '{"url":"https://host?key=…\\u0026b=1"}'),
        ("a\\u0026key=s3cret\\u0026b=1", "a\\u0026key=…\\u0026b=1"),
        ("?next=https://host?token=s3cret", "?next=https://host?token=…"),
        ("https://host#access_token=s3cret", "https://host#access_token=…"),
        ("url=https%3A%2F%2Fhost%3Fkey%3Ds3cret%26b%3D1", "url=https%3A%2F%2Fhost%3Fkey%3D…%26b%3D1"),
        ("Proxy-Authorization: Basic dXNlcjpwYXNz", "Proxy-Authorization: Basic [key]"),
        ("(b'Proxy-Authorization', b'Basic dTpw')", "(b'Proxy-Authorization', b'Basic [key]')"),
        ("{'authorization': 'basic dXNlcjpwYXNzd29yZA=='}", "{'authorization': 'basic [key]'}"),
        ("Negotiate TlRMTVNTUAABAAAAB4IIogAAAAAA", "Negotiate [key]"),
        (
            "BasicAuth(login='user', password='pa ss', encoding='latin1')",
            "BasicAuth(login='…', password='…', encoding='latin1')",
        ),
        ('Thing(a=1, password="it\'s")', "Thing(a=1, password='…')"),
        ("Proxy('http://host', auth=('user', 'pass'))", "Proxy('http://host', auth=(…))"),
    ],
)
def test_keys_and_credentials_are_hidden_in_every_form(text: str, safe: str) -> None:
    assert hidden(text) == safe


def test_what_libraries_write_of_a_login_holds_none() -> None:
    address = "http://anna:w1nter%20ok@proxy.example:3128/"
    written = [f"URL({address!r})", repr(httpx2.URL(address)), str(httpx2.URL(address)), f"InvalidURL({address!r})"]

    for text in written:
        assert "anna" not in hidden(text), text
        assert "w1nter" not in hidden(text), text


# --- logins that the environment holds --------------------------------------------------------------------------------

PASSWORDS = (
    *(
        "Winter2026x",
        "p@ss/wo:rd",
        "a b'c\"d",
        "x#y?z&1",
        "pässwört",
        "tab\there1",
        "100%sure",
        "back\\slash",
        "<b>1&2</b>",
    ),
    *("per%40cent", "summer", "20262026", "s3c!"),
)


def forms(user: str, password: str) -> dict[str, str]:
    """Return texts in which libraries of all kinds show a login."""
    pair = f"{user}:{password}"
    return {
        "as it is": f"proxy http://{pair}@proxy:3128 failed",
        "alone": f"'{password}' was refused",
        "repr": f"{'http://' + pair + '@proxy:3128'!r}",
        "ascii": ascii(f"x {password} y"),
        "bytes": repr(f"x {password} y".encode()),
        "JSON": json.dumps({"a": password}),
        "JSON as text": json.dumps({"a": password}, ensure_ascii=False),
        "quoted": f"http://{quote(user)}:{quote(password, safe='')}@proxy",
        "quoted alone": f"%3A{quote(password, safe='')}%40",
        "quoted in small letters": f"x={quote(password, safe='').lower() if '%' in quote(password) else password}&",
        "a form": f"p={quote_plus(password)}&x=1",
        "base64": f"sent {b64encode(pair.encode()).decode()}",
        "read as Latin-1": password.encode().decode("latin-1"),
        "without a scheme": f"{pair}@proxy",
    }


@pytest.mark.parametrize(
    "variable", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "all_proxy", "Ftp_Proxy", "OPENAI_BASE_URL"]
)
@pytest.mark.parametrize("password", PASSWORDS)
def test_a_login_of_the_environment_is_hidden_in_every_form(variable: str, password: str) -> None:
    environment = {variable: f"http://anna:{password}@proxy:3128", "NO_PROXY": "localhost"}

    for form, text in forms("anna", password).items():
        safe = redact(text, environment=environment)
        for secret in {
            password,
            quote(password, safe=""),
            ascii(password)[1:-1],
            b64encode(f"anna:{password}".encode()).decode(),
        }:
            assert secret not in safe, (form, safe)


def test_an_encoded_password_is_hidden_decoded_too() -> None:
    environment = {"HTTPS_PROXY": "http://anna:p%40ss%2Fw0rd@proxy:3128"}

    assert redact("p@ss/w0rd p%40ss%2Fw0rd p%40ss%2fw0rd", environment=environment) == "… … …"
    assert redact(b64encode(b"anna:p@ss/w0rd").decode(), environment=environment) == "…"


@pytest.mark.parametrize(
    ("login", "text"),
    [
        ("me:1", "me: 1 of 10 times; some:1 time:1"),
        ("me:pass", "I pass; the password of me"),
        ("me", "me@example.com tells me"),
        ("me:", "me: nothing"),
        ("anna:summer", "anna in midsummer, summers"),
        ("anna:202620", "2026200 anna"),
        ("anna:12:3", "at 12:30 anna"),
    ],
)
def test_an_ordinary_login_leaves_ordinary_sentences_whole(login: str, text: str) -> None:
    assert redact(text, environment={"HTTPS_PROXY": f"http://{login}@proxy:3128"}) == text


@pytest.mark.parametrize("login", ["me:1", "me", "me:", ":1"])
def test_a_short_login_is_hidden_in_the_address_all_the_same(login: str) -> None:
    environment = {"HTTPS_PROXY": f"http://{login}@proxy:3128"}

    assert redact(f"http://{login}@proxy:3128", environment=environment) == "http://…@proxy:3128"


def test_the_environment_is_read_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert redact("it is Winter2026x") == "it is Winter2026x"
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:Winter2026x@proxy:3128")
    assert redact("it is Winter2026x") == "it is …"


@pytest.mark.parametrize(
    "value", ["", "@", "://@", "http://", "no address", "http://:@:", "\udcff:\udcfe@x", "a\x00b:c@d", "%"]
)
def test_a_value_that_is_no_address_hides_nothing_and_breaks_nothing(value: str) -> None:
    assert redact("a sentence: a@b.c", environment={"HTTPS_PROXY": value}) == "a sentence: a@b.c"


def test_a_callers_own_key_may_stay_where_logins_may_not() -> None:
    text = "sk-abcdefgh http://user:pass@host"

    assert without_logins(text, NO_PROXIES) == "sk-abcdefgh http://…@host"
    assert redact(text, environment=NO_PROXIES) == "sk-ab[key] http://…@host"


def test_a_value_is_shown_without_its_own_login() -> None:
    assert shown_value("http://anna:12/34@host/v1") == "'http://…@host/v1'"
    assert shown_value("http://host:80/v1") == "'http://host:80/v1'"
    assert shown_value(5) == "5"


@pytest.mark.parametrize("text", ["http://u:p@h?key=abc Basic dTpw sk-abcdefgh", "BasicAuth(login='a', password='b')"])
def test_hiding_twice_is_hiding_once(text: str) -> None:
    assert hidden(hidden(text)) == hidden(text)


# --- long and hostile texts -------------------------------------------------------------------------------------------

HOSTILE = (
    *("@", "//", "//a:b", "a:", "a:b@", "x", "?a=", "?key=", "&", "%2F", "%2F%2Fa", "%25", "%252F", "u0026", "@a:1"),
    *(
        "password='",
        "password='\\'",
        'password="',
        "BasicAuth(login='",
        "Basic ",
        "Negotiate a",
        "sk-",
        "op-",
        "Bearer ",
    ),
    *("\\/\\/", "http://a:b@c ", "a:b@h:1,", "//a:b/c", "auth=('", "=", "(", "=(,;"),
)
SMALL_BYTES, LARGE_BYTES = 20_000, 400_000


@pytest.mark.parametrize("end", ["", "@", "%40", "@h:1"])
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_takes_no_longer_than_its_length(piece: str, end: str) -> None:
    """Twenty times the text may take a hundred times as long, never four hundred times as what is quadratic does."""
    small, large = (piece * (size // len(piece)) + end for size in (SMALL_BYTES, LARGE_BYTES))

    def seconds(text: str) -> float:
        began = perf_counter()
        redact(text, environment={"HTTPS_PROXY": "http://anna:a:b/c@h:1"})
        return perf_counter() - began

    at_best = min(seconds(small) for _ in range(3))
    assert min(seconds(large) for _ in range(2)) < max(100 * at_best, 0.5)
