"""Registering with a watcher that comes late, forgets, or is not ready."""

import sys
import threading
from contextlib import contextmanager

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has a session bus", allow_module_level=True)

from fakes.bus_service import BusService
from tray_app.backends.bus import SessionBus
from tray_app.backends.registration import WATCHER, Registration
from waiting import wait_for

SOON_S = (0.05, 0.05, 0.05, 0.05, 0.05)


class Watcher:
    """A watcher that says what the test says."""

    def __init__(self):
        self._answers = {"RegisterStatusNotifierItem": ("", ())}
        self.knows()
        self.service = BusService(WATCHER, self._answers)

    def knows(self, *items, has_host=True):
        known = {
            "RegisteredStatusNotifierItems": ("as", list(items)),
            "IsStatusNotifierHostRegistered": ("b", has_host),
        }
        self._answers["GetAll"] = ("a{sv}", (known,))

    @property
    def registered(self):
        return [body[0] for method, body in self.service.calls if method == "RegisterStatusNotifierItem"]


@contextmanager
def registering(name=None):
    """Register an item, in a loop of its own, and go on."""
    bus = SessionBus()
    registration = Registration(bus, SOON_S)
    registration._name = name or registration._name
    bus.post(registration.start)
    thread = threading.Thread(target=bus.run)
    thread.start()
    try:
        yield registration
    finally:
        bus.stop()
        thread.join()
        bus.close()


@pytest.fixture
def watcher(bus_services):
    watcher = Watcher()
    with watcher.service:
        yield watcher


@pytest.fixture
def registration(bus_services):
    with registering() as registration:
        yield registration


def test_the_item_is_registered_and_shown_once_the_watcher_knows_it(watcher, registration):
    (name,) = wait_for(lambda: watcher.registered, "a registration")
    assert not registration.is_shown

    watcher.knows(f"{name}/StatusNotifierItem")

    wait_for(lambda: registration.is_shown, "the icon is shown")


@pytest.mark.parametrize("written", ["{name}", "{name}/StatusNotifierItem", "{name}@/StatusNotifierItem"])
def test_the_item_is_known_however_the_watcher_writes_it(watcher, registration, written):
    (name,) = wait_for(lambda: watcher.registered, "a registration")

    watcher.knows(written.format(name=name))

    wait_for(lambda: registration.is_shown, "the icon is shown")


def test_a_watcher_that_drops_the_item_gets_it_again_five_times_in_all(watcher, registration):
    wait_for(lambda: len(watcher.registered) == 5, "five registrations")
    assert not registration.is_shown


def test_without_a_host_nothing_is_shown(watcher, registration):
    (name,) = wait_for(lambda: watcher.registered, "a registration")
    watcher.knows(name)
    wait_for(lambda: registration.is_shown, "the icon is shown")

    watcher.knows(name, has_host=False)
    registration._bus.post(registration._check)

    wait_for(lambda: not registration.is_shown, "the icon is not shown")


def test_a_watcher_that_comes_late_gets_the_item(registration):
    watcher = Watcher()

    with watcher.service:
        wait_for(lambda: watcher.registered, "a registration")


def test_where_our_name_is_taken_the_unique_name_will_do(watcher):
    with registering(WATCHER) as registration:  # as taken as the names in a sandbox, whose process ids repeat
        wait_for(lambda: watcher.registered[:1] == [registration._bus.unique_name], "a registration")
