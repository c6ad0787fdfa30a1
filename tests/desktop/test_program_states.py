"""What the icon, its status line and its notifications tell while the program runs."""

import re
from collections.abc import Iterator

import httpx2
import pytest

from desktop.screen import Screen
from desktop.tray_user import UPSTREAM_KEY, Tray
from fakes.bus_service import BusService
from fakes.scripted_upstream import Answer, Chunk, EndHead, Fin, Header, Html, Json, Redirect, Script, Stall, completion
from fakes.shared_upstream import Fresh
from tray_app.artwork import DRAWINGS
from waiting import wait_for

REFUSAL = {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "x"}}
ENDLESS = Script([Header("Content-Type", "text/event-stream"), EndHead(chunked=True), Chunk(b"data: {}\n\n"), Stall()])
BROKEN_OFF = Script([Header("Content-Type", "text/event-stream"), EndHead(chunked=True), Chunk(b"data: {}\n\n"), Fin()])
STREAM = {"model": "m", "messages": [], "stream": True}


@pytest.fixture
def notifications(tray: Tray, monkeypatch: pytest.MonkeyPatch) -> Iterator[BusService]:
    """Put a notification service on the desktop's bus."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", tray.desktop.env["DBUS_SESSION_BUS_ADDRESS"])
    methods = {"GetCapabilities": ("as", (["body"],)), "Notify": ("u", (7,))}
    with BusService("org.freedesktop.Notifications", methods) as service:
        yield service


def told(service: BusService) -> list[tuple[str, str]]:
    """Return title and text of what was shown."""
    return [(body[3], body[4]) for method, body in service.calls if method == "Notify"]


def wait_for_icon(screen: Screen, state: str) -> None:
    colour = DRAWINGS[state].colour
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    wait_for(lambda: screen.middle_of((red, green, blue)), f"the icon for {state}")


def test_a_refused_key_is_told_and_an_accepted_one_ends_it(
    tray: Tray, upstream: Fresh, notifications: BusService
) -> None:
    tray.start().wait_until_it_runs()
    upstream.answer(Json(REFUSAL, status=401))

    assert tray.chat() == 401

    assert tray.wait_for_status("Upstream refuses the key")
    wait_for_icon(tray.desktop.screen, "error")
    assert tray.bus.read_item(tray.item, "Status") == "NeedsAttention"
    wait_for(lambda: told(notifications)[1:], "a notification")
    assert told(notifications)[1] == ("The upstream refuses the key", "Set another one: see the icon's menu.")
    upstream.answer(Json({"object": "list", "data": []}))
    assert httpx2.get(f"http://127.0.0.1:{tray.port}/v1/models", trust_env=False).status_code == 200
    tray.wait_until_it_runs()
    wait_for_icon(tray.desktop.screen, "running")


@pytest.mark.parametrize(
    ("answer", "is_streamed"),
    [(Html("<h1>Sign in</h1>"), False), (Redirect("https://example.com/sign-in"), False), (BROKEN_OFF, True)],
    ids=["page", "redirect", "broken-off"],
)
def test_an_invalid_answer_shows_at_once_and_the_third_in_a_row_is_notified_once(
    tray: Tray, upstream: Fresh, notifications: BusService, answer: Answer, *, is_streamed: bool
) -> None:
    tray.start().wait_until_it_runs()
    wait_for(lambda: told(notifications), "the greeting")
    upstream.answer(answer)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": is_streamed}

    def ask() -> None:
        response = httpx2.post(tray.chat_url, json=body, trust_env=False)
        assert "error" in response.text

    for _ in range(2):
        ask()
        assert tray.wait_for_status("Upstream failing")
    wait_for_icon(tray.desktop.screen, "attention")
    tray.copied("copy-url", "http://.*/v1")  # notifications that were due before this click have been shown
    assert len(told(notifications)) == 1
    for _ in range(2):
        ask()
    tray.copied("copy-url", "http://.*/v1")
    assert [title for title, _ in told(notifications)[1:]] == ["Upstream failing"]

    upstream.answer(Json(completion()))
    assert tray.chat() == 200
    tray.wait_until_it_runs()
    wait_for_icon(tray.desktop.screen, "running")


def test_a_rate_limit_is_told_with_its_end_and_is_over_by_itself(tray: Tray, upstream: Fresh) -> None:
    tray.write_settings(f"proxy_port = {tray.port}\nopenai_max_retries = 0\n")
    tray.start().wait_until_it_runs()
    upstream.answer(Json(REFUSAL, status=429, headers=[("Retry-After", "4")]))

    assert tray.chat() == 429

    wait_for_icon(tray.desktop.screen, "attention")
    assert re.fullmatch(r"Rate limited until \d\d:\d\d", tray.bus.read_item(tray.item, "ToolTip")[2])
    wait_for_icon(tray.desktop.screen, "running")
    tray.wait_until_it_runs()


def test_the_icon_shows_work_stop_and_start(tray: Tray, upstream: Fresh) -> None:
    upstream.answer(ENDLESS)
    tray.start().wait_until_it_runs()
    wait_for_icon(tray.desktop.screen, "running")

    with httpx2.Client(trust_env=False) as client, client.stream("POST", tray.chat_url, json=STREAM):
        wait_for_icon(tray.desktop.screen, "working")
    wait_for_icon(tray.desktop.screen, "running")
    tray.click("server")
    wait_for_icon(tray.desktop.screen, "stopped")
    tray.click("server")
    wait_for_icon(tray.desktop.screen, "running")


def test_an_open_menu_stays_open_and_clickable_while_the_program_works(tray: Tray, upstream: Fresh) -> None:
    tray.start().wait_until_it_runs()
    screen = tray.desktop.screen
    wait_for_icon(screen, "running")
    screen.click(wait_for(screen.middle_of_the_icon, "the icon"), button=3)
    box = wait_for(screen.menu_box, "an open menu")
    before = screen.image().crop(box)

    upstream.answer(Json(REFUSAL, status=401))
    assert tray.chat() == 401
    wait_for(lambda: screen.image().crop(box) != before, "another status on the screen")
    assert screen.menu_box() == box
    screen.click(((box[0] + box[2]) // 2, box[3] - 12))  # the last line

    assert tray.program.ended() == 0, tray.program.printed


def test_only_the_first_start_greets(tray: Tray, notifications: BusService) -> None:
    tray.start().wait_until_it_runs()
    wait_for(lambda: told(notifications), "a notification")
    assert told(notifications) == [
        ("The proxy is running", f"Base URL for your tools: http://127.0.0.1:{tray.port}/v1")
    ]
    tray.click("Quit")
    assert tray.program.ended() == 0

    tray.start().wait_until_it_runs()
    tray.copied("copy-url", "http://.*/v1")  # clicks come after the greeting

    assert len(told(notifications)) == 1


def test_a_port_that_is_taken_is_told(tray: Tray, notifications: BusService) -> None:
    with tray.taken_port():
        tray.start()

        wait_for(lambda: told(notifications), "a notification")

    ((title, text),) = told(notifications)
    assert title == "The proxy is not running"
    assert text.startswith(f"Port {tray.port} is taken by ")


def test_a_text_that_cannot_be_copied_is_shown(tray: Tray, notifications: BusService) -> None:
    tray.start(DISPLAY="").wait_until_it_runs()

    tray.click("copy-url")

    wait_for(lambda: told(notifications)[1:], "a second notification")
    assert told(notifications)[1] == ("No clipboard: copy this by hand", f"http://127.0.0.1:{tray.port}/v1")


def test_no_key_stands_in_the_log_or_on_the_bus(tray: Tray, upstream: Fresh) -> None:
    tray.start().wait_until_it_runs()
    upstream.answer(Json({"error": {"message": f"Incorrect API key provided: {UPSTREAM_KEY}"}}, status=401))

    assert tray.chat() == 401
    tray.wait_for_status("Upstream refuses the key")
    tray.click("Quit")

    assert tray.program.ended() == 0
    assert UPSTREAM_KEY not in tray.log() + tray.program.printed
