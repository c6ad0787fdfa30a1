"""The proxy's bare address in a browser, and in everything else, over real HTTP."""

from collections.abc import Iterator

import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.wire_client import Reply, WireClient
from proxy.hosting import server_for
from proxy.server.thread import Address
from proxy.services import assemble
from proxy.web.ui.dashboard import Dashboard

FIREFOX = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
CHROME = "Accept: text/html,application/xhtml+xml,image/avif,image/webp,*/*;q=0.8"
SAFARI = "Accept: text/html"


@pytest.fixture(scope="module", params=[False, True], ids=["open", "asks for a key"])
def address(request: pytest.FixtureRequest) -> Iterator[Address]:
    settings = {"proxy_port": 0, "proxy_require_api_key": request.param, "openai_api_key": "upstream-key-of-the-user"}
    services = assemble(settings, keychain=MemoryKeychain)
    server = server_for(services, Dashboard(list, "token-of-the-second-start"))
    yield server.start("127.0.0.1", 0)
    server.stop()


def ask(address: Address, *headers: str, method: str = "GET", path: str = "/") -> Reply:
    with WireClient(address.port) as client:
        return client.ask(method, path, None, *headers)


@pytest.mark.parametrize("accept", [FIREFOX, CHROME, SAFARI])
def test_a_browser_is_told_what_this_is_and_how_to_open_the_page(address: Address, accept: str) -> None:
    reply = ask(address, accept)
    page = reply.body.decode()

    assert reply.status == 200
    assert "Dashboard…" in page
    assert f"http://127.0.0.1:{address.port}/v1" in page
    for secret in ("ticket", "form_token", "upstream-key", "token-of-the", "api.openai.com"):
        assert secret not in page
    assert "default-src 'none'" in (reply.header("content-security-policy") or "")


@pytest.mark.parametrize("accept", ["Accept: */*", "Accept: application/json", "X-None: 1"])
def test_other_programs_are_answered_as_before(address: Address, accept: str) -> None:
    assert ask(address, accept).error["code"] in ("unknown_path", "missing_proxy_key")


@pytest.mark.parametrize("asked", [("POST", "/"), ("GET", "/v1"), ("GET", "/nothing"), ("HEAD", "/")])
def test_a_browser_gets_the_page_nowhere_else(address: Address, asked: tuple[str, str]) -> None:
    assert ask(address, FIREFOX, method=asked[0], path=asked[1]).status in (401, 404)


@pytest.mark.parametrize(
    "header", ["Host: evil.example", "Host: 127.0.0.1.evil.example", "Origin: https://evil.example"]
)
def test_a_foreign_name_or_page_is_refused_as_before(address: Address, header: str) -> None:
    assert ask(address, FIREFOX, header).status == 403
