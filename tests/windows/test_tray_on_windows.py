"""The icon on Windows, from the start to the end: the tests of this file follow on each other."""

from collections.abc import Iterator

import pytest

from desktop.screen import Screen
from fakes.ports import free_port
from waiting import wait_for
from windows.machine import START_LIMIT_S, Windows, answers

pytestmark = [pytest.mark.windows, pytest.mark.timeout(600)]

# How far above the menu's lower edge its lines are, in Wine's own font.
ABOVE_EDGE_PX = {"Quit": 12, "Copy base URL": 259}
ICON, ICON_PX = (1269, 16), 22  # on the screen
ELSEWHERE = (600, 700)
BELOW_PANEL = (960, 34, 1280, 90)  # where a balloon hangs
BALLOON_PIXELS = 2_000


def started(windows: Windows) -> int:
    """Start the tray program as a double-click on the start script does, and return its port."""
    port = free_port()
    program = windows.script("--demo", "--port", str(port))
    assert program.code == 0, program.said
    wait_for(lambda: answers(port), "the program", START_LIMIT_S)
    wait_for(lambda: windows.panel_width() >= ICON_PX, "the icon", START_LIMIT_S)
    return port


@pytest.fixture(scope="module")
def tray(windows: Windows) -> Iterator[int]:
    """Run the program for all tests of this file; the last but one quits it."""
    yield started(windows)
    windows.end_programs()
    windows.clear()


@pytest.fixture
def screen(windows: Windows) -> Iterator[Screen]:
    """Look at the screen."""
    seen = Screen(windows.environment["DISPLAY"])
    yield seen
    seen.close()


def choose(windows: Windows, screen: Screen, label: str) -> None:
    """Open the icon's menu, and click one of its lines."""
    windows.move(ELSEWHERE)
    windows.move(ICON)
    windows.hands("xdotool", "click", "3")
    edge = wait_for(lambda: lower_edge(screen), "the menu", 20)
    windows.move((ICON[0] - 80, edge - ABOVE_EDGE_PX[label]))
    windows.hands("xdotool", "click", "1")


def lower_edge(screen: Screen) -> int:
    """Return where an open menu ends, 0 where none is open."""
    box = screen.image().crop((ICON[0] - 90, 200, ICON[0] - 20, 700)).getbbox()
    return 200 + box[3] if box else 0


def balloon_pixels(screen: Screen) -> int:
    """Return how much of what hangs below the panel is not the empty screen."""
    return sum(screen.image().crop(BELOW_PANEL).convert("L").histogram()[1:])


def last_line(windows: Windows) -> str:
    """Return the last line of the program's log."""
    return (windows.local / "Logs" / "proxy.log").read_text().splitlines()[-1]


def test_the_icon_tells_that_the_program_runs(windows: Windows, tray: int, screen: Screen) -> None:
    wait_for(lambda: balloon_pixels(screen) > BALLOON_PIXELS, "a balloon at the start", 20)


def test_the_base_url_is_copied_from_the_menu(windows: Windows, tray: int, screen: Screen) -> None:
    choose(windows, screen, "Copy base URL")

    wait_for(
        lambda: (
            windows.hands("timeout", "5", "xclip", "-selection", "clipboard", "-o") == f"http://127.0.0.1:{tray}/v1"
        ),
        "the address in the clipboard",
        20,
    )


def test_a_second_start_ends_at_once_and_leaves_the_first_running(windows: Windows, tray: int) -> None:
    ended = windows.run(windows.python, "-I", "-m", "tray_app", BROWSER="")

    assert ended.code == 0
    assert f"http://127.0.0.1:{tray}/ui/enter?ticket=" in ended.said
    assert answers(tray)


def test_quit_ends_it_and_takes_the_icon_away(windows: Windows, tray: int, screen: Screen) -> None:
    choose(windows, screen, "Quit")

    wait_for(lambda: not answers(tray), "the end of the program", 20)
    wait_for(lambda: windows.panel_width() < ICON_PX, "an empty panel", 20)
    wait_for(lambda: "ended in" in last_line(windows), "the last line of the log", 20)


def test_it_lets_the_session_end_and_ends_with_it(windows: Windows) -> None:
    port = started(windows)

    ended = windows.run("wineboot", "-e")

    assert ended.code == 0
    wait_for(lambda: not answers(port), "the end of the program", 20)
    windows.clear()
