"""Errors of the desktop, as sentences for the user; the program works without what is missing.

DesktopError
├── BusUnavailable          no session bus, no such service on it, or no answer in time
├── ClipboardUnavailable    there is no clipboard
└── NothingOpened           no program opens the page, the file or the folder
"""

from proxy.errors.proxy_error import ProxyError


class DesktopError(ProxyError):
    """A part of the desktop is missing; the hint says how to do without it."""

    title = "The desktop refused"
    type = "desktop_error"
    code = "desktop_error"


class BusUnavailable(DesktopError):
    """A service on the session bus cannot be reached."""

    title = "The desktop's message bus does not answer"
    code = "bus_unavailable"


class ClipboardUnavailable(DesktopError):
    """A text was not copied."""

    title = "The clipboard cannot be reached"
    hint = "Select the text on the dashboard and copy it there"
    code = "clipboard_unavailable"


class NothingOpened(DesktopError):
    """No program was found to open something."""

    title = "It could not be opened"
    hint = "Open it by hand"
    code = "nothing_opened"
