"""The tray that is none."""

import threading
import time

from tray_app.backends.none import NoTray
from tray_app.backends.stop_request import StopRequest


def test_it_waits_until_it_is_stopped():
    tray = NoTray("the tray was turned off")
    running = threading.Thread(target=tray.run)
    running.start()

    tray.stop()
    tray.stop()

    running.join(5)
    assert not running.is_alive()


def test_stopped_before_it_runs_it_returns_at_once():
    tray = NoTray("the tray was turned off")
    tray.stop()

    tray.run()


def test_it_shows_and_tells_nobody():
    tray = NoTray("the tray was turned off")
    tray.refresh()

    assert not tray.is_shown
    assert not tray.notify("Title", "Text")


def test_waiting_for_a_stop_ends_after_the_time_given():
    before = time.monotonic()

    assert not StopRequest().wait(0.01)

    assert time.monotonic() - before < 5
