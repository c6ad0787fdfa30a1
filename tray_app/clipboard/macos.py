"""Copy to the clipboard of macOS with pbcopy."""

from tray_app.clipboard.program import copy_with


class MacClipboard:
    """Copy text, which stays after we have exited."""

    def copy(self, text: str) -> None:
        """Put a text on the clipboard; raises ClipboardUnavailable. May be called on any thread."""
        copy_with(["/usr/bin/pbcopy"], text, LC_CTYPE="UTF-8")  # without a locale it reads MacRoman

    def close(self) -> None:
        """Do nothing: the text is the system's."""
