"""A text on the X11 clipboard, which is nowhere but with the program that copied it."""

import logging
import selectors
import socket
import threading
from contextlib import closing

from tray_app.clipboard.selection import DISPLAY_ERRORS, SelectionOwner
from tray_app.errors import ClipboardUnavailable

STOP_LIMIT_S = 2.0

log = logging.getLogger(__name__)


class HeldSelection:
    """Hold a text on the clipboard until another program copies something or `close` is called.

    Made on any thread; from then on the thread `clipboard-owner` alone talks to the display.
    """

    def __init__(self, text: str) -> None:
        """Take the clipboard; raises ClipboardUnavailable."""
        try:
            self._owner = SelectionOwner(text)
        except DISPLAY_ERRORS as error:
            raise ClipboardUnavailable(f"the X display cannot be used ({error})") from error
        self._hand, self._ear = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="clipboard-owner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the clipboard up and end the thread; a second call does nothing."""
        self._hand.close()  # which the thread hears
        self._thread.join(STOP_LIMIT_S)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector, self._hand, self._ear, closing(self._owner):
            selector.register(self._owner, selectors.EVENT_READ)
            selector.register(self._ear, selectors.EVENT_READ)
            try:
                while self._owner.answer_waiting():
                    if self._ear in [key.fileobj for key, _ in selector.select()]:
                        break
            except DISPLAY_ERRORS as error:
                log.info("the text on the clipboard is lost with the X display: %s", error)
