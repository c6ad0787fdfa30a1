"""Which network's proxy leads to an upstream, and how its address is read as people write it."""

from base64 import b64decode

import pytest

from proxy.errors.upstream import NetworkProxyUnreachable, UpstreamFailure
from proxy.upstream.network_proxy import NetworkProxy, ProxyVariable, find_network_proxy

CORP = "http://proxy.corp:3128"
AWAY = "https://api.example.com/v1"


def read(value: str) -> NetworkProxy:
    return NetworkProxy.of(ProxyVariable("HTTPS_PROXY", value))


def login_of(proxy: NetworkProxy) -> bytes | None:
    if proxy.authorization is None:
        return None
    scheme, _, code = proxy.authorization.partition(" ")
    assert scheme == "Basic"
    return b64decode(code, validate=True)


# --- which one --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "url", "name"),
    [
        ({"HTTPS_PROXY": CORP}, AWAY, "HTTPS_PROXY"),
        ({"https_proxy": CORP}, AWAY, "https_proxy"),
        ({"https_proxy": CORP, "HTTPS_PROXY": CORP}, AWAY, "https_proxy"),
        ({"https_proxy": CORP, "HTTPS_PROXY": "http://other:1"}, AWAY, "https_proxy"),
        ({"HTTPS_PROXY": CORP, "ALL_PROXY": "http://other:1"}, AWAY, "HTTPS_PROXY"),
        ({"ALL_PROXY": CORP}, AWAY, "ALL_PROXY"),
        ({"all_proxy": CORP}, AWAY, "all_proxy"),
        ({"HTTPS_PROXY": "  ", "ALL_PROXY": CORP}, AWAY, "ALL_PROXY"),
        ({"HTTP_PROXY": CORP}, "http://gateway.example/v1", "HTTP_PROXY"),
        ({"HTTPS_PROXY": f" {CORP}\n"}, AWAY, "HTTPS_PROXY"),
    ],
)
def test_the_variable_that_names_the_proxy_is_found(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, name: str
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)

    assert find_network_proxy(url) == ProxyVariable(name, CORP)


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, AWAY),
        ({"HTTPS_PROXY": ""}, AWAY),
        ({"HTTPS_PROXY": " "}, AWAY),
        ({"HTTP_PROXY": CORP}, AWAY),
        ({"HTTPS_PROXY": CORP, "NO_PROXY": "api.example.com"}, AWAY),
        ({"HTTPS_PROXY": CORP, "no_proxy": ".example.com"}, AWAY),
        ({"HTTPS_PROXY": CORP, "NO_PROXY": "*"}, AWAY),
    ],
)
def test_where_there_is_none_there_is_none(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)

    assert find_network_proxy(url) is None


@pytest.mark.parametrize(
    ("excepted", "hosts"),
    [
        # by name, and all below it; a dot or a star in front changes nothing
        ("api.example.com", ["api.example.com", "API.Example.COM", "api.example.com.", "eu.api.example.com"]),
        (".example.com", ["example.com", "api.example.com"]),
        ("*.example.com", ["example.com", "a.b.example.com"]),
        ("Example.COM.", ["api.example.com"]),
        ("com", ["api.example.com"]),
        ("a.example, ,b.example", ["a.example", "b.example"]),
        ("a.example b.example", ["a.example", "b.example"]),
        # by port: that port alone
        ("api.example.com:8443", ["api.example.com:8443"]),
        ("api.example.com:443", ["api.example.com"]),
        (".example.com:8443", ["api.example.com:8443"]),
        ("10.0.0.1:8443", ["10.0.0.1:8443"]),
        ("10.0.0.0/8:8443", ["10.1.2.3:8443"]),
        ("[2001:db8::1]:8443", ["[2001:db8::1]:8443"]),
        # by address and block
        ("10.0.0.1", ["10.0.0.1", "10.0.0.1:8443", "[::ffff:10.0.0.1]"]),
        ("10.0.0.0/8", ["10.1.2.3", "10.255.255.255:8443"]),
        ("192.168.7.9/24", ["192.168.7.200"]),  # not the first address of its block
        ("172.16.0.0/255.240.0.0", ["172.31.0.1"]),
        ("0.0.0.0/0", ["8.8.8.8"]),
        ("2001:db8::/32", ["[2001:db8:1::2]"]),
        ("2001:db8::1", ["[2001:db8:0::1]"]),
        ("[2001:db8::1]", ["[2001:db8::1]"]),
        ("*", ["api.example.com", "10.0.0.1", "[2001:db8::1]"]),
    ],
)
@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_what_no_proxy_names_has_none(
    monkeypatch: pytest.MonkeyPatch, variable: str, excepted: str, hosts: list[str]
) -> None:
    monkeypatch.setenv("ALL_PROXY", CORP)
    monkeypatch.setenv(variable, excepted)

    for host in hosts:
        assert find_network_proxy(f"https://{host}/v1") is None, host


@pytest.mark.parametrize(
    ("excepted", "hosts"),
    [
        ("example.com", ["badexample.com", "example.com.evil.test", "example.org"]),
        (".example.com", ["badexample.com"]),
        ("api.example.com", ["example.com"]),
        ("api.example.com:8443", ["api.example.com", "api.example.com:18443"]),
        ("api.example.com:443", ["api.example.com:8443"]),
        ("10.0.0.0/8:8443", ["10.1.2.3"]),
        ("10.0.0.1", ["10.0.0.10", "110.0.0.1", "10.0.0.1.evil.test"]),
        ("10.0.0.0/8", ["11.0.0.1", "10.evil.test"]),
        ("0.1", ["10.0.0.1"]),  # an address has no part that names it
        ("0.0.0.1", ["10.0.0.0"]),
        ("2001:db8::/32", ["[2001:db9::1]"]),
        ("10.0.0.0/99", ["10.0.0.1", "api.example.com"]),
        ("/", ["api.example.com", "10.0.0.1"]),
        (".", ["api.example.com", "10.0.0.1"]),
        (",", ["api.example.com"]),
        (":443", ["api.example.com"]),
        ("https://api.example.com", ["api.example.com"]),  # it is no host
    ],
)
def test_what_no_proxy_does_not_name_has_one(monkeypatch: pytest.MonkeyPatch, excepted: str, hosts: list[str]) -> None:
    monkeypatch.setenv("ALL_PROXY", CORP)
    monkeypatch.setenv("NO_PROXY", excepted)

    for host in hosts:
        assert find_network_proxy(f"https://{host}/v1") == ProxyVariable("ALL_PROXY", CORP), host


def test_the_exceptions_in_lower_case_go_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", CORP)
    monkeypatch.setenv("no_proxy", "other.example")
    monkeypatch.setenv("NO_PROXY", "*")

    assert find_network_proxy(AWAY) == ProxyVariable("ALL_PROXY", CORP)
    assert find_network_proxy("https://other.example/v1") is None


@pytest.mark.parametrize(
    "variable", ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
)
@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.0.0.1",
            "127.1.2.3",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "app.localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ),
        *("0.0.0.0", "[::]", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1."),
    ],
)
def test_what_stays_on_this_computer_has_none(monkeypatch: pytest.MonkeyPatch, variable: str, host: str) -> None:
    monkeypatch.setenv(variable, CORP)

    assert find_network_proxy(f"http://{host}:11434/v1") is None
    assert find_network_proxy(f"https://{host}/v1") is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1.evil.example", "localhost.evil.example", "0127.0.0.1", "10.0.0.1", "[fe80::1]"]
)
def test_what_only_looks_like_this_computer_has_one(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", CORP)

    assert find_network_proxy(f"http://{host}/v1") == ProxyVariable("HTTP_PROXY", CORP)


# --- its address ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "url", "login"),
    [
        ("http://proxy:3128", "http://proxy:3128", None),
        ("proxy:3128", "http://proxy:3128", None),
        ("proxy", "http://proxy", None),
        ("HTTP://Proxy.Corp:3128/", "http://proxy.corp:3128", None),
        ("https://proxy:443/path?x#y", "https://proxy:443", None),
        ("http://[::1]:3128", "http://[::1]:3128", None),
        ("http://[0:0::1]", "http://[::1]", None),
        ("http://prüfung.example:1", "http://xn--prfung-4ya.example:1", None),
        ("http://user:pass@proxy:3128", "http://proxy:3128", b"user:pass"),
        ("user:pass@proxy:3128", "http://proxy:3128", b"user:pass"),
        ("http://user@proxy:3128", "http://proxy:3128", b"user:"),
        ("http://:pass@proxy:3128", "http://proxy:3128", b":pass"),
        ("http://@proxy:3128", "http://proxy:3128", b":"),
        ("http://us%40er:p%3Ass%25@proxy", "http://proxy", b"us@er:p:ss%"),
        ("http://user:p@ss:w/o#r?d@proxy:3128", "http://proxy:3128", b"user:p@ss:w/o#r?d"),
        ("http://user:a b\"c'd%@proxy:3128", "http://proxy:3128", b"user:a b\"c'd%"),
        ("http://user:http://x@proxy:3128", "http://proxy:3128", b"user:http://x"),
        ("http://user:pässwort@proxy", "http://proxy", "user:pässwort".encode()),
        ("http://user:p%C3%A4ss%FF@proxy", "http://proxy", b"user:p\xc3\xa4ss\xff"),
        ("http://user:\udcff@proxy", "http://proxy", b"user:\xff"),
        ("http://user:a%0D%0Ab@proxy", "http://proxy", b"user:a\r\nb"),
    ],
)
def test_an_address_is_read_as_people_write_it(value: str, url: str, login: bytes | None) -> None:
    proxy = read(value)

    assert (proxy.url, login_of(proxy)) == (url, login)
    assert "\n" not in (proxy.authorization or "")


@pytest.mark.parametrize(
    "value",
    [
        *("http://", "://", "http:///", "/", "@", "http://user:Winter2026@", "http://user:Winter2026@host:notaport"),
        *("http://user:Winter2026@host:99999", "http://host:0", "http://user:Winter2026@ho st", "http://[::1"),
        *("http://user:Winter2026@[::x]", "http://..", f"http://{'a' * 70}", "http://300.1.1.1", "http://h%41"),
        *("http://user:Winter\n2026@host:1", "http://ho\x00st", "http://user:Win\x07ter2026@host", "http://::1:80"),
        *("socks://user:Winter2026@host:1080", "socks6://host", "quic://host", "ftp://host", "Winter2026://host"),
        *(
            "socks5://user:Wïnter2026@host:1080",
            f"socks5h://user:{'Winter2026' * 30}@host",
            "socks4://user:Winter2026@",
        ),
    ],
)
def test_what_is_no_address_is_an_error_that_names_the_variable_alone(value: str) -> None:
    with pytest.raises(NetworkProxyUnreachable) as caught:
        read(value)

    said = str(caught.value)
    assert "HTTPS_PROXY" in said
    assert "OPENAI_BASE_URL" not in said
    for secret in ("user", "Winter", "2026"):
        assert secret not in said.replace("Put user", "")


@pytest.mark.parametrize("scheme", ["socks", "quic", "FTP"])
def test_a_scheme_that_is_not_spoken_is_named(scheme: str) -> None:
    with pytest.raises(NetworkProxyUnreachable, match=f"HTTPS_PROXY begins with {scheme.lower()}://"):
        read(f"{scheme}://user:pass@proxy:1080")


def test_no_form_of_a_proxy_shows_its_login() -> None:
    variable = ProxyVariable("HTTPS_PROXY", "http://anna:Winter2026@proxy:3128")
    proxy = NetworkProxy.of(variable)

    for text in (repr(variable), repr(proxy), str(proxy), proxy.url):
        assert "anna" not in text
        assert "Winter2026" not in text
    assert str(proxy) == "proxy:3128 (HTTPS_PROXY)"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (407, "network_proxy_auth", "proxy:3128 (HTTPS_PROXY) answered 407 Proxy Authentication Required"),
        (403, "network_proxy_refused", "proxy:3128 (HTTPS_PROXY) answered 403 Forbidden"),
        (502, "network_proxy_refused", "answered 502 Bad Gateway"),
        (599, "network_proxy_refused", "answered 599"),
    ],
)
def test_a_refusal_says_what_the_proxy_answered(status: int, code: str, said: str) -> None:
    failure = read("http://anna:Winter2026@proxy:3128").refusal(status)

    assert isinstance(failure, UpstreamFailure)
    assert (failure.status, failure.code) == (502, code)
    assert said in str(failure)
    assert "OPENAI_BASE_URL" not in str(failure)
