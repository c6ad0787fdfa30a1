"""On a real X server, pasted by another program; what stands for Wayland and KDE is the test's own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("this clipboard is that of Linux", allow_module_level=True)

import resource

from Xlib.display import Display

from background import need, running
from tray_app.clipboard.linux import LinuxClipboard
from tray_app.errors import ClipboardUnavailable
from waiting import wait_for

XCLIP = ("xclip", "-selection", "clipboard")
# Of a display it cannot use, Xlib leaves the socket to Python's garbage collection.
XLIB_LEAVES_ITS_SOCKET = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture
def clipboard() -> Iterator[LinuxClipboard]:
    ours = LinuxClipboard()
    yield ours
    ours.close()


def pasted(target: str = "UTF8_STRING") -> bytes | None:
    """Return what another program pastes, None where it finds nothing."""
    need("xclip")
    asked = subprocess.run([*XCLIP, "-o", "-t", target], capture_output=True, timeout=10)
    return asked.stdout if asked.returncode == 0 else None


def copied_by_another_program(text: str) -> None:
    need("xclip")
    null = subprocess.DEVNULL
    subprocess.run([*XCLIP, "-loops", "1"], input=text.encode(), stdout=null, stderr=null, timeout=10, check=True)


def owners() -> int:
    return sum(thread.name == "clipboard-owner" for thread in threading.enumerate())


@pytest.mark.usefixtures("x_display")
class TestX11:
    @pytest.mark.parametrize("text", ["http://127.0.0.1:8080/v1", "Zähne 🦷\nzweite Zeile\n", "", "x" * 200_000])
    def test_another_program_pastes_what_was_copied(self, clipboard, text):
        clipboard.copy(text)

        assert pasted() == text.encode()

    def test_what_is_pasted_often_stays(self, clipboard):
        clipboard.copy("text")

        assert [pasted() for _ in range(5)] == [b"text"] * 5

    def test_the_last_copy_wins_and_one_thread_holds_it(self, clipboard):
        for number in range(20):
            clipboard.copy(f"text {number}")

        assert pasted() == b"text 19"
        assert owners() == 1

    def test_programs_of_every_age_find_a_target_they_know(self, clipboard):
        clipboard.copy("Zähne 🦷")

        assert set(pasted("TARGETS").decode().split()) == {
            "TARGETS",
            "TIMESTAMP",
            "STRING",
            "UTF8_STRING",
            "text/plain;charset=utf-8",
        }
        assert pasted("text/plain;charset=utf-8") == "Zähne 🦷".encode()
        assert pasted("STRING") == "Zähne ?".encode("latin-1")
        assert int(pasted("TIMESTAMP")) > 0

    def test_a_picture_is_not_to_be_had(self, clipboard):
        clipboard.copy("text")

        assert pasted("image/png") is None
        assert pasted() == b"text"

    def test_another_program_that_copies_takes_over(self, clipboard):
        clipboard.copy("ours")

        copied_by_another_program("theirs")

        wait_for(lambda: owners() == 0, "our thread's end")
        assert pasted() == b"theirs"

    def test_after_another_program_took_over_we_can_copy_again(self, clipboard):
        clipboard.copy("ours")
        copied_by_another_program("theirs")
        wait_for(lambda: owners() == 0, "the other program's turn")

        clipboard.copy("ours again")

        assert pasted() == b"ours again"

    def test_closing_empties_the_clipboard_and_ends_the_thread(self, clipboard):
        clipboard.copy("text")

        clipboard.close()

        assert owners() == 0
        assert pasted() is None

    def test_closing_twice_is_no_error(self, clipboard):
        clipboard.copy("text")

        clipboard.close()
        clipboard.close()

    def test_a_program_that_pastes_and_goes_away_does_no_harm(self, clipboard):
        clipboard.copy("text")
        for _ in range(20):
            ask_and_vanish()

        assert pasted() == b"text"
        assert owners() == 1

    def test_a_text_too_long_for_one_request_is_refused_with_a_sentence(self, clipboard):
        clipboard.copy("text")

        with pytest.raises(ClipboardUnavailable, match="too long for the X clipboard"):
            clipboard.copy("x" * 20_000_000)

        assert pasted() == b"text"

    @XLIB_LEAVES_ITS_SOCKET
    def test_with_more_open_files_than_xlib_can_count_copying_is_refused(self, clipboard):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        with ExitStack() as stack:
            for _ in range(1100):
                stack.enter_context(open(os.devnull))  # noqa: PTH123  a descriptor is all that is wanted
            with pytest.raises(ClipboardUnavailable, match="X display cannot be used"):
                clipboard.copy("text")
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def test_copying_takes_no_noticeable_time(self, clipboard):
        began = time.monotonic()

        clipboard.copy("text")

        assert time.monotonic() - began < 0.5


def ask_and_vanish() -> None:
    display = Display()
    window = display.screen().root.create_window(0, 0, 1, 1, 0, 0)
    clipboard, target = display.intern_atom("CLIPBOARD"), display.intern_atom("UTF8_STRING")
    window.convert_selection(clipboard, target, target, 0)
    display.close()


@XLIB_LEAVES_ITS_SOCKET
def test_an_x_server_that_dies_takes_the_text_with_it_and_no_more(clipboard, monkeypatch):
    with running("Xvfb", "-nolisten", "tcp", "-displayfd", "{fd}") as (server, number):
        monkeypatch.setenv("DISPLAY", f":{number}")
        clipboard.copy("text")
        server.kill()

        wait_for(lambda: owners() == 0, "our thread's end")

    with pytest.raises(ClipboardUnavailable, match="X display cannot be used"):
        clipboard.copy("text")


@XLIB_LEAVES_ITS_SOCKET
def test_a_display_that_is_not_there_is_a_sentence(clipboard, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":54321")

    with pytest.raises(ClipboardUnavailable, match=r"^The clipboard cannot be reached: the X display cannot be used"):
        clipboard.copy("text")


def test_a_display_with_a_name_that_is_none_is_a_sentence(clipboard, monkeypatch):
    monkeypatch.setenv("DISPLAY", "nonsense")

    with pytest.raises(ClipboardUnavailable, match="X display cannot be used"):
        clipboard.copy("text")


def test_a_computer_without_a_desktop_is_a_sentence(clipboard):
    with pytest.raises(ClipboardUnavailable, match="there is no desktop"):
        clipboard.copy("text")


class TestWayland:
    @pytest.fixture(autouse=True)
    def wayland(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")

    @pytest.fixture
    def wl_copy(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
        """Return a function that installs a wl-copy which does what the test says, and nothing else."""
        folder = tmp_path / "bin"
        folder.mkdir()
        monkeypatch.setenv("PATH", str(folder))

        def install(script: str) -> None:
            (folder / "wl-copy").write_text(f"#!/bin/sh\n{script}\n")
            (folder / "wl-copy").chmod(0o755)

        return install

    def test_wl_copy_gets_the_text_and_may_stay_behind(self, clipboard, wl_copy, tmp_path):
        wl_copy(f'/bin/cat > "{tmp_path}/text"; echo "$@" > "{tmp_path}/arguments"; /bin/sleep 3 &')
        began = time.monotonic()

        clipboard.copy("Zähne 🦷")

        assert time.monotonic() - began < 2
        assert (tmp_path / "text").read_text(encoding="utf-8") == "Zähne 🦷"
        assert (tmp_path / "arguments").read_text() == "--type text/plain;charset=utf-8\n"

    def test_klipper_takes_the_text_where_wl_copy_is_missing(self, serve, clipboard, wl_copy):
        klipper = serve("org.kde.klipper", setClipboardContents=("", ()))

        clipboard.copy("Zähne 🦷")

        assert klipper.calls == [("setClipboardContents", ("Zähne 🦷",))]

    @pytest.mark.usefixtures("x_display")
    def test_x11_is_the_last_resort(self, clipboard, wl_copy, monkeypatch):
        wl_copy("exit 1")

        clipboard.copy("text")

        monkeypatch.setenv("PATH", os.defpath)
        assert pasted() == b"text"

    def test_each_way_that_failed_is_named(self, bus_services, clipboard, wl_copy):
        wl_copy("exit 1")

        with pytest.raises(ClipboardUnavailable, match=r"wl-copy failed; org\.kde\.klipper is not running") as caught:
            clipboard.copy("text")

        assert "dashboard" in caught.value.message
