"""Draw the tray's look: over D-Bus on Linux, with pystray on Windows, macOS and XEmbed trays, or not at all."""
