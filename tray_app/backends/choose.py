"""Choose the tray this desktop can show; where there is none, say why in a sentence and go on without."""

import sys
from typing import Literal

from tray_app.backends.backend import Backend, Program
from tray_app.backends.none import NoTray

Wanted = Literal["auto", "sni", "pystray", "none"]


def choose(wanted: Wanted, program: Program) -> Backend:
    """Return a backend whose `why` belongs in the log; main thread only. Failing to get a tray is no error."""
    if wanted == "none":
        return NoTray("no tray was asked for")
    try:
        return _choose(wanted, program)
    except Exception as error:  # noqa: BLE001  whatever a desktop's library raises, the proxy works without
        return NoTray(f"the tray cannot be used: {type(error).__name__}: {error}")


def _choose(wanted: Wanted, program: Program) -> Backend:
    # Each system's module needs libraries that only that system has.
    if sys.platform == "win32":
        from tray_app.backends.pystray_windows import windows_backend  # noqa: PLC0415  see above

        return windows_backend(program, "this is Windows")
    if sys.platform == "darwin":
        from tray_app.backends.pystray_macos import macos_backend  # noqa: PLC0415  see above

        return macos_backend(program, "this is macOS")
    from tray_app.backends.choose_linux import choose_on_linux  # noqa: PLC0415  see above

    return choose_on_linux(wanted, program)
