"""Who may use the program's own pages: a one-time ticket in a URL becomes a session in a cookie."""

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

TICKET_S = 120.0  # from the click in the menu until the browser has opened the page
SESSION_S = 12 * 3600.0


class Sessions:
    """Hold tickets and sessions in memory; the program's end closes them all. For any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._tickets: dict[str, float] = {}  # each with the time at which it ends
        self._sessions: dict[str, float] = {}

    def ticket(self) -> str:
        """Return a new ticket, good for one entry within two minutes."""
        return self._new(self._tickets, TICKET_S)

    def enter(self, ticket: str) -> str | None:
        """Take a ticket and return a new session, None where the ticket is wrong, used or too old."""
        with self._lock:
            ends = self._tickets.pop(ticket, 0.0)
        return self._new(self._sessions, SESSION_S) if ends > self._clock() else None

    def is_open(self, session: str | None) -> bool:
        """Tell whether a session is good."""
        with self._lock:
            return self._sessions.get(session or "", 0.0) > self._clock()

    def _new(self, kind: dict[str, float], lifetime_s: float) -> str:
        token = secrets.token_hex(32)  # of no shape that is taken out of texts
        now = self._clock()
        with self._lock:
            for old in [old for old, ends in kind.items() if ends <= now]:
                del kind[old]
            kind[token] = now + lifetime_s
        return token


def cookie_name(environ: Mapping[str, Any]) -> str:
    """Return the session cookie's name: browsers tell cookies apart by host, and proxies by their ports."""
    return f"op_session_{environ['SERVER_PORT']}"


def form_token(session: str) -> str:
    """Return what a form of this session must bring back: a page of another origin cannot know it."""
    return hmac.new(session.encode(), b"form", "sha256").hexdigest()


def is_form_token(session: str, offered: str | None) -> bool:
    """Tell whether a form brought the right token."""
    return hmac.compare_digest(form_token(session).encode(), (offered or "").encode("utf-8", "replace"))
