"""What changes by itself is noticed."""

import threading
from collections.abc import Iterator

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy.flow.flow import Flow
from proxy.http.headers import Headers
from proxy.services import Services, assemble
from tray_app.pulse import Pulse
from waiting import wait_for


class Beating:
    def __init__(self) -> None:
        keychain = MemoryKeychain()
        self.services: Services = assemble({}, keychain=lambda: keychain)
        self.changes = 0
        self.pulse = Pulse(self.services, self.note)

    def note(self) -> None:
        self.changes += 1


@pytest.fixture
def beating() -> Iterator[Beating]:
    made = Beating()
    made.pulse.start()
    yield made
    made.pulse.stop()
    wait_for(lambda: all(thread.name != "tray-pulse" for thread in threading.enumerate()), "the pulse's end")


def test_a_keyring_that_was_read_and_held_nothing_is_a_change(beating: Beating) -> None:
    beating.services.secrets.load()

    wait_for(lambda: beating.changes == 1, "one change")


def test_a_new_key_is_a_change(beating: Beating) -> None:
    beating.services.secrets.keep_for_session("sk-a-key-for-now")

    wait_for(lambda: beating.changes == 1, "one change")


def test_the_end_of_a_rate_limit_is_a_change(beating: Beating) -> None:
    beating.services.health.answered(Flow("POST", "/chat/completions", status=429), Headers([("retry-after", "2")]))

    wait_for(lambda: beating.changes == 2, "its beginning and its end")
