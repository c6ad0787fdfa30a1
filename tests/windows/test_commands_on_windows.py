"""The commands of the program on Windows, as they are typed there."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes.environment import ROOT
from fakes.ports import free_port
from fakes.scripted_upstream import Json, ScriptedUpstream
from proxy.identity import TITLE, __version__
from proxy.quoting import for_cmd
from waiting import wait_for
from windows.machine import START_LIMIT_S, Running, Windows, answers

pytestmark = [pytest.mark.windows, pytest.mark.timeout(600)]

MODELS = {"object": "list", "data": [{"id": "model-one", "object": "model", "created": 1, "owned_by": "x"}]}
# What a double-click is: a process without a console, and without standard streams.
DETACHED = (
    "import subprocess, sys; print('code', subprocess.Popen(sys.argv[1:], creationflags=8, close_fds=True).wait())"
)
RUN_KEY = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run"


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


def test_a_lock_that_cannot_be_written_is_a_sentence_and_no_waiting(windows: Windows) -> None:
    folder = windows.drive / "locked"
    folder.mkdir()
    shutil.copy(ROOT / "start.bat", folder)
    (folder / ".venv.lock").touch(mode=0o444)

    ended = windows.run("cmd", "/c", r"C:\locked\start.bat --version")

    assert ended.code == 1
    assert 'cannot write to "C:\\locked\\.venv.lock"; if no other start is installing, delete that file' in ended.said


def test_every_step_of_check_passes_before_the_demo(windows: Windows) -> None:
    port = free_port()
    with serving(windows.start("cmd", "/c", r".\start.bat", "demo", "--port", str(port)), port):
        ended = windows.script("check", "--stream", PROXY_PORT=str(port))

    assert ended.code == 0, ended.said
    assert "All is well" in ended.said


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
    program = windows.start(windows.python, "-I", "-c", DETACHED, pythonw, "-I", "-m", "tray_app", "--host", "0.0.0.0")
    try:
        [window] = wait_for(lambda: windows.windows_named(TITLE), "a window with the reason", START_LIMIT_S)
        windows.press_below(window)
        program.wait()
    finally:
        program.kill()

    assert program.said.strip() == "code 1"


def test_words_quoted_for_cmd_arrive_in_a_program_as_they_were(windows: Windows) -> None:
    words = ["plain", 'with "quotes" and spaces', '{"a": "b & c | d > e"}', "%PATH% ^ (y) 100%", "back\\slash\\"]
    script = windows.project / "quoted.bat"
    shown = r"import sys; print(ascii(sys.argv[1:]))"
    quoted = " ".join(map(for_cmd, words)).replace("%", "%%")
    script.write_text(f'@"{windows.python}" -I -c "{shown}" {quoted}\r\n', newline="")

    ended = windows.run("cmd", "/c", r".\quoted.bat")
    script.unlink()

    assert ended.said.strip() == ascii(words)
