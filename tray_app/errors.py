"""What the desktop can refuse, as sentences for the user; the program goes on without it.

DesktopError
├── BusUnavailable          no session bus, no such service on it, or no answer in time
├── ClipboardUnavailable    nothing here takes a copied text
└── NothingOpened           no program shows the page, the file or the folder
"""

from proxy.errors.proxy_error import ProxyError


class DesktopError(ProxyError):
    """Say which part of the desktop is missing, and how to do without."""

    title = "The desktop refused"
    type = "desktop_error"
    code = "desktop_error"


class BusUnavailable(DesktopError):
    """Report that a service of the session bus cannot be had."""

    title = "The desktop's message bus gives no answer"
    code = "bus_unavailable"


class ClipboardUnavailable(DesktopError):
    """Report that a text was not copied."""

    title = "The clipboard cannot be reached"
    hint = "Select the text on the dashboard and copy it there"
    code = "clipboard_unavailable"


class NothingOpened(DesktopError):
    """Report that no program was found to show something."""

    title = "It could not be opened"
    hint = "Open it by hand"
    code = "nothing_opened"
