"""A newer version is looked for only where the user wants it, once a day at most, and told; nothing is downloaded."""

from collections.abc import Iterator
from typing import Any

import pytest

from fakes.http_proxy import HttpProxy
from fakes.scripted_upstream import Content, Json
from fakes.shared_upstream import Fresh
from proxy import paths
from proxy.identity import __version__
from proxy.settings.model import Settings
from proxy.updates import EVERY_S, Updates, is_newer

PATH = "/pypi/openai-tray-proxy/json"


def index(version: object, **more: object) -> Json:
    return Json({"info": {"version": version, **more}, "urls": [{"url": "https://files.example/never.whl"}]})


class Looking:
    """The program, with a clock of the test's own."""

    def __init__(self, upstream: Fresh, **settings: Any) -> None:
        chosen = {"proxy_update_notice": True, "proxy_update_index": f"http://127.0.0.1:{upstream.port}{PATH}"}
        self.settings = Settings(**{**chosen, **settings})
        self.now = 1_000_000.0
        self.told: list[str] = []
        self.updates = self.another()

    def another(self) -> Updates:
        """Return what another start of the program makes."""
        updates = Updates(lambda: self.settings, paths.updates_file, lambda: self.now)
        updates.listen(self.told.append)
        return updates


@pytest.fixture
def looking(upstream: Fresh) -> Looking:
    upstream.answer(index("99.1"))
    return Looking(upstream)


def test_a_newer_version_is_told_once(looking: Looking, upstream: Fresh) -> None:
    looking.updates.look()
    looking.updates.look()

    assert (looking.updates.available, looking.told) == ("99.1", ["99.1"])
    assert upstream.request.path == PATH
    assert upstream.request.header("user-agent") == f"openai-tray-proxy/{__version__}"
    assert upstream.request.header("authorization") is None


@pytest.mark.parametrize("url", ["https://me:word@pypi.org/json", "ftp://pypi.org", "https://", "https://a b/", ""])
def test_what_is_no_safe_address_is_no_index(url: str) -> None:
    with pytest.raises(ValueError, match="proxy_update_index"):
        Settings(proxy_update_index=url)


def test_it_is_asked_once_a_day_also_by_later_starts(looking: Looking, upstream: Fresh) -> None:
    looking.updates.look()
    looking.now += EVERY_S - 1
    looking.updates.look()
    later = looking.another()
    later.look()
    assert len(upstream.requests) == 1
    assert later.available == "99.1"

    looking.now += 2
    later.look()
    looking.updates.look()

    assert len(upstream.requests) == 2


def test_nobody_who_has_not_asked_for_it_is_asked_about(upstream: Fresh) -> None:
    looking = Looking(upstream, proxy_update_notice=False)

    looking.updates.look()

    assert not looking.updates.is_due
    assert looking.updates.available is None
    assert upstream.accepted_connections == 0
    assert not Settings().proxy_update_notice
    assert not paths.updates_file().exists()


@pytest.mark.parametrize("version", [__version__, "0.0.1", "1.0rc1", "99.0.dev1", "v99", 99, None, "99;x"])
def test_what_is_no_newer_final_version_is_not_told(looking: Looking, upstream: Fresh, version: object) -> None:
    upstream.answer(index(version))

    looking.updates.look()

    assert (looking.updates.available, looking.told) == (None, [])


def test_a_version_that_was_taken_back_is_not_told(looking: Looking, upstream: Fresh) -> None:
    upstream.answer(index("99.1", yanked=True))

    looking.updates.look()

    assert looking.told == []


@pytest.mark.parametrize(
    "answer",
    [
        Json({"message": "Not Found"}, status=404),
        Json({}, status=302, headers=[("Location", "https://elsewhere.example/")]),
        Json([]),
        Json({"info": None}),
        Content(b"<html>log in to the hotel's network</html>", "text/html"),
        Content(b"[" * 100_000, "application/json"),
    ],
)
def test_an_index_that_answers_otherwise_is_no_trouble_and_asked_again_the_next_day(
    looking: Looking, upstream: Fresh, answer: Json
) -> None:
    upstream.answer(answer)
    looking.updates.look()
    looking.updates.look()
    assert (len(upstream.requests), looking.told) == (1, [])

    upstream.answer(index("99.1"))
    looking.now += EVERY_S + 1
    looking.updates.look()

    assert looking.told == ["99.1"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"asked_at": "never"}', b'{"asked_at": 1e300, "version": "99"}', b"[]"]
)
def test_a_broken_memory_is_passed_over(looking: Looking, upstream: Fresh, content: bytes) -> None:
    paths.updates_file().parent.mkdir(parents=True)
    paths.updates_file().write_bytes(content)

    looking.updates.look()

    assert looking.told == ["99.1"]


def test_a_clock_that_was_set_back_does_not_end_the_looking(looking: Looking, upstream: Fresh) -> None:
    looking.updates.look()
    looking.now -= 10 * EVERY_S
    looking.updates.look()

    assert len(upstream.requests) == 2


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpProxy]:
    with HttpProxy(answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url("me:a-secret-word"))
        yield proxy


def test_the_networks_proxy_is_asked_as_for_any_upstream(
    network: HttpProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture
) -> None:
    looking = Looking(upstream, proxy_update_index=f"https://index.example.invalid{PATH}")
    with caplog.at_level("INFO"):
        looking.updates.look()

    assert network.targets == ["index.example.invalid:443"]
    assert looking.told == []
    assert "a-secret-word" not in caplog.text


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [
        ("0.2", "0.1.9", True),
        ("0.10", "0.9", True),
        ("1.0.0", "1", False),
        ("0.1.0", "0.1.0", False),
        ("0.1.0.1", "0.1", True),
        ("x", "0.1", False),
    ],
)
def test_versions_are_compared_by_their_numbers(version: str, than: str, newer: bool) -> None:
    assert is_newer(version, than) is newer
