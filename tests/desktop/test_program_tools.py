"""Tools in the tray program: switched in the menu, asked about in the menu, answered on a page."""

import re
import threading
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from desktop.tray_user import Tray
from fakes.dashboard import form_token
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh
from fakes.terminal import TerminalProgram
from fakes.tool_turns import TOOLS_FILE, called
from waiting import wait_for

WEATHER = ("call_1", "weather", '{"city": "Ulm"}')
ASK_FIRST = '[tool_consent]\nweather = "ask"\n'


@pytest.fixture(autouse=True)
def tools_file(tray: Tray) -> None:
    """Give the user some tools."""
    (tray.settings_file.parent / "function_tools.py").write_text(TOOLS_FILE)


def offered(body: Any) -> list[str]:
    """Return the names of the tools a request offers to the model."""
    return [tool["function"]["name"] for tool in body.get("tools", ())]


def test_run_tools_takes_effect_with_the_next_request(tray: Tray, upstream: Fresh) -> None:
    tray.start().wait_until_it_runs()
    assert tray.chat() == 200
    assert offered(upstream.requests[-1].json()) == []

    tray.click("Let the model use tools")
    wait_for(lambda: tray.menu().find("tools").checked, "the check")
    upstream.answers([Json(called(WEATHER)), Json(completion("Take an umbrella."))])
    assert tray.chat() == 200

    asked, told = (request.json() for request in upstream.requests[-2:])
    assert "weather" in offered(asked)
    assert told["messages"][-1]["content"] == "It rains in Ulm."
    tray.click("Let the model use tools")
    wait_for(lambda: tray.menu().find("tools").checked is False, "no check")
    assert tray.chat() == 200
    assert offered(upstream.requests[-1].json()) == []


@pytest.mark.parametrize(
    ("decision", "told"),
    [("yes", "It rains in Ulm."), ("always", "It rains in Ulm."), ("no", "Error: The user did not allow this call.")],
)
def test_a_tool_asks_in_the_menu_and_is_answered_on_the_page(
    tray: Tray, page: httpx2.Client, upstream: Fresh, decision: str, told: str
) -> None:
    tray.write_settings(f"proxy_port = {tray.port}\nenable_tool_execution = true\n{ASK_FIRST}")
    upstream.answers([Json(called(WEATHER)), Json(completion("Take an umbrella."))])
    tray.start().wait_until_it_runs()
    statuses: list[int] = []
    chat = threading.Thread(target=lambda: statuses.append(tray.chat()))
    chat.start()
    line = tray.wait_for_line("A tool asks to run: weather…")
    assert tray.bus.read_item(tray.item, "Status") == "NeedsAttention"

    tray.click(line)
    entered = page.get(tray.opened())
    root = f"http://127.0.0.1:{tray.port}"
    questions = page.get(root + entered.headers["location"]).text

    assert "Ulm" in questions
    form = {"form_token": form_token(questions), "decision": decision}
    page.post(f"{root}{entered.headers['location']}/1", data=form, headers={"Origin": root})
    chat.join(10)
    assert statuses == [200]
    assert upstream.requests[-1].json()["messages"][-1]["content"] == told
    wait_for(lambda: not any("asks to run" in label for label in tray.labels()), "the question's end in the menu")
    assert ('weather = "auto"' in tray.settings_file.read_text()) == (decision == "always")


def test_without_an_icon_the_terminal_has_the_link_to_a_question(
    tray: Tray, page: httpx2.Client, upstream: Fresh
) -> None:
    tray.write_settings(f"proxy_port = {tray.port}\nenable_tool_execution = true\n{ASK_FIRST}")
    upstream.answers([Json(called(WEATHER)), Json(completion("Take an umbrella."))])
    program = tray.launch("--tray", "none", kind=TerminalProgram)
    wait_for(lambda: "Base URL" in program.printed, "the start")
    chat = threading.Thread(target=tray.chat)
    chat.start()

    link = wait_for(
        lambda: re.search(r"weather asks to run; answer within a minute: (\S+)\s", program.printed), "a link"
    )

    assert link
    place = f"http://127.0.0.1:{tray.port}" + page.get(link[1]).headers["location"]
    assert place.endswith("/approvals")
    questions = page.get(place).text
    page.post(
        f"{place}/1",
        data={"form_token": form_token(questions), "decision": "yes"},
        headers={"Origin": f"http://127.0.0.1:{tray.port}"},
    )
    chat.join(10)
    assert upstream.requests[-1].json()["messages"][-1]["content"] == "It rains in Ulm."


@pytest.mark.parametrize("call", [WEATHER, ("call_1", "slow", "{}")], ids=["a question", "a slow tool"])
def test_nothing_a_tool_does_holds_up_the_end(tray: Tray, upstream: Fresh, call: tuple[str, str, str]) -> None:
    tray.write_settings(f"proxy_port = {tray.port}\nenable_tool_execution = true\n{ASK_FIRST}")
    upstream.answer(Json(called(call)))
    tray.start().wait_until_it_runs()
    statuses: list[int] = []

    def ask() -> None:
        with suppress(httpx2.HTTPError):  # broken off
            statuses.append(tray.chat())

    chat = threading.Thread(target=ask)
    chat.start()
    upstream.wait_for_requests(1)

    tray.click("Quit")

    assert tray.program.ended() == 0
    chat.join(10)
    assert 200 not in statuses
