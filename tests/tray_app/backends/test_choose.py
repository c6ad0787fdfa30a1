"""Which tray a desktop gets, and the sentence that says why."""

import sys

import pytest

if sys.platform != "linux":
    pytest.skip("the choice is Linux's", allow_module_level=True)

from PIL import Image

from fakes.bus_service import BusService
from tray_app.backends.backend import Program
from tray_app.backends.choose import choose
from tray_app.backends.registration import WATCHER
from tray_app.menu import Look

PROGRAM = Program("test", lambda: Look("running", "Title"), lambda _, px: Image.new("RGBA", (px, px)), print)


def run_briefly(backend):
    """Run a backend and stop it, so that it leaves nothing open."""
    backend.stop()
    backend.run()
    return backend


def test_none_is_none(bus_services):
    backend = choose("none", PROGRAM)

    assert (backend.name, backend.reason) == ("none", "the tray was turned off")


@pytest.mark.parametrize("wanted", ["auto", "sni"])
def test_without_a_bus_there_is_no_tray_and_it_says_so(wanted):
    backend = choose(wanted, PROGRAM)

    assert backend.name == "none"
    assert "there is no session bus (DBUS_SESSION_BUS_ADDRESS is not set)" in backend.reason


def test_pystray_without_a_display_is_no_tray_and_it_says_so(bus_services):
    backend = choose("pystray", PROGRAM)

    assert backend.name == "none"
    assert "the tray cannot be used: " in backend.reason


def test_a_watcher_on_the_bus_gets_the_icon(bus_services):
    with BusService(WATCHER, {}):
        backend = run_briefly(choose("auto", PROGRAM))

    assert backend.name == "StatusNotifier"
    assert backend.reason == "the desktop shows StatusNotifier items"


@pytest.mark.parametrize(
    ("desktop", "why"),
    [
        ("", "no panel shows icons yet"),
        ("KDE", "no panel shows icons yet"),
        ("GNOME", "its AppIndicator extension"),
        ("ubuntu:GNOME", "its AppIndicator extension"),
    ],
)
def test_a_bus_without_a_panel_waits_for_one_and_says_what_would_help(
    bus_services, x_display, monkeypatch, desktop, why
):
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", desktop)

    backend = run_briefly(choose("auto", PROGRAM))

    assert backend.name == "StatusNotifier"
    assert why in backend.reason
    assert not backend.is_shown


def test_status_notifier_may_be_asked_for_by_name(bus_services):
    backend = run_briefly(choose("sni", PROGRAM))

    assert backend.name == "StatusNotifier"


def test_a_look_that_fails_at_the_start_is_no_reason_to_fail(bus_services):
    broken = Program("test", lambda: 1 / 0, PROGRAM.icon, PROGRAM.on_click)

    backend = choose("sni", broken)

    assert backend.name == "none"
    assert "ZeroDivisionError" in backend.reason
