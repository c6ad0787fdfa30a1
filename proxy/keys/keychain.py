"""The system's keyring (Windows Credential Manager, macOS Keychain, Secret Service, KWallet).

A keyring may ask the user to unlock it, and blocks until then. So each call runs on a thread of its own, and the caller
waits LIMIT_S at most.
"""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import closing
from functools import partial
from typing import Literal, TypeVar

import keyring.backend
import keyring.core
import keyring.errors
from keyring.backend import KeyringBackend
from keyring.backends.chainer import ChainerBackend

from proxy.errors.keyring import KeyringAbsent, KeyringFailure, KeyringLocked, KeyringSilent
from proxy.identity import KEYRING_SERVICE
from proxy.keys import pieces

LIMIT_S = 5.0
# They would keep the key in a plain file, or nowhere, without a word.
UNSAFE_MODULES = ("keyring.backends.null", "keyring.backends.fail", "keyrings.alt")

T = TypeVar("T")


class SystemKeychain:
    """Store secrets in the system's keyring. It blocks: never call it on the event loop."""

    def name(self) -> str:
        """Return the keyring's name, such as "SecretService Keyring"; raises KeyringFailure."""
        return in_time(lambda: str(open_keyring().name))

    def is_open(self) -> bool:
        """Return whether it can be read and written now without a prompt; raises KeyringFailure."""

        def look() -> bool:
            backend = open_keyring()
            if is_secret_service(backend):
                return collection_state() == "open"
            return getattr(backend, "handle", 0) >= 0  # KWallet's is -1 until it has been opened, which asks

        return in_time(look)

    def read(self, name: str) -> str | None:
        """Return the secret stored under a name; raises KeyringFailure."""

        def read() -> str | None:
            backend = open_keyring()
            if is_secret_service(backend) and collection_state() == "none":
                return None  # to look for a key there, the backend would ask its user for a new collection
            return pieces.read(partial(backend.get_password, KEYRING_SERVICE), name)

        return in_time(read)

    def write(self, name: str, secret: str) -> None:
        """Store a secret under a name; raises KeyringFailure."""

        def write() -> None:
            backend = open_keyring()
            get, set_ = (partial(use, KEYRING_SERVICE) for use in (backend.get_password, backend.set_password))
            pieces.write(get, set_, partial(delete_entry, backend), name, secret)

        in_time(write)

    def delete(self, name: str) -> None:
        """Delete the secret stored under a name; raises KeyringFailure."""

        def delete() -> None:
            backend = open_keyring()
            kept = backend.get_password(KEYRING_SERVICE, name)
            for entry in (name, *pieces.pieces_of(name, kept)):
                delete_entry(backend, entry)

        in_time(delete)


def delete_entry(backend: KeyringBackend, name: str) -> None:
    """Delete one entry; a missing one is no error."""
    if backend.get_password(KEYRING_SERVICE, name) is not None:
        backend.delete_password(KEYRING_SERVICE, name)


def open_keyring() -> KeyringBackend:
    """Return the system's keyring; raises KeyringAbsent. It may block."""
    backend = best_of(keyring.core.get_keyring())
    if not is_safe(backend):  # chosen once for the process; at login the service may come later than we do
        backend = look_anew()
    if not is_safe(backend) and sys.platform == "linux":
        from proxy.keys.kwallet import wake_kwallet  # noqa: PLC0415  needs jeepney, which only Linux has

        backend = look_anew() if wake_kwallet() else backend
    if not is_safe(backend):
        raise KeyringAbsent
    return backend


def look_anew() -> KeyringBackend:
    """Choose the keyring again."""
    # keyring looks only once which backends work, and keeps the answer where jaraco.functools.once puts it.
    vars(keyring.backend.get_all_keyring).pop("saved_result", None)
    keyring.core.init_backend(limit=is_safe)
    return best_of(keyring.core.get_keyring())


def best_of(backend: KeyringBackend) -> KeyringBackend:
    """Return the best safe backend of a chain: the chain itself would silently fall back, maybe to a plain file."""
    if not isinstance(backend, ChainerBackend):
        return backend
    return next((each for each in backend.backends if is_safe(each)), backend)


def is_secret_service(backend: KeyringBackend) -> bool:
    """Return whether a backend uses a Secret Service (GNOME Keyring, KWallet), which may prompt the user."""
    return "SecretService" in type(backend).__module__


def collection_state() -> Literal["open", "locked", "none"]:
    """Return the state of the Secret Service's default collection."""
    import secretstorage  # noqa: PLC0415  Linux alone has it

    with closing(secretstorage.dbus_init()) as connection:
        try:
            return "locked" if secretstorage.Collection(connection).is_locked() else "open"
        except secretstorage.ItemNotFoundException:
            return "none"


def is_safe(backend: KeyringBackend) -> bool:
    """Return whether a backend stores secrets, and not in a plain file; a chain is not safe itself."""
    return (
        not isinstance(backend, ChainerBackend)
        and backend.priority > 0
        and not type(backend).__module__.startswith(UNSAFE_MODULES)
    )


def in_time(function: Callable[[], T]) -> T:
    """Run a keyring call on a thread and wait for it, LIMIT_S at most; raises KeyringFailure."""
    outcome: Future[T] = Future()

    def call() -> None:
        try:
            outcome.set_result(function())
        except BaseException as error:  # noqa: BLE001  handed to the waiting thread
            outcome.set_exception(error)

    threading.Thread(target=call, name="keyring-call", daemon=True).start()
    try:
        return outcome.result(LIMIT_S)
    except FutureTimeout as error:
        raise KeyringSilent(f"for {LIMIT_S:.0f} s") from error
    except KeyringFailure:
        raise
    except keyring.errors.NoKeyringError as error:
        raise KeyringAbsent from error
    except keyring.errors.KeyringLocked as error:
        raise KeyringLocked(str(error)) from error
    except Exception as error:  # each backend has errors of its own, of any class
        raise KeyringFailure(f"{type(error).__name__}: {error}") from error
