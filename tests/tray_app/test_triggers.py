"""What changes without a click is noticed."""

import threading
from collections.abc import Iterator

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy.errors.keyring import KeyringLocked
from proxy.flow.flow import Flow, Outcome
from proxy.http.headers import Headers
from proxy.services import Services, assemble
from tray_app.schedule import Schedule
from tray_app.triggers import Triggers
from waiting import wait_for


class Triggered:
    def __init__(self) -> None:
        self.keychain = MemoryKeychain()
        self.services: Services = assemble({}, keychain=lambda: self.keychain)
        self.changes = 0
        self.schedule = Schedule()
        self.schedule.start()
        self.triggers = Triggers(self.services, self.schedule, self.note)

    def note(self) -> None:
        self.changes += 1


@pytest.fixture
def triggered() -> Iterator[Triggered]:
    made = Triggered()
    made.triggers.start()
    yield made
    made.triggers.stop()
    made.schedule.stop()
    left = {thread.name for thread in threading.enumerate()}
    assert not [name for name in left if name == "tray-schedule" or name.startswith("observer")]


def test_a_keyring_that_was_read_and_held_nothing_is_a_change(triggered: Triggered) -> None:
    triggered.services.secrets.load()

    assert triggered.changes == 1


def test_a_new_key_is_a_change(triggered: Triggered) -> None:
    triggered.services.secrets.keep_for_session("sk-a-key-for-now")

    assert triggered.changes == 1


def test_a_keyring_that_opens_later_is_a_change(triggered: Triggered) -> None:
    triggered.keychain.write("upstream", "sk-kept-in-the-keyring")
    triggered.keychain.trouble = KeyringLocked()
    triggered.services.secrets.load()
    assert triggered.changes == 1

    triggered.keychain.trouble = None

    wait_for(lambda: triggered.changes == 2, "the retry")
    assert triggered.services.secrets.state.key == "sk-kept-in-the-keyring"


def test_the_end_of_a_rate_limit_is_a_change(triggered: Triggered) -> None:
    triggered.services.health.answered(Flow("POST", "/chat/completions", status=429), Headers([("retry-after", "2")]))
    assert triggered.changes == 1

    wait_for(lambda: triggered.changes == 2, "its end")
    assert triggered.services.health.current.kind == "healthy"


def test_work_is_a_change_both_ways(triggered: Triggered) -> None:
    triggered.services.observers.begin(flow := Flow("POST", "/chat/completions"))
    wait_for(lambda: triggered.changes == 1, "work")
    assert triggered.triggers.is_working

    triggered.services.observers.end(flow)
    wait_for(lambda: triggered.changes == 2, "its end")

    assert not triggered.triggers.is_working


def test_a_changed_setting_is_a_change(triggered: Triggered) -> None:
    triggered.services.store.update(enable_tool_execution=True)

    assert triggered.changes == 1


def test_capture_that_is_paused_on_the_page_is_a_change(triggered: Triggered) -> None:
    triggered.services.capture.pause(is_paused=True)

    assert triggered.changes == 1


def test_what_requests_used_is_a_change(triggered: Triggered) -> None:
    flow = Flow("POST", "/chat/completions", model_asked="m")
    flow.end(Outcome.WHOLE, None, {"prompt_tokens": 5, "completion_tokens": 5})
    triggered.services.ledger.ended(flow)

    wait_for(lambda: triggered.changes, "the change")
    assert triggered.services.spending.today().tokens == 10
    triggered.services.ledger.stop()
