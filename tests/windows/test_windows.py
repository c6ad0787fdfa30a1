"""The program on Windows, from its installation to its last trace; each step as a user takes it."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx2
import pytest

from desktop.screen import Screen
from fakes.ports import free_port
from fakes.scripted_upstream import Json, ScriptedUpstream
from proxy.identity import TITLE, __version__
from waiting import wait_for
from windows.machine import Running, Windows

pytestmark = [pytest.mark.windows, pytest.mark.timeout(600)]

START_LIMIT_S = 120
MODELS = {"object": "list", "data": [{"id": "model-one", "object": "model", "created": 1, "owned_by": "x"}]}
# The lines of the menu from its end on, without separators; a key up goes that way.
MENU_FROM_END = (
    "Quit",
    "Help",
    "Upstream",
    "Add to applications menu",
    "Start at login",
    "Settings file",
    "Dashboard",
    "Open log folder",
    "View logs",
    "Set provider key",
    "Copy for PowerShell",
    "Copy as curl",
    "Copy proxy key",
    "Copy base URL",
)
ICON, ICON_PX = (1269, 16), 22  # on the screen
ELSEWHERE = (600, 700)
BALLOON = (255, 255, 225)  # the colour of its ground
RUN_KEY = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run"


def answers(port: int) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    return False


@contextmanager
def serving(program: Running, port: int) -> Iterator[Running]:
    """Wait until a program serves, and end it behind."""
    try:
        wait_for(lambda: answers(port) or not program.is_running, f"an answer at port {port}", START_LIMIT_S)
        assert answers(port), program.said
        yield program
    finally:
        program.kill()


@pytest.fixture(autouse=True)
def empty_folders(windows: Windows) -> Iterator[None]:
    """Leave nothing of the program behind but its installation."""
    yield
    windows.end_programs()
    windows.clear()


def test_the_start_script_has_installed_it_and_starts_it_again_without(windows: Windows) -> None:
    ended = windows.script("--version")

    assert (ended.code, ended.said.strip()) == (0, f"{TITLE}, version {__version__}")


def test_every_step_of_check_passes_before_the_demo(windows: Windows) -> None:
    port = free_port()
    with serving(windows.start("cmd", "/c", r".\start.bat", "demo", "--port", str(port)), port):
        ended = windows.script("check", "--stream", PROXY_PORT=str(port))

    assert ended.code == 0, ended.said
    assert "All is well" in ended.said


def test_ctrl_c_ends_it(windows: Windows) -> None:
    port = free_port()
    interrupt = (
        "import ctypes, subprocess, sys, time, urllib.request\n"
        "program = subprocess.Popen(sys.argv[2:])\n"
        "address = f'http://127.0.0.1:{sys.argv[1]}/health'\n"
        "for _ in range(200):\n"
        "    try: urllib.request.urlopen(address).read(); break\n"
        "    except OSError: time.sleep(0.2)\n"
        "ctypes.windll.kernel32.SetConsoleCtrlHandler(None, True)\n"
        "ctypes.windll.kernel32.GenerateConsoleCtrlEvent(0, 0)\n"
        "print('code', program.wait(20))\n"
    )
    words = (windows.python, "-I", "-m", "proxy", "serve", "--demo", "--port", str(port))
    ended = windows.run(windows.python, "-I", "-c", interrupt, str(port), *words)

    assert "code 0" in ended.said, ended.said
    assert not answers(port)


def test_the_key_is_kept_in_the_credential_manager(windows: Windows) -> None:
    with ScriptedUpstream() as upstream:
        upstream.answer(Json(MODELS))
        chosen = {"OPENAI_BASE_URL": upstream.base_url}

        stored = windows.program("key", "set", "--stdin", typed="a-key-for-windows-1234\n", **chosen)
        shown = windows.program("key", "status", **chosen)
        deleted = windows.program("key", "delete", **chosen)
        after = windows.program("key", "status", **chosen)

    assert [each.code for each in (stored, shown, deleted, after)] == [0] * 4
    assert "1234" in shown.said
    assert "a-key-for-windows" not in stored.said + shown.said
    assert "not set" in deleted.said
    assert "not set" in after.said


def test_more_proxy_keys_than_one_entry_holds_can_be_kept(windows: Windows) -> None:
    names = [f"tool number {number}" for number in range(20)]
    make = f"from proxy.cli.keys import proxy_keys; keys = proxy_keys(); [keys.new(name) for name in {names}]"
    made = windows.run(windows.python, "-I", "-c", make)

    listed = windows.program("proxy-key", "list").said
    windows.run(windows.python, "-I", "-c", make.replace("keys.new", "keys.revoke"))

    assert made.code == 0, made.said
    assert all(name in listed for name in names)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_settings_written_by_windows_own_programs_are_read(windows: Windows, encoding: str) -> None:
    windows.local.mkdir(parents=True)
    (windows.local / "settings.toml").write_text("proxy_port = 21621\r\n", encoding=encoding)

    assert re.search(r"PROXY_PORT +21621", windows.program("config").said)
    assert not list(windows.local.glob("*.bad*"))


def test_start_at_login_is_in_the_registry_and_goes_again(windows: Windows) -> None:
    on = windows.script("autostart", "on")
    kept = windows.run("reg", "query", RUN_KEY).said
    off = windows.script("autostart", "off")

    assert on.said.startswith("Start at login: on")
    assert "pythonw.exe" in kept
    assert "--at-login" in kept
    assert off.said.startswith("Start at login: off")
    assert TITLE not in windows.run("reg", "query", RUN_KEY).said


def test_the_shortcut_in_the_start_menu_starts_it_without_a_console(windows: Windows) -> None:
    ended = windows.script("install")
    [shortcut] = windows.home.glob(f"AppData/Roaming/Microsoft/Windows/Start Menu/Programs/{TITLE}.lnk")

    assert ended.code == 0
    assert "pythonw.exe".encode("utf-16-le") in shortcut.read_bytes()
    shortcut.unlink()


def test_a_start_that_fails_without_a_console_says_why_in_a_window(windows: Windows) -> None:
    pythonw = windows.python.replace("python.exe", "pythonw.exe")
    program = windows.start(pythonw, "-I", "-m", "tray_app", "--host", "0.0.0.0")
    try:
        wait_for(lambda: windows.windows_named(TITLE), "a window with the reason", START_LIMIT_S)
        windows.hands("xdotool", "key", "Return")
        assert program.wait() == 1
    finally:
        program.kill()


def test_words_quoted_for_cmd_arrive_in_a_program_as_they_were(windows: Windows) -> None:
    from proxy.quoting import for_cmd  # noqa: PLC0415

    words = ["plain", 'with "quotes" and spaces', '{"a": "b & c | d > e"}', "%PATH% ^ (y) 100%", "back\\slash\\"]
    script = windows.project / "quoted.bat"
    shown = r"import sys; print(ascii(sys.argv[1:]))"
    quoted = " ".join(map(for_cmd, words)).replace("%", "%%")
    script.write_text(f'@"{windows.python}" -I -c "{shown}" {quoted}\r\n', newline="")

    ended = windows.run("cmd", "/c", r".\quoted.bat")
    script.unlink()

    assert ended.said.strip() == ascii(words)


@pytest.fixture
def tray(windows: Windows) -> Iterator[int]:
    """Run the tray program, as a double-click on the start script does, and give its port."""
    port = free_port()
    program = windows.script("--demo", "--port", str(port))
    assert program.code == 0, program.said
    wait_for(lambda: answers(port), "the program", START_LIMIT_S)
    wait_for(lambda: windows.panel_width() >= ICON_PX, "the icon", START_LIMIT_S)
    yield port
    windows.move(ELSEWHERE)


def open_menu(windows: Windows) -> None:
    """Open the icon's menu with the right mouse button."""
    windows.move(ELSEWHERE)
    windows.move(ICON)
    windows.hands("xdotool", "click", "3")
    time.sleep(1.5)  # it takes keys once it is drawn, and nothing tells when


def choose(windows: Windows, label: str) -> None:
    """Choose a line of the menu by the keyboard."""
    open_menu(windows)
    ups = MENU_FROM_END.index(label) + 1
    windows.hands("xdotool", "key", "--delay", "60", *["Up"] * ups, "Return")


def test_the_icon_tells_that_the_program_runs(windows: Windows, tray: int) -> None:
    screen = Screen(windows.environment["DISPLAY"])
    try:
        wait_for(lambda: screen.middle_of(BALLOON), "a balloon at the start", 20)
    finally:
        screen.close()


def test_the_base_url_is_copied_from_the_menu(windows: Windows, tray: int) -> None:
    choose(windows, "Copy base URL")

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


def test_quit_ends_it_and_takes_the_icon_away(windows: Windows, tray: int) -> None:
    choose(windows, "Quit")

    wait_for(lambda: not answers(tray), "the end of the program", 20)
    wait_for(lambda: windows.panel_width() < ICON_PX, "an empty panel", 20)
    assert "ended in" in (windows.local / "Logs" / "proxy.log").read_text().splitlines()[-1]


def test_the_end_of_the_session_ends_it(windows: Windows, tray: int) -> None:
    windows.run("wineboot", "-e", limit_s=60)

    wait_for(lambda: not answers(tray), "the end of the program", 20)
    assert "ended in" in (windows.local / "Logs" / "proxy.log").read_text().splitlines()[-1]
