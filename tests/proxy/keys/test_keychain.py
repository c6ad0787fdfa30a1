"""The contract of keychains, held by the real Secret Service and by the tests' own; and what is done with them."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring.backends.chainer
import keyring.backends.fail
import keyring.backends.null
import keyring.core
import pytest
from keyring.backend import KeyringBackend

from fakes.environment import ROOT
from fakes.memory_keychain import MemoryKeychain
from fakes.secret_service import OtherProcess, SecretSession
from fakes.small_keyring import SmallKeyring
from proxy.errors.keyring import KeyringAbsent, KeyringFailure, KeyringLocked, KeyringSilent, UnusableKey
from proxy.keys.keychain import SystemKeychain
from proxy.keys.proxy_keys import FIRST_NAME, ProxyKeys
from proxy.keys.upstream_key import Keychain, Secrets


@pytest.fixture
def session(empty_computer: Path) -> Iterator[SecretSession]:
    """Start a session bus with an unlocked Secret Service on it."""
    with SecretSession() as running:
        yield running


@pytest.fixture
def system(session: SecretSession) -> Iterator[OtherProcess]:
    """Return the system's keychain, as a process in the session sees it."""
    with OtherProcess(session.environment) as keychain:
        yield keychain


@pytest.fixture(params=["memory", "system"])
def keychain(request: pytest.FixtureRequest) -> Keychain:
    """Return each keychain in turn: the tests' own and the system's pass the same tests."""
    return MemoryKeychain() if request.param == "memory" else request.getfixturevalue("system")


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


def test_an_unlocked_keychain_is_open(keychain: Keychain) -> None:
    assert keychain.is_open()
    keychain.write("upstream", "one")
    assert keychain.is_open()


# --- keychains that do not help ---------------------------------------------------------------------------------------

SAFE_SENTENCE = "this session|OPENAI_API_KEY"


@pytest.fixture(params=["memory", "system"])
def locked(request: pytest.FixtureRequest) -> Keychain:
    """Return each keychain in turn, locked, with a key in it."""
    if request.param == "memory":
        return MemoryKeychain(trouble=KeyringLocked())
    keychain: OtherProcess = request.getfixturevalue("system")
    keychain.write("upstream", "sk-behind-the-lock")
    request.getfixturevalue("session").lock()
    return keychain


def test_a_locked_keychain_says_so_and_what_to_do(locked: Keychain) -> None:
    assert not locked.is_open()
    for use in (
        lambda: locked.read("upstream"),
        lambda: locked.write("upstream", "other"),
        lambda: locked.delete("upstream"),
    ):
        with pytest.raises(KeyringLocked, match=SAFE_SENTENCE):
            use()


@pytest.fixture(params=["memory", "system"])
def absent(request: pytest.FixtureRequest, empty_computer: Path) -> Iterator[Keychain]:
    """Return each keychain in turn, in a session without a bus."""
    if request.param == "memory":
        yield MemoryKeychain(trouble=KeyringAbsent())
        return
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DBUS")}
    with OtherProcess({**environment, "PYTHONPATH": str(ROOT)}) as keychain:
        yield keychain


def test_without_a_session_bus_the_keychain_says_so_and_what_to_do(absent: Keychain) -> None:
    for use in (absent.is_open, lambda: absent.read("upstream"), lambda: absent.write("upstream", "one")):
        with pytest.raises(KeyringAbsent, match="this session"):
            use()


@pytest.fixture(params=["memory", "system"])
def hanging(request: pytest.FixtureRequest) -> Keychain:
    """Return each keychain in turn, one that never answers."""
    if request.param == "memory":
        return MemoryKeychain(trouble=KeyringSilent())
    keychain: OtherProcess = request.getfixturevalue("system")
    keychain.write("upstream", "sk-behind-the-silence")
    request.getfixturevalue("session").freeze()
    return keychain


def test_a_keychain_that_hangs_is_given_up_after_5_seconds(hanging: Keychain) -> None:
    began = time.monotonic()
    with pytest.raises(KeyringSilent, match="OPENAI_API_KEY"):
        hanging.read("upstream")

    assert time.monotonic() - began < 12  # with the start of another Python


@pytest.fixture
def backend() -> Iterator[Callable[[KeyringBackend], None]]:
    """Return a function that makes a backend the system's."""
    before = keyring.core._keyring_backend
    yield keyring.core.set_keyring
    keyring.core._keyring_backend = before


class PlainFile(KeyringBackend):
    """What the package keyrings.alt brings along: a plain file, with a priority of its own."""

    priority = 10

    def get_password(self, service: str, username: str) -> str | None:
        return "from a plain file"

    def set_password(self, service: str, username: str, password: str) -> None:
        raise AssertionError("a key went to a plain file")


PlainFile.__module__ = "keyrings.alt.file"


@pytest.mark.parametrize("unsafe", [keyring.backends.null.Keyring, keyring.backends.fail.Keyring, PlainFile])
def test_backends_that_keep_keys_nowhere_or_in_a_plain_file_are_refused(
    backend: Callable[[KeyringBackend], None], monkeypatch: pytest.MonkeyPatch, unsafe: type[KeyringBackend]
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setattr(keyring.core, "init_backend", lambda limit: None)  # this computer may have a safe one
    backend(unsafe())
    keychain = SystemKeychain()

    for use in (keychain.is_open, lambda: keychain.read("upstream"), lambda: keychain.write("upstream", "one")):
        with pytest.raises(KeyringAbsent):
            use()


@pytest.fixture
def chain_of(backend: Callable[[KeyringBackend], None], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes a chain of backends the system's, the best first, as keyring does with several."""

    def chain(*backends: KeyringBackend) -> None:
        monkeypatch.setattr(keyring.backends.chainer.ChainerBackend, "backends", backends)
        monkeypatch.setattr(keyring.core, "init_backend", lambda limit: None)
        backend(keyring.backends.chainer.ChainerBackend())

    return chain


def test_of_a_chain_the_best_safe_backend_is_used_alone(chain_of: Callable[..., None]) -> None:
    safe = SmallKeyring()
    chain_of(PlainFile(), safe)
    keychain = SystemKeychain()
    keychain.write("upstream", "sk-kept-well")

    assert keychain.read("upstream") == "sk-kept-well"
    assert safe.kept == {"upstream": "sk-kept-well"}


def test_a_chain_of_plain_files_is_no_keyring(chain_of: Callable[..., None]) -> None:
    chain_of(PlainFile(), PlainFile())
    with pytest.raises(KeyringAbsent):
        SystemKeychain().write("upstream", "sk-kept-nowhere")


class LikeKWallet(SmallKeyring):
    """What KWallet's backend is to us: it has a handle once its user has opened it."""

    handle = -1


LikeKWallet.__module__ = "keyring.backends.kwallet"


def test_a_wallet_that_was_not_opened_yet_is_not_open(backend: Callable[[KeyringBackend], None]) -> None:
    wallet = LikeKWallet()
    backend(wallet)
    assert not SystemKeychain().is_open()
    wallet.handle = 7
    assert SystemKeychain().is_open()


# --- the upstream key -------------------------------------------------------------------------------------------------


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


def test_a_session_key_does_without_a_keyring() -> None:
    secrets = secrets_over(MemoryKeychain(trouble=KeyringAbsent()))
    assert isinstance(secrets.load().problem, KeyringAbsent)
    with pytest.raises(KeyringAbsent):
        secrets.keep("sk-a-key-of-some-length")

    assert str(secrets.keep_for_session("sk-a-key-of-some-length")) == "set, ends in ngth, for this session only"


def test_a_key_changed_elsewhere_is_read_anew(keychain: Keychain) -> None:
    secrets = secrets_over(keychain)
    secrets.keep("sk-the-first-key-1")
    secrets_over(keychain).keep("sk-the-other-key-2")
    secrets.reload()

    assert secrets.state.key == "sk-the-other-key-2"


@pytest.mark.parametrize("trouble", [KeyringLocked(), KeyringAbsent(), KeyringSilent(), KeyringFailure()])
def test_a_keyring_that_fails_later_takes_no_key_out_of_force(trouble: KeyringFailure) -> None:
    keychain = MemoryKeychain()
    secrets, keys = secrets_over(keychain), ProxyKeys(list, lambda: keychain)
    secrets.keep("sk-the-first-key-1")
    keys.new("laptop")
    keychain.trouble = trouble
    secrets.reload()
    keys.reload()

    assert secrets.state.key == "sk-the-first-key-1"
    assert [key.name for key in keys.current] == ["laptop"]


# --- proxy keys -------------------------------------------------------------------------------------------------------


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


def test_the_first_run_makes_a_key_for_this_computer_once(keychain: Keychain) -> None:
    for _ in range(2):
        keys = ProxyKeys(list, lambda: keychain)
        keys.load()
        keys.begin()

    assert [key.name for key in keys.current] == [FIRST_NAME]
    keys.revoke(FIRST_NAME)
    keys.begin()  # it was revoked: it does not come back by itself

    assert keys.current == ()


def test_a_locked_keychain_is_not_asked_for_the_first_key(locked: Keychain) -> None:
    keys = ProxyKeys(list, lambda: locked)
    keys.begin()

    assert keys.current == ()
