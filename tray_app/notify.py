"""Notifications over the session bus, for a tray that has none of its own."""

import html

from proxy import paths
from proxy.identity import APP_ID, TITLE
from tray_app.errors import BusUnavailable

LIMIT_S = 1.0
NAME, PATH = "org.freedesktop.Notifications", "/org/freedesktop/Notifications"
REPLACES_NONE = 0
SERVICE_DECIDES = -1  # for how long it is shown


def notify(title: str, text: str) -> bool:
    """Show a notification and tell whether a living service took it, within a second.

    May be called on any thread. Never starts a service: one that is installed and broken would hold us up for long.
    """
    try:
        from tray_app.session_bus import Address, Service, ask  # noqa: PLC0415  fails where jeepney is not: off Linux
    except ImportError:
        return False

    def show(service: Service) -> None:
        (capabilities,) = service.call("GetCapabilities")
        # A service with body-markup reads the text as a kind of HTML, another shows every character of it.
        body = html.escape(text, quote=False) if "body-markup" in capabilities else text
        hints = {"desktop-entry": ("s", APP_ID)}
        about = (TITLE, REPLACES_NONE, icon_uri(), title, body)
        service.call("Notify", "susssasa{sv}i", (*about, [], hints, SERVICE_DECIDES))

    try:
        ask(Address(NAME, PATH, NAME), show, LIMIT_S)
    except BusUnavailable:
        return False
    return True


def icon_uri() -> str:
    """Return where the program's icon lies, nothing where it is missing."""
    file = paths.asset("icon/icon-128.png")
    return file.as_uri() if file.is_file() else ""
