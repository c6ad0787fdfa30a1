"""What the pystray backends have in common, over pystray's own logic without a system below it."""

import os
import threading
from contextlib import contextmanager

from fakes.pystray_icons import FakeProgram, QueueIcon, pystray
from tray_app.backends.pystray_icon import PystrayBackend, load_pystray
from tray_app.menu import Line, Look
from waiting import wait_for

OPEN = Line("open", "Open", is_default=True)


class QueueBackend(PystrayBackend):
    def _icon_class(self):
        return QueueIcon

    def _wake(self):
        self._icon.loop.put(self._run_tasks)


@contextmanager
def shown(program, backend_class=QueueBackend):
    """Run a backend in a thread, as if that was the main one."""
    backend = backend_class(pystray, program.program, "the test wants it")
    running = threading.Thread(target=backend.run)
    running.start()
    try:
        wait_for(lambda: backend.is_shown, "the icon")
        yield backend
    finally:
        backend.stop()
        running.join(5)
        assert not running.is_alive()


def item(backend, label):
    return next(item for item in backend._icon.menu if item.text == label)


def test_which_system_pystray_is_for_is_no_secret_left_to_programs_we_start(monkeypatch):
    monkeypatch.setenv("PYSTRAY_BACKEND", "gtk")

    load_pystray("dummy")

    assert os.environ["PYSTRAY_BACKEND"] == "gtk"


def test_the_icon_is_shown_by_the_thread_that_runs_it():
    with shown(FakeProgram(OPEN)) as backend:
        assert [what for what, _ in backend._icon.drawn] == ["menu", "icon", "show"]
        assert not backend._stop_request.is_made


def test_a_click_gives_the_key_and_a_disabled_line_gives_none():
    program = FakeProgram(OPEN, Line("off", "Off", enabled=False))
    with shown(program) as backend:
        item(backend, "Off")(backend._icon)
        item(backend, "Open")(backend._icon)

    assert program.clicks == ["open"]


def test_a_click_on_the_icon_runs_the_default_line():
    program = FakeProgram(Line("quit", "Quit"), OPEN)
    with shown(program) as backend:
        backend._icon()

    assert program.clicks == ["open"]


def test_the_menu_is_looked_at_when_it_is_built():
    program = FakeProgram(OPEN)
    with shown(program) as backend:
        below = (Line("url", "Address"), Line("key", "Key"))
        tools = Line("tools", "Run tools", kind="check", checked=True)
        program.look = Look(
            "running",
            "Title",
            (tools, Line("line", kind="separator"), Line("copy", "Copy", kind="submenu", children=below)),
        )

        checked, separator, copy = backend._icon.menu

        assert (checked.text, checked.checked) == ("Run tools", True)
        assert separator is pystray.Menu.SEPARATOR
        assert [item.text for item in copy.submenu] == ["Address", "Key"]


def test_a_refresh_draws_only_what_changed():
    program = FakeProgram(OPEN)
    with shown(program) as backend:
        drawn_before = len(backend._icon.drawn)
        program.look = Look("running", "Other", (OPEN,))
        backend.refresh()
        wait_for(lambda: len(backend._icon.drawn) > drawn_before, "something drawn")
        program.look = Look("error", "Other", (OPEN,))
        backend.refresh()
        wait_for(lambda: len(backend._icon.drawn) > drawn_before + 1, "something more drawn")

        assert [what for what, _ in backend._icon.drawn[drawn_before:]] == ["title", "icon"]
    assert program.pictures == [("running", 64), ("error", 64)]


def test_a_notification_told_before_the_icon_exists_is_shown_with_it():
    program = FakeProgram(OPEN)
    backend = QueueBackend(pystray, program.program, "the test wants it")
    for number in range(7):
        assert backend.notify("Title", f"Text {number}")
    assert backend._icon.drawn == []

    running = threading.Thread(target=backend.run)
    running.start()
    wait_for(lambda: ("notify", ("Title", "Text 6")) in backend._icon.drawn, "the last notification")
    backend.notify("Title", "Later")
    wait_for(lambda: ("notify", ("Title", "Later")) in backend._icon.drawn, "one at its time")
    backend.stop()
    running.join(5)

    told = [what for kind, what in backend._icon.drawn if kind == "notify"]
    assert told == [("Title", text) for text in ("Text 2", "Text 3", "Text 4", "Text 5", "Text 6", "Later")]
    assert [kind for kind, _ in backend._icon.drawn].index("show") < backend._icon.drawn.index(("notify", told[0]))


def test_a_tray_without_notifications_takes_none():
    class Mute(QueueBackend):
        can_notify = False

    assert not Mute(pystray, FakeProgram(OPEN).program, "the test wants it").notify("Title", "Text")


def test_a_loop_that_cannot_start_is_logged_and_leaves_no_thread_behind(caplog):
    class BrokenIcon(QueueIcon):
        def _run(self):
            raise OSError("no window")

    class BrokenBackend(QueueBackend):
        def _icon_class(self):
            return BrokenIcon

    backend = BrokenBackend(pystray, FakeProgram(OPEN).program, "the test wants it")
    running = threading.Thread(target=backend.run)
    running.start()
    wait_for(lambda: "no window" in caplog.text, "the reason in the log")
    backend.stop()
    running.join(5)

    backend._icon._setup_thread.join(5)
    assert not backend._icon._setup_thread.is_alive()


def test_stopped_before_it_runs_it_returns_at_once():
    backend = QueueBackend(pystray, FakeProgram(OPEN).program, "the test wants it")
    backend.stop()

    backend.run()

    assert not backend._thread.is_alive()
