"""The way to the program's page without a tray: a link in the terminal, and `page` for a new one."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psutil
import pytest

from fakes.browser import Browser
from fakes.program import Program, run_python
from fakes.terminal import TerminalProgram
from waiting import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no terminals of this kind")

LINK = re.compile(r"http://\S+/ui/enter\?ticket=[0-9a-f]+")
SERVE = ("serve", "--demo", "--port", "0")


@pytest.fixture(scope="module")
def in_terminal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TerminalProgram]:
    with TerminalProgram(tmp_path_factory.mktemp("home"), *SERVE) as program:
        yield program


@pytest.fixture(scope="module")
def in_background(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("home"), *SERVE) as program:
        wait_for(lambda: "Ctrl-C" in program.printed, "the last line of the start")
        yield program


def page(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `page` as the user does."""
    return run_python(home, "-m", "proxy", "page", *arguments)


def link_in(text: str) -> str:
    found = LINK.search(text)
    return found.group() if found else ""


def get(link: str) -> httpx2.Response:
    return httpx2.get(link, trust_env=False, timeout=20)


def test_the_terminal_shows_a_link_to_the_page_that_a_browser_opens(
    in_terminal: TerminalProgram, tmp_path: Path
) -> None:
    link = wait_for(lambda: link_in(in_terminal.printed), "the link")
    with Browser(tmp_path / "profile") as browser:
        browser.open(link)

        assert re.fullmatch("/ui/[0-9a-f]{64}/", browser.run("location.pathname + location.search"))
        assert in_terminal.base_url in browser.text
        browser.open(link)
        assert "good once" in browser.text
        browser.open(page(in_terminal.home).stdout.strip())
        assert in_terminal.base_url in browser.text


def test_no_link_stands_in_any_file_it_wrote(in_terminal: TerminalProgram) -> None:
    wait_for(lambda: link_in(in_terminal.printed), "the link")
    written = [file for file in in_terminal.home.rglob("*") if file.is_file() and not file.name.startswith("printed-")]

    assert [file.name for file in written if file.suffix == ".log"] == ["proxy.log"]
    assert [file for file in written if b"ticket" in file.read_bytes()] == []


def test_what_is_no_terminal_gets_no_link_but_the_command_for_one(in_background: Program) -> None:
    assert "ticket" not in in_background.printed
    assert " page` prints a link\n" in in_background.printed


def test_page_prints_a_link_and_nothing_else(in_background: Program) -> None:
    outcome = page(in_background.home)

    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert LINK.fullmatch(outcome.stdout.strip())
    assert get(outcome.stdout.strip()).status_code == 303
    assert get(outcome.stdout.strip()).status_code == 403


def test_page_says_what_to_do_where_nothing_runs(tmp_path: Path) -> None:
    outcome = page(tmp_path)

    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert outcome.stderr.startswith("No proxy of yours runs here. `openai-tray-proxy serve` starts one")


def test_page_finds_the_one_that_is_meant(tmp_path: Path) -> None:
    with Program(tmp_path, *SERVE) as one, Program(tmp_path, *SERVE) as other:
        for program in (one, other):
            wait_for(lambda program=program: "Ctrl-C" in program.printed, "the last line of the start")

            assert f":{program.port}/ui/" in page(tmp_path, "--port", str(program.port)).stdout


def test_a_start_at_the_port_of_a_running_one_says_how_to_reach_that(in_background: Program) -> None:
    with Program(in_background.home, "serve", "--demo", "--port", str(in_background.port)) as second:
        assert second.ended() == 1
        assert second.printed.startswith(f"The proxy runs already: a proxy of yours has port {in_background.port}. ")
        assert " page`" in second.printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_one_that_has_ended_is_not_found(tmp_path: Path, number: int) -> None:
    with Program(tmp_path, *SERVE) as program:
        wait_for(lambda: "Ctrl-C" in program.printed, "the last line of the start")
        program.send(number)
        program.ended()

    assert page(tmp_path).returncode == 1


def test_without_the_proof_nobody_is_given_a_link(in_background: Program) -> None:
    for headers in ({}, {"X-Tray-Proof": ""}, {"X-Tray-Proof": "0" * 64, "X-Tray-Nonce": "1"}):
        answer = httpx2.post(f"{in_background.base_url[:-3]}/_tray/link", headers=headers, trust_env=False)

        assert (answer.status_code, "ticket" in answer.text) == (404, False)


@pytest.mark.parametrize("headers", [{"Origin": "http://localhost:3000"}, {"Sec-Fetch-Site": "cross-site"}])
def test_a_page_cannot_use_a_link(in_background: Program, headers: dict[str, str]) -> None:
    link = page(in_background.home).stdout.strip()

    assert httpx2.get(link, headers=headers, trust_env=False).status_code == 403
    assert get(link).status_code == 303


def test_only_this_computer_reaches_the_page_wherever_it_listens(tmp_path: Path) -> None:
    addresses = [each.address for every in psutil.net_if_addrs().values() for each in every if each.family == 2]
    own = next((address for address in addresses if not address.startswith("127.")), None)
    if own is None:
        pytest.skip("this computer has no address but its own")
    variables = {"PROXY_REQUIRE_API_KEY": "true", "PROXY_API_KEYS": "the-proxy-key-0001", "PROXY_ALLOWED_HOSTS": own}
    with Program(tmp_path, *SERVE, "--host", "0.0.0.0", **variables) as program:
        wait_for(lambda: "Ctrl-C" in program.printed, "the last line of the start")
        link = page(tmp_path).stdout.strip()
        transport = httpx2.HTTPTransport(local_address=own)  # a connection as another computer's: not of one address
        with httpx2.Client(transport=transport, trust_env=False) as elsewhere:
            assert elsewhere.get(link).status_code == 403
        assert get(link.replace("127.0.0.1", own)).status_code == 403  # an allowed name is for tools, not for this

        assert link.startswith("http://127.0.0.1:")
        assert f"{program.base_url}\n    other computers: by a name in PROXY_ALLOWED_HOSTS" in program.printed
        assert get(link).status_code == 303
