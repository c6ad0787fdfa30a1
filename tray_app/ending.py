"""Ask whether to end a copy that hangs: in the terminal, else in a notification with a button."""

import sys
import threading

import click

from proxy.identity import TITLE
from tray_app.clickable import ClickableNotifications, Notification
from tray_app.notify import show_failure

WAIT_S = 60.0  # for an answer on the screen; then nothing is ended
END = "end"


def is_end_wanted(sentence: str) -> bool:
    """Show what is wrong and return whether the user wants that copy ended. Blocks until the answer."""
    if is_terminal_read():
        return click.confirm("End it, and start anew?", default=False)
    answer = ask_on_screen(sentence) if sys.platform == "linux" else None
    if answer is None:
        show_failure(sentence)
    return bool(answer)


def is_terminal_read() -> bool:
    """Return whether somebody reads the terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


def ask_on_screen(sentence: str) -> bool | None:
    """Ask in a notification; None if no desktop shows one."""
    clicked: list[str] = []
    answered = threading.Event()

    def note(action: str) -> None:
        clicked.append(action)
        answered.set()

    notifications = ClickableNotifications()
    try:
        actions = {END: "End it and start anew", "leave": "Leave it"}
        if notifications.show(Notification(TITLE, sentence, actions, note, WAIT_S)) is None:
            return None
        answered.wait(WAIT_S)
    finally:
        notifications.stop()
    return clicked == [END]
