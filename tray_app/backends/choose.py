"""Choose the tray backend for this desktop; without a tray, say why and go on."""

import sys
from typing import Literal

from tray_app.backends.backend import Backend, Program
from tray_app.backends.none import NoTray

Wanted = Literal["auto", "sni", "pystray", "none"]


def choose(wanted: Wanted, program: Program) -> Backend:
    """Return a backend, `NoTray` if none can be used; main thread only."""
    if wanted == "none":
        return NoTray("the tray was turned off")
    try:
        return _choose(wanted, program)
    except Exception as error:  # noqa: BLE001  whatever a desktop library raises, the proxy works without a tray
        return NoTray(f"the tray cannot be used: {type(error).__name__}: {error}")


def _choose(wanted: Wanted, program: Program) -> Backend:
    # Each module needs libraries that only its system has.
    if sys.platform == "win32":
        from tray_app.backends.pystray_windows import windows_backend  # noqa: PLC0415  see above

        return windows_backend(program, "this is Windows")
    if sys.platform == "darwin":
        from tray_app.backends.pystray_macos import macos_backend  # noqa: PLC0415  see above

        return macos_backend(program, "this is macOS")
    from tray_app.backends.choose_linux import choose_on_linux  # noqa: PLC0415  see above

    return choose_on_linux(wanted, program)
