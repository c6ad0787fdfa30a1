"""A keyring that could not be read is tried again."""

from collections.abc import Callable

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy.errors.keyring import KeyringAbsent, KeyringFailure, KeyringLocked
from proxy.services import assemble
from tray_app.keyring_retry import FIRST_DELAY_S, KeyringRetry
from tray_app.schedule import Schedule
from waiting import wait_for

KEY = "sk-kept-in-the-keyring"


class Tried:
    """A program whose keyring is in trouble, and a clock."""

    def __init__(self, trouble: KeyringFailure) -> None:
        self.now = 0.0
        self.keychain = MemoryKeychain()
        self.keychain.write("upstream", KEY)
        self.keychain.trouble = trouble
        self.services = assemble({}, keychain=lambda: self.keychain)
        self.schedule = Schedule(lambda: self.now)
        self.retry = KeyringRetry(self.services.secrets, self.services.keys, self.schedule)
        self.services.secrets.listen(self.retry.follow)
        self.services.secrets.load()

    def is_key_there(self) -> bool:
        return self.services.secrets.state.key == KEY


@pytest.mark.parametrize("trouble", [KeyringLocked(), KeyringAbsent()])
def test_a_keyring_that_opens_gives_its_key(trouble: KeyringFailure) -> None:
    tried = Tried(trouble)
    tried.keychain.trouble = None

    tried.now = FIRST_DELAY_S
    tried.schedule.run_due()

    wait_for(tried.is_key_there, "the key")
    assert tried.services.secrets.state.problem is None


def test_it_is_asked_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = Tried(KeyringAbsent())
    asked: list[float] = []
    note: Callable[[], None] = lambda: asked.append(tried.now)  # noqa: E731  a spy
    monkeypatch.setattr(tried.services.keys, "after_refusal", note)

    for second in range(1, 100):
        tried.now = float(second)
        tried.schedule.run_due()

    assert asked == [3, 9, 21, 45, 93]


def test_a_keyring_that_was_read_is_left_alone() -> None:
    tried = Tried(KeyringLocked())
    tried.keychain.trouble = None

    tried.services.secrets.load()

    assert not tried.schedule._due
