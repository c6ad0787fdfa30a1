"""A tool that may not run unasked: the icon says so, and the user answers on a page."""

from pathlib import Path

import httpx2
import pytest

from desktop.tray_user import Tray
from fakes.desk import form_token
from waiting import wait_for

SCRIPT = Path(__file__).with_name("asking_script.py")
ARGUMENTS = '{"path": "/home/me/notes.txt"}'


@pytest.mark.parametrize(("decision", "allowed"), [("yes", True), ("always", True), ("no", False)])
def test_a_tool_asks_in_the_menu_and_is_answered_on_the_page(
    tray: Tray, page: httpx2.Client, decision: str, allowed: bool
) -> None:
    tray.start(ARGUMENTS, command=(str(SCRIPT),))
    line = tray.wait_for_line("A tool asks to run: write_file…")
    assert tray.bus.read_item(tray.item, "Status") == "NeedsAttention"

    tray.click(line)
    entered = page.get(tray.opened())
    root = f"http://127.0.0.1:{tray.port}"
    questions = page.get(root + entered.headers["location"]).text

    assert "/home/me/notes.txt" in questions
    form = {"form_token": form_token(questions), "decision": decision}
    page.post(f"{root}/ui/questions/1", data=form, headers={"Origin": root})
    wait_for(lambda: f"allowed: {allowed}" in tray.program.printed, "the decision")
    wait_for(lambda: not any("asks to run" in label for label in tray.labels()), "the question's end in the menu")
    assert ("tool_consent" in tray.settings_file.read_text()) == (decision == "always")
