"""Hold one upstream key: stored in the system's keyring, held in memory, never in a file of ours."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol

from proxy.errors.keyring import (
    KEY_REFUSED,
    EnvironmentKeyWrong,
    KeyringFailure,
    NoUpstreamKey,
    UnusableKey,
    UpstreamKeyNotRead,
)
from proxy.settings.parsing import parse_key

UPSTREAM = "upstream"
LONG_ENOUGH = 12  # from here on, the last four characters of a key give little away

Source = Literal["environment", "keyring", "this session"]

log = logging.getLogger(__name__)


class Keychain(Protocol):
    """Stores keys between runs. Every method may block for some seconds and raises KeyringFailure."""

    def name(self) -> str:
        """Return the keyring's name, for display."""

    def is_open(self) -> bool:
        """Return whether it can be read and written now without a prompt."""

    def read(self, name: str) -> str | None:
        """Return the secret stored under a name."""

    def write(self, name: str, secret: str) -> None:
        """Store a secret under a name."""

    def delete(self, name: str) -> None:
        """Delete the secret stored under a name; a missing one is no error."""


@dataclass(frozen=True)
class KeyState:
    """The state of the upstream key, safe to display."""

    key: str | None = None
    source: Source | None = None
    problem: KeyringFailure | None = None  # why the keyring could not be read

    def __str__(self) -> str:
        if self.key is None:
            return f"not set: {self.problem}" if self.problem else "not set"
        whence = "for this session only" if self.source == "this session" else f"from the {self.source}"
        return f"set, {ending(self.key)}{whence}"

    def __repr__(self) -> str:  # a dataclass's own would show the key in a traceback
        return f"KeyState({self})"


class Secrets:
    """Hold the upstream key. `state` may be read on any thread; the other methods block on the keyring."""

    def __init__(
        self,
        environment_key: Callable[[], str | None],
        keychain: Callable[[], Keychain],
        entry: str = UPSTREAM,
        prefers_kept: Callable[[], bool] = lambda: False,
    ) -> None:
        self._environment_key = environment_key
        self._prefers_kept = prefers_kept  # the keyring's before the environment's, where it has one
        self._keychain = keychain
        self._entry = entry  # of the keyring
        self._session_key: str | None = None
        self._kept = KeyState()
        self.version = object()  # another one after each change
        self._listeners: list[Callable[[], None]] = []
        self._one_at_a_time = threading.Lock()  # what was read before a change must not be in force after it
        self.loaded = threading.Event()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call the listener after each change and each reading, on the thread that made it; it must not block."""
        self._listeners.append(listener)

    @property
    def state(self) -> KeyState:
        """Return the key in force: the environment's, else this session's, else the keyring's.

        An unusable key in the environment is reported and not replaced: another key might be somebody else's.
        The user may have chosen that the keyring's key wins over the environment's.
        """
        try:
            key = self._environment_key()
        except EnvironmentKeyWrong as problem:
            return KeyState(problem=problem)
        if key and not (self._kept.key and self._prefers_kept()):
            return KeyState(key, "environment")
        if self._session_key:
            return KeyState(self._session_key, "this session")
        return self._kept

    async def get(self) -> str:
        """Return the key in force, once the keyring has been read; raises NoUpstreamKey. For the event loop."""
        state = self.state
        if state.key is None and not self.loaded.is_set():
            state = await asyncio.to_thread(self.load_once)
        if state.key is None:
            if state.problem:
                raise UpstreamKeyNotRead(str(state.problem)) from state.problem
            raise NoUpstreamKey
        return state.key

    @property
    def stored(self) -> str | None:
        """Return the key that the keyring was last seen to hold, whichever is in force."""
        return self._kept.key

    @property
    def stored_problem(self) -> KeyringFailure | None:
        """Return why the keyring could not be read when it was last looked at."""
        return self._kept.problem

    def load(self) -> KeyState:
        """Read the keyring again; a failure becomes the state's problem."""
        with self._exclusive():
            self._load()
        return self.state

    def load_once(self) -> KeyState:
        """Read the keyring once; wait if another thread is doing so."""
        with self._exclusive():
            if not self.loaded.is_set():
                self._load()
        return self.state

    def needs_keyring(self) -> bool:
        """Return whether the key comes from the keyring: the environment has none, or the keyring's is preferred."""
        try:
            return not self._environment_key() or self._prefers_kept()
        except EnvironmentKeyWrong:
            return False

    @property
    def has_another(self) -> bool:
        """Return whether the environment's key is in force and the keyring is known to hold a different one."""
        state = self.state
        return state.source == "environment" and self._kept.key not in (None, state.key)

    def reload(self) -> None:
        """Read an open keyring again, without a prompt; if that fails, the key in force stays."""
        try:
            with self._exclusive():
                if self._keychain().is_open():  # also beside the environment's key, which may have been refused
                    self._read()
        except KeyringFailure as failure:
            log.warning("the upstream key was not read anew: %s", failure)

    def keep(self, text: str) -> KeyState:
        """Store and use a key; raises UnusableKey or KeyringFailure, and then nothing has changed."""
        key = clean_key(text)
        with self._exclusive():
            self._keychain().write(self._entry, key)
            self._put(KeyState(key, "keyring"), None)
        return self.state

    def keep_for_session(self, text: str) -> KeyState:
        """Use a key until the program ends, without the keyring; raises UnusableKey."""
        self._put(self._kept, clean_key(text))  # without the lock: a keyring may wait for its user for minutes
        self._announce()
        return self.state

    def forget(self) -> KeyState:
        """Delete the key from the keyring and stop using it; raises KeyringFailure. A missing key is no error."""
        with self._exclusive():
            self._keychain().delete(self._entry)
            self._put(KeyState(), None)
        return self.state

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Let one thread at a time use the keyring; afterwards call the listeners if the block has changed the key."""
        with self._one_at_a_time:
            before = self.version
            yield
            has_changed = self.version is not before
        if has_changed:
            self._announce()

    def _announce(self) -> None:
        for listener in self._listeners:
            listener()

    def _load(self) -> None:
        try:
            self._read()
        except KeyringFailure as failure:
            log.error("%s", failure)  # noqa: TRY400  one sentence; a traceback has no more to tell
            self._put(KeyState(problem=failure), self._session_key)
        self.loaded.set()

    def _read(self) -> None:
        kept = self._keychain().read(self._entry) or ""
        try:
            key = clean_key(kept) if kept.strip() else None
        except UnusableKey as error:
            raise KeyringFailure(f"its entry {self._entry!r} holds no API key: {error.detail}") from None  # it shows it
        self._put(KeyState(key, "keyring") if key else KeyState(), self._session_key)

    def _put(self, kept: KeyState, session_key: str | None) -> None:
        self._kept, self._session_key = kept, session_key
        self.version = object()


def clean_key(text: str) -> str:
    """Return a key without spaces, quotes and line ends that were pasted with it; raises UnusableKey."""
    try:
        key = parse_key(text)
    except ValueError as error:
        raise UnusableKey(str(error)) from error
    if not isinstance(key, str):
        raise UnusableKey("it is empty")
    return key


def ending(key: str) -> str:
    """Return the last characters of a key, if it is long enough for that to be harmless."""
    return f"ends in {key[-4:]}, " if len(key) >= LONG_ENOUGH else ""


def keep_tried(secrets: Secrets, text: str, try_key: Callable[[str], str | None]) -> str | None:
    """Try a key and store it; return what was said against it, None where it is accepted. Blocks.

    Raises UnusableKey, also where it would replace a key that fares better, and KeyringFailure.
    """
    key = clean_key(text)
    held = secrets.load_once().key
    refusal = try_key(key)
    if works := worth_keeping(refusal, held, try_key):
        raise UnusableKey(f"{refusal} The key in force {works} and was not replaced")
    secrets.keep(key)
    return refusal


def worth_keeping(refusal: str | None, held: str | None, try_key: Callable[[str], str | None]) -> str | None:
    """Return in words how the key in force stands where a new one fares worse, None where it may be replaced.

    `refusal` is what was said of the new key, None where it is accepted; only then the one in force is tried, which
    blocks. One that is refused fares worse than one that could not be tried now, which may be good.
    """
    if refusal is None or held is None:
        return None
    held_refusal = try_key(held)
    if held_refusal is None:
        return "works"
    is_refused, is_held_refused = (said.startswith(KEY_REFUSED) for said in (refusal, held_refusal))
    return "may work" if is_refused and not is_held_refused else None
