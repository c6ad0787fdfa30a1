"""Show notifications over the session bus, for trays without notifications of their own."""

import html
import sys

from proxy import paths
from proxy.identity import APP_ID, TITLE
from tray_app.errors import BusUnavailable

TIMEOUT_S = 1.0
NAME, PATH = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
REPLACES_NONE = 0
ERROR_BOX = 0x10  # MB_ICONERROR, with OK alone
SERVICE_DECIDES = -1  # how long it is shown


def notify(title: str, text: str) -> bool:
    """Show a notification and return whether a running service took it, within a second.

    May be called on any thread. It starts no service: a broken one would block us for long.
    """
    try:
        from tray_app.session_bus import Address, Service, use_service  # noqa: PLC0415  jeepney is installed on Linux alone
    except ImportError:
        return False

    def show(service: Service) -> None:
        (capabilities,) = service.call("GetCapabilities")
        # A service with body-markup parses the text as a kind of HTML; others show it as it is.
        body = html.escape(text, quote=False) if "body-markup" in capabilities else text
        hints = {"desktop-entry": ("s", APP_ID)}
        about = (TITLE, REPLACES_NONE, icon_uri(), title, body)
        service.call("Notify", "susssasa{sv}i", (*about, [], hints, SERVICE_DECIDES))

    try:
        use_service(Address(NAME, PATH, NAME), show, TIMEOUT_S)
    except BusUnavailable:
        return False
    return True


def show_failure(text: str) -> None:
    """Show why the program ends where nobody reads a terminal; on Windows in a window that waits for its OK."""
    is_shown = notify(TITLE, text)
    if sys.platform == "win32" and not is_shown and sys.stdout is None:
        import ctypes  # noqa: PLC0415  it has no windll elsewhere

        ctypes.windll.user32.MessageBoxW(None, text, TITLE, ERROR_BOX)


def icon_uri() -> str:
    """Return the URI of the program's icon, an empty text if the file is missing."""
    file = paths.asset("icon/icon-128.png")
    return file.as_uri() if file.is_file() else ""
