"""Every way out of the tray program, and what a second start does."""

import re
import signal
import time

import httpx2
import pytest

from desktop.tray_user import APP_ID, Tray
from fakes.dashboard import form_token
from fakes.program import Program
from fakes.scripted_upstream import Chunk, EndHead, Header, Script, Stall
from fakes.shared_upstream import Fresh
from tray_app.single_instance import SingleInstance
from waiting import wait_for

ENDLESS = Script([Header("Content-Type", "text/event-stream"), EndHead(chunked=True), Chunk(b"data: {}\n\n"), Stall()])
STREAM = {"model": "m", "messages": [], "stream": True}
GRACE_S = 3.0


@pytest.mark.parametrize("way", ["Quit", signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_way_out_ends_well_and_leaves_port_and_lock_free(tray: Tray, way: str | signal.Signals) -> None:
    tray.start().wait_until_it_runs()

    tray.click(way) if isinstance(way, str) else tray.program.send(way)

    assert tray.program.ended() == 0
    assert tray.is_port_free()
    assert "Traceback" not in tray.program.printed
    assert re.search(r"ended in \d", tray.log())
    with SingleInstance(tray.home / "run" / APP_ID) as next_one:
        assert next_one.is_first


def test_without_an_icon_the_page_ends_it(tray: Tray, page: httpx2.Client, bare_bus: str) -> None:
    tray.start_without_panel(bare_bus).wait_until_it_runs()
    tray.click("dashboard")
    link = tray.opened()
    home = link.partition("/ui/")[0] + page.get(link).headers["location"]

    answer = page.post(f"{home}stop", data={"form_token": form_token(page.get(home).text)})

    assert "The program ends" in answer.text
    assert tray.program.ended() == 0


def test_a_running_stream_gets_its_grace_at_the_end(tray: Tray, upstream: Fresh) -> None:
    upstream.answer(ENDLESS)
    tray.start().wait_until_it_runs()
    with httpx2.Client(trust_env=False) as client, client.stream("POST", tray.chat_url, json=STREAM) as stream:
        pieces = stream.iter_raw()
        next(pieces)
        began = time.monotonic()

        tray.click("Quit")

        assert tray.program.ended() == 0
        assert GRACE_S - 0.5 < time.monotonic() - began < 10
        assert b"proxy_stopped" in b"".join(pieces)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(tray: Tray, upstream: Fresh, number: signal.Signals) -> None:
    upstream.answer(ENDLESS)
    tray.start().wait_until_it_runs()
    with httpx2.Client(trust_env=False) as client, client.stream("POST", tray.chat_url, json=STREAM) as stream:
        pieces = stream.iter_raw()
        next(pieces)  # kept, for to let go of it is to hang up
        tray.program.send(number)
        wait_for(lambda: not tray.desktop.bus.has_owner(tray.item.name), "the end of the icon")
        began = time.monotonic()

        tray.program.send(number)

        assert tray.program.ended() == -number
        assert time.monotonic() - began < GRACE_S / 2
        assert "Traceback" not in tray.program.printed


def test_the_end_of_the_session_ends_it_well(tray: Tray) -> None:
    with tray.session_of_its_own() as address:
        tray.start_without_panel(address).wait_until_it_runs()

    assert tray.program.ended() == 0
    assert tray.is_port_free()


@pytest.mark.parametrize("server", ["on", "off"])
def test_a_second_copy_opens_the_firsts_dashboard_prints_a_link_and_ends(
    tray: Tray, page: httpx2.Client, server: str
) -> None:
    tray.start().wait_until_it_runs()
    if server == "off":
        tray.click("server")
        tray.wait_for_status("Stopped")

    second = tray.launch()

    assert second.ended() == 0
    assert page.get(tray.opened()).status_code == 303
    printed = re.search(
        r"The program is already running. Its page \(the link works once\): (http://\S+)", second.printed
    )
    assert printed
    assert page.get(printed[1]).status_code == 303


@pytest.mark.parametrize("server", ["on", "off"])
def test_page_prints_a_link_and_leaves_the_tray_as_it_is(tray: Tray, page: httpx2.Client, server: str) -> None:
    tray.start().wait_until_it_runs()
    if server == "off":
        tray.click("server")
        tray.wait_for_status("Stopped")

    with Program(tray.home, "page") as asking:
        assert asking.ended() == 0
        assert page.get(asking.printed.strip()).status_code == 303
    tray.click("dashboard")
    assert tray.opened()
    assert len(tray.opened_so_far()) == 1  # the click's
