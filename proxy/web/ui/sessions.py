"""Hold the sessions of the dashboard: a one-time ticket in a URL becomes a session.

A session needs three secrets that no other program has together: a cookie, which browsers send to every port of this
computer below one path; that path, which no other page can read; and a token in each form.
"""

import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

TICKET_S = 120.0  # from the click in the menu until the browser has opened the page
SESSION_S = 12 * 3600.0


@dataclass(frozen=True)
class Session:
    """A browser that was admitted by a ticket."""

    cookie: str
    form_token: str  # what each of its forms must bring back; it cannot be worked out from the cookie
    ends: float  # seconds, on the clock of its `Sessions`

    def is_form_token(self, offered: str | None) -> bool:
        """Return whether a form's token is right."""
        return hmac.compare_digest(self.form_token.encode(), (offered or "").encode("utf-8", "replace"))


class Sessions:
    """Hold tickets and sessions in memory; the program's end closes them all. For any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = f"/ui/{new_secret()}"  # what the addresses of the pages begin with, another one at every start
        self._clock = clock
        self._lock = threading.Lock()
        self._tickets: dict[str, float] = {}  # each with the time at which it ends
        self._sessions: dict[str, Session] = {}  # by cookie

    def ticket(self) -> str:
        """Return a new ticket; it works once, within two minutes."""
        ticket, now = new_secret(), self._clock()
        with self._lock:
            self._tickets = {old: ends for old, ends in self._tickets.items() if ends > now}
            self._tickets[ticket] = now + TICKET_S
        return ticket

    def enter(self, ticket: str) -> Session | None:
        """Redeem a ticket for a new session; None if the ticket is wrong, used or too old."""
        now = self._clock()
        session = Session(new_secret(), new_secret(), now + SESSION_S)
        with self._lock:
            if self._tickets.pop(ticket, 0.0) <= now:
                return None
            self._sessions = {cookie: old for cookie, old in self._sessions.items() if old.ends > now}
            self._sessions[session.cookie] = session
        return session

    def find(self, cookie: str | None) -> Session | None:
        """Return the open session of a cookie."""
        with self._lock:
            session = self._sessions.get(cookie or "")
        return session if session is not None and session.ends > self._clock() else None


def new_secret() -> str:
    """Return 256 random bits as text that redaction does not take for a key."""
    return secrets.token_hex(32)


def cookie_name(environ: Mapping[str, Any]) -> str:
    """Return the session cookie's name, which holds the port, as browsers share cookies between ports."""
    return f"op_session_{environ['SERVER_PORT']}"
