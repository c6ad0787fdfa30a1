import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from conftest import on_ci
from fakes.memory_keychain import MemoryKeychain
from proxy.key_errors import KeyringAbsent, KeyringFailure, UnusableKey
from proxy.proxy_keys import ProxyKeys
from proxy.secrets import Keychain, Secrets

ASK_THE_SYSTEM = """
import sys
from proxy.keychain import SystemKeychain
keychain, (verb, name, *rest) = SystemKeychain(), sys.argv[1:]
if verb == "read":
    value = keychain.read(name)
    sys.exit(3) if value is None else print(value, end="")
elif verb == "write":
    keychain.write(name, *rest)
else:
    keychain.delete(name)
"""


class OtherProcess:
    """The system's keychain, used in a process that lives in the session under test."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment

    def read(self, name: str) -> str | None:
        answer = self._run("read", name)
        return None if answer.returncode == 3 else answer.stdout

    def write(self, name: str, secret: str) -> None:
        self._run("write", name, secret)

    def delete(self, name: str) -> None:
        self._run("delete", name)

    def _run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        answer = subprocess.run(
            [sys.executable, "-c", ASK_THE_SYSTEM, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if answer.returncode not in (0, 3):
            raise KeyringFailure(answer.stderr[-300:])
        return answer


@pytest.fixture
def session(empty_computer: Path) -> Iterator[dict[str, str]]:
    """Start a session bus with an unlocked Secret Service on it."""
    for program in ("dbus-daemon", "gnome-keyring-daemon"):
        if shutil.which(program) is None:
            message = f"{program} is not installed"
            pytest.fail(message) if on_ci() else pytest.skip(message)
    with ExitStack() as stack:
        bus = stack.enter_context(
            subprocess.Popen(
                ["dbus-daemon", "--session", "--print-address", "--nofork"], stdout=subprocess.PIPE, text=True
            )
        )
        stack.callback(bus.terminate)
        assert bus.stdout is not None
        environment = {
            **os.environ,
            "DBUS_SESSION_BUS_ADDRESS": bus.stdout.readline().strip(),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        unlocked = subprocess.Popen(
            ["gnome-keyring-daemon", "--unlock", "--components=secrets", "--foreground"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        stack.enter_context(unlocked)
        stack.callback(unlocked.terminate)
        assert unlocked.stdin is not None
        unlocked.stdin.write(b"a password")
        unlocked.stdin.close()
        yield environment


@pytest.fixture(params=["memory", "system"])
def keychain(request: pytest.FixtureRequest) -> Keychain:
    """Return each keychain in turn: the tests' own and the system's pass the same tests."""
    return MemoryKeychain() if request.param == "memory" else OtherProcess(request.getfixturevalue("session"))


def test_what_was_written_is_read(keychain: Keychain) -> None:
    keychain.write("upstream", "sk-schlüssel with ünicode")

    assert keychain.read("upstream") == "sk-schlüssel with ünicode"


def test_the_last_write_counts(keychain: Keychain) -> None:
    keychain.write("upstream", "first")
    keychain.write("upstream", "second")

    assert keychain.read("upstream") == "second"


def test_names_are_kept_apart(keychain: Keychain) -> None:
    keychain.write("upstream", "one")
    keychain.write("proxy-keys", "two")

    assert (keychain.read("upstream"), keychain.read("proxy-keys")) == ("one", "two")


def test_what_was_never_written_is_none(keychain: Keychain) -> None:
    assert keychain.read("upstream") is None


def test_what_was_deleted_is_gone_and_deleting_twice_is_no_error(keychain: Keychain) -> None:
    keychain.write("upstream", "one")
    keychain.delete("upstream")
    keychain.delete("upstream")

    assert keychain.read("upstream") is None


def test_without_a_session_bus_the_keychain_says_so(empty_computer: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DBUS")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    with pytest.raises(KeyringFailure, match="KeyringAbsent"):
        OtherProcess(environment).read("upstream")


def secrets_over(keychain: Keychain, environment: Callable[[], str | None] = lambda: None) -> Secrets:
    return Secrets(environment, lambda: keychain)


def test_a_kept_key_is_in_force_at_once_and_after_the_next_start(keychain: Keychain) -> None:
    secrets = secrets_over(keychain)
    secrets.keep("  'sk-a-key-of-some-length'\n")

    assert secrets.state.key == "sk-a-key-of-some-length"
    assert secrets_over(keychain).load().key == "sk-a-key-of-some-length"


def test_the_environment_wins_over_the_keyring() -> None:
    keychain = MemoryKeychain()
    secrets_over(keychain).keep("sk-from-the-keyring")
    secrets = secrets_over(keychain, lambda: "sk-from-the-environment")
    secrets.load()

    assert (secrets.state.key, secrets.state.source) == ("sk-from-the-environment", "environment")


@pytest.mark.parametrize("text", ["", "  ", "''", "two words", "line\nbreak", "schlüssel"])
def test_what_cannot_be_a_key_is_refused_and_changes_nothing(text: str) -> None:
    secrets = secrets_over(MemoryKeychain())
    secrets.keep("sk-the-good-one-1")
    with pytest.raises(UnusableKey):
        secrets.keep(text)

    assert secrets.state.key == "sk-the-good-one-1"


def test_a_state_shows_how_a_key_ends_and_no_more() -> None:
    state = secrets_over(MemoryKeychain()).keep("sk-secret-part-abcd")

    assert str(state) == "set, ends in abcd, from the keyring"
    assert "secret-part" not in repr(state)


class NoKeychain(MemoryKeychain):
    """A keychain that is not there."""

    def read(self, name: str) -> str | None:
        raise KeyringAbsent

    def write(self, name: str, secret: str) -> None:
        raise KeyringAbsent


def test_a_session_key_does_without_a_keyring() -> None:
    secrets = secrets_over(NoKeychain())
    assert isinstance(secrets.load().problem, KeyringAbsent)
    with pytest.raises(KeyringAbsent):
        secrets.keep("sk-a-key-of-some-length")

    assert str(secrets.keep_for_session("sk-a-key-of-some-length")) == "set, ends in ngth, for this session only"


def test_a_proxy_key_is_made_named_listed_and_revoked(keychain: Keychain) -> None:
    keys = ProxyKeys(list, lambda: keychain)
    made = keys.new("laptop")
    again = ProxyKeys(list, lambda: keychain)
    again.load()

    assert made.key.startswith("op-")
    assert len(made.key) >= 45
    assert [(key.name, key.key) for key in again.current] == [("laptop", made.key)]
    assert made.key not in repr(made)
    again.revoke("laptop")
    assert again.current == ()
