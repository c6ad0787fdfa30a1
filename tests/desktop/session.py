"""A desktop without a screen: X server, session bus and panel in a home of their own, and a user in front of it."""

import os
import subprocess
from contextlib import ExitStack
from pathlib import Path

from desktop.panel_side import WATCHER, Item, MenuLine, PanelSide
from desktop.processes import end, keyring, session_bus, start, x_server
from desktop.screen import Screen
from waiting import wait_for

# One bar along the top edge with nothing in it but the tray.
PANEL_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<channel name="xfce4-panel" version="1.0">
  <property name="configver" type="int" value="2"/>
  <property name="panels" type="array">
    <value type="int" value="1"/>
    <property name="panel-1" type="empty">
      <property name="position" type="string" value="p=11;x=500;y=20"/>
      <property name="position-locked" type="bool" value="true"/>
      <property name="length" type="uint" value="100"/>
      <property name="size" type="uint" value="40"/>
      <property name="plugin-ids" type="array"><value type="int" value="1"/></property>
    </property>
  </property>
  <property name="plugins" type="empty">
    <property name="plugin-1" type="string" value="systray"/>
  </property>
</channel>
"""


class Desktop:
    """Own the desktop's processes and their environment, and play the user."""

    def __init__(self, home: Path) -> None:
        self.env = private_environment(home)
        self._parts = ExitStack()
        self._panel: subprocess.Popen[bytes] | None = None
        self.env["DISPLAY"] = self._parts.enter_context(x_server(self.env))
        self.env["DBUS_SESSION_BUS_ADDRESS"] = self._parts.enter_context(session_bus(self.env))
        self.screen = Screen(self.env["DISPLAY"])
        self._parts.callback(self.screen.close)
        self.bus = PanelSide(self.env["DBUS_SESSION_BUS_ADDRESS"])
        self._parts.callback(self.bus.close)

    def close(self) -> None:
        self.stop_panel()
        self._parts.close()

    def start_panel(self) -> None:
        """Start the panel and wait until it hosts icons; it may be running already."""
        if self._panel is None:
            self._panel = start(["xfce4-panel", "--disable-wm-check"], self.env)
        wait_for(self.bus.has_host, "a panel that hosts icons", 20)

    def empty_panel(self) -> None:
        """Wait until no icon is left on the panel."""
        wait_for(lambda: not self.bus.items() and self.screen.is_panel_empty(), "an empty panel")

    def stop_panel(self) -> None:
        """End the panel, if it runs, and wait until nobody hosts icons."""
        if self._panel is not None:
            end(self._panel)
            self._panel = None
            wait_for(lambda: not self.bus.has_owner(WATCHER), "the panel's end")

    def restart_panel(self) -> None:
        self.stop_panel()
        self.start_panel()

    def start_keyring(self) -> None:
        """Start a Secret Service, unlocked; it ends with the desktop."""
        self._parts.enter_context(keyring(self.env))
        wait_for(lambda: self.bus.has_owner("org.freedesktop.secrets"), "an unlocked keyring")

    def find_item(self, pid: int) -> Item:
        """Wait for the icon of a process and return it."""
        item = wait_for(lambda: self.bus.item_of(pid), f"an icon of process {pid}")
        assert item is not None
        return item

    def read_menu(self, item: Item) -> MenuLine:
        """Return the menu's root, with all lines below it."""
        return self.bus.read_menu(item)

    def click(self, item: Item, label_or_key: str) -> None:
        """Click a menu line the way a panel tells of it."""
        self.bus.click(item, label_or_key)

    def activate(self, item: Item) -> None:
        """Click the icon the way a panel tells of it."""
        self.bus.activate(item)


def private_environment(home: Path) -> dict[str, str]:
    """Return an environment with folders of its own, and nothing of the desktop the tests are started from."""
    (home / "run").mkdir(mode=0o700)
    settings = home / ".config/xfce4/xfconf/xfce-perchannel-xml/xfce4-panel.xml"
    settings.parent.mkdir(parents=True)
    settings.write_text(PANEL_SETTINGS)
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home / "run"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_STATE_HOME": str(home / ".local/state"),
        "GSETTINGS_BACKEND": "memory",
        "NO_AT_BRIDGE": "1",
    }
