"""Hold a text on the X11 clipboard: the program that copied it has to serve it."""

import logging
import selectors
import socket
import threading
from contextlib import closing

from tray_app.clipboard.selection import DISPLAY_ERRORS, SelectionOwner
from tray_app.errors import ClipboardUnavailable

STOP_TIMEOUT_S = 2.0

log = logging.getLogger(__name__)


class HeldSelection:
    """Hold a text on the clipboard until another program copies something or `close` is called.

    It may be created on any thread; after that only the thread `clipboard-owner` uses the display.
    """

    def __init__(self, text: str) -> None:
        """Take the clipboard; raises ClipboardUnavailable."""
        try:
            self._owner = SelectionOwner(text)
        except DISPLAY_ERRORS as error:
            raise ClipboardUnavailable(f"the X display cannot be used ({error})") from error
        self._wake_sender, self._wake_receiver = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, name="clipboard-owner", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Release the clipboard and end the thread; a second call does nothing."""
        self._wake_sender.close()  # wakes the thread
        self._thread.join(STOP_TIMEOUT_S)

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector, self._wake_sender, self._wake_receiver, closing(self._owner):
            selector.register(self._owner, selectors.EVENT_READ)
            selector.register(self._wake_receiver, selectors.EVENT_READ)
            try:
                while self._owner.answer_waiting():
                    if self._wake_receiver in [key.fileobj for key, _ in selector.select()]:
                        break
            except DISPLAY_ERRORS as error:
                log.info("the text on the clipboard is lost with the X display: %s", error)
