"""The invisible window that owns the X11 clipboard and answers paste requests. Linux only: imports Xlib.

See the Inter-Client Communication Conventions Manual, section 2.
"""

import logging
from contextlib import suppress
from typing import Any

from Xlib import X, Xatom  # type: ignore[import-untyped]  # python-xlib ships no types
from Xlib.display import Display  # type: ignore[import-untyped]  # see above
from Xlib.error import (  # type: ignore[import-untyped]  # see above
    ConnectionClosedError,
    DisplayError,
    XauthError,
    XNoAuthError,
)
from Xlib.protocol import event as events  # type: ignore[import-untyped]  # see above

from tray_app.errors import ClipboardUnavailable

REQUEST_HEAD_BYTES = 24
# No such display; no permission; it went away; more than 1024 open descriptors, because Xlib waits with select().
DISPLAY_ERRORS = (DisplayError, XauthError, XNoAuthError, ConnectionClosedError, OSError, ValueError)

Answer = tuple[int, int, Any]  # the property's type, the bits of an item, the items

log = logging.getLogger(__name__)


class SelectionOwner:
    """Own the selection CLIPBOARD; for one thread at a time."""

    def __init__(self, text: str) -> None:
        """Connect and become the owner; raises DISPLAY_ERRORS and ClipboardUnavailable."""
        self._display = Display()
        self._display.set_error_handler(note_error)  # the default one prints
        try:
            screen = self._display.screen()
            self._window = screen.root.create_window(0, 0, 1, 1, 0, screen.root_depth, event_mask=X.PropertyChangeMask)
            self._since = self._server_time()
            self._answers = self._all_answers(text)
            self._take()
        except BaseException:
            self._display.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there are requests."""
        return int(self._display.fileno())

    def answer_waiting(self) -> bool:
        """Answer the pending requests and return whether the clipboard is still ours; raises DISPLAY_ERRORS."""
        while self._display.pending_events():
            event = self._display.next_event()
            if event.type == X.SelectionClear:
                return False
            if event.type == X.SelectionRequest:
                self._answer(event)
        return True

    def close(self) -> None:
        """Answer the requests made before, which might wait for ever, and release the clipboard; never raises."""
        with suppress(*DISPLAY_ERRORS):
            self._window.destroy()  # from here on the display itself refuses, and an heir stays the owner
            self._display.sync()  # earlier requests have arrived by then
            self.answer_waiting()
            self._display.sync()  # what a display has not read when a connection ends is lost
        with suppress(*DISPLAY_ERRORS):
            self._display.close()

    def _take(self) -> None:
        clipboard = self._atom("CLIPBOARD")
        self._window.set_selection_owner(clipboard, self._since)
        owner = self._display.get_selection_owner(clipboard)
        if owner == X.NONE or owner.id != self._window.id:
            raise ClipboardUnavailable("another program keeps the X clipboard")

    def _server_time(self) -> int:
        """Return the display's time, taken from an empty change of a property."""
        self._window.change_property(Xatom.WM_NAME, Xatom.STRING, 8, b"", X.PropModeAppend)
        while (event := self._display.next_event()).type != X.PropertyNotify:
            pass
        return int(event.time)

    def _all_answers(self, text: str) -> dict[int, Answer]:
        """Return the answer for each target; raises ClipboardUnavailable if the text does not fit into one request."""
        unicode = text.encode("utf-8", "replace")
        if len(unicode) > self._display.display.info.max_request_length * 4 - REQUEST_HEAD_BYTES:
            raise ClipboardUnavailable("the text is too long for the X clipboard")
        answers: dict[int, Answer] = {
            self._atom("TIMESTAMP"): (Xatom.INTEGER, 32, [self._since]),
            Xatom.STRING: (Xatom.STRING, 8, text.encode("latin-1", "replace")),
        }
        for name in ("UTF8_STRING", "text/plain;charset=utf-8"):
            answers[self._atom(name)] = (self._atom(name), 8, unicode)
        targets = self._atom("TARGETS")
        answers[targets] = (Xatom.ATOM, 32, [targets, *answers])
        return answers

    def _answer(self, request: Any) -> None:
        """Write the answer to the requested property and notify the requestor; a refusal names no property."""
        target_property = request.property or request.target  # obsolete clients name none
        answer = self._answers.get(request.target)
        if answer is None:
            target_property = X.NONE
        else:
            request.requestor.change_property(target_property, *answer)
        request.requestor.send_event(
            events.SelectionNotify(
                time=request.time,
                requestor=request.requestor,
                selection=request.selection,
                target=request.target,
                property=target_property,
            )
        )
        self._display.flush()

    def _atom(self, name: str) -> int:
        return int(self._display.intern_atom(name))


def note_error(error: object, request: object) -> None:  # noqa: ARG001  Xlib's signature
    """Log an error of the display; usually a requestor has exited before the answer arrived."""
    log.debug("X error: %s", error)
