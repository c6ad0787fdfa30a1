"""Copy to KDE's clipboard over the session bus, also under Wayland."""

from tray_app.errors import BusUnavailable, ClipboardUnavailable
from tray_app.session_bus import Address, use_service

KLIPPER = Address("org.kde.klipper", "/klipper", "org.kde.klipper.klipper")
TIMEOUT_S = 2.0


def copy_to_klipper(text: str) -> None:
    """Copy a text, which stays after we have exited; raises ClipboardUnavailable. May be called on any thread."""
    try:
        use_service(KLIPPER, lambda klipper: klipper.call("setClipboardContents", "s", (text,)), TIMEOUT_S)
    except BusUnavailable as error:
        raise ClipboardUnavailable(error.detail) from error
