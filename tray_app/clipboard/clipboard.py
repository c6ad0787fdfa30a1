"""`Clipboard` for this system. Each one has `copy(text)`, which raises ClipboardUnavailable, and `close()`."""

import sys

if sys.platform == "win32":
    from tray_app.clipboard.windows import WindowsClipboard as Clipboard
elif sys.platform == "darwin":
    from tray_app.clipboard.macos import MacClipboard as Clipboard
else:
    from tray_app.clipboard.linux import LinuxClipboard as Clipboard

__all__ = ["Clipboard"]
