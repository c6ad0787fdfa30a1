"""Read keys from the keyring at the start, after a refusal, and after a change by another process."""

import logging
import threading
from collections.abc import Callable

from proxy.keys.changes import KeyChanges
from proxy.keys.proxy_keys import ProxyKeys
from proxy.keys.upstream_key import Secrets
from proxy.keys.upstream_keys import UpstreamKeys

log = logging.getLogger(__name__)

REST_S = 1.0


class Keys:
    """Read the upstream keys and the proxy keys when needed. For any thread."""

    def __init__(
        self, secrets: Secrets, upstream_keys: UpstreamKeys, proxy_keys: ProxyKeys, changes: KeyChanges
    ) -> None:
        self._secrets = secrets
        self._upstream_keys = upstream_keys
        self._proxy_keys = proxy_keys
        self._changes = changes
        self._rereading = Rereading(self._read_again)

    def load(self, *, proxy_key_required: bool) -> None:
        """Start reading the needed keys on a thread of its own, as a keyring may wait for the user; return at once."""
        needs_keyring = self._secrets.needs_keyring()
        if not needs_keyring:
            self._secrets.loaded.set()
        if needs_keyring or proxy_key_required:
            arguments = {"upstream": needs_keyring, "proxy_keys": proxy_key_required}
            threading.Thread(target=self._load, kwargs=arguments, name="keyring", daemon=True).start()

    def after_refusal(self) -> None:
        """Read them again because a refused key may have changed meanwhile; return at once."""
        self._rereading.request()

    def follow_changes(self) -> None:
        """Read them again if another process has changed one. It may block briefly."""
        if self._changes.is_new():
            self._rereading.request()

    def _load(self, *, upstream: bool, proxy_keys: bool) -> None:
        keyring_answers = upstream and self._secrets.load_once().problem is None
        if proxy_keys or keyring_answers:
            self._proxy_keys.load()
        if keyring_answers:
            self._proxy_keys.begin()

    def _read_again(self) -> None:
        self._upstream_keys.reload()
        self._proxy_keys.reload()


class Rereading:
    """Read on request, but not too often: a request that comes too soon is delayed. For any thread."""

    def __init__(self, read: Callable[[], None], rest_s: float = REST_S) -> None:
        self._read = read
        self._rest_s = rest_s
        self._lock = threading.Lock()
        self._is_wanted = False
        self._is_running = False

    def request(self) -> None:
        """Request a reading; return at once."""
        with self._lock:
            self._is_wanted = True
            if self._is_running:
                return
            self._is_running = True
        threading.Thread(target=self._run, name="keys-again", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._is_wanted:
                    self._is_running = False
                    return
                self._is_wanted = False
            try:
                self._read()
            except Exception:
                log.exception("the keys were not read again")
            threading.Event().wait(self._rest_s)
