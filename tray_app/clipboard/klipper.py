"""KDE's clipboard, which takes a text over the session bus, under Wayland too."""

from tray_app.errors import BusUnavailable, ClipboardUnavailable
from tray_app.session_bus import Address, ask

KLIPPER = Address("org.kde.klipper", "/klipper", "org.kde.klipper.klipper")
LIMIT_S = 2.0


def copy_to_klipper(text: str) -> None:
    """Copy a text, which stays after we have ended; raises ClipboardUnavailable. May be called on any thread."""
    try:
        ask(KLIPPER, lambda klipper: klipper.call("setClipboardContents", "s", (text,)), LIMIT_S)
    except BusUnavailable as error:
        raise ClipboardUnavailable(error.detail) from error
