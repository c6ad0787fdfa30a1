"""What each click does. Commands run on the thread `tray-actions`; a failure becomes a line in the menu."""

import json
import logging
import shlex
import sys
import threading
from collections.abc import Callable

from proxy import paths
from proxy.command import command
from proxy.errors.configuration import SettingsFileWrong
from proxy.errors.proxy_error import ProxyError
from proxy.files import write_private
from proxy.install import applications, autostart
from proxy.quoting import for_cmd, for_powershell
from proxy.settings.commented import commented_settings
from proxy.settings.store import SettingsStore
from proxy.settings.upstreams import free_name
from proxy.tools.switches import EVERYBODY, off_for, turned
from tray_app.clipboard.clipboard import Clipboard
from tray_app.controller import ProxyController
from tray_app.errors import ClipboardUnavailable
from tray_app.opener import open_path, open_url
from tray_app.view import ADD_UPSTREAM, TURN_TOOL, USE_UPSTREAM

DOCUMENTATION = "https://github.com/openai-tray-proxy/openai-tray-proxy#readme"
RELEASES = "https://github.com/openai-tray-proxy/openai-tray-proxy/releases"
HELLO = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello!"}]})

log = logging.getLogger(__name__)


class Commands:
    """One method for each menu line. `run` calls it and keeps its failure as `problem`."""

    def __init__(
        self, controller: ProxyController, notify: Callable[[str, str], None], quit_program: Callable[[], None]
    ) -> None:
        self._controller = controller
        self._notify = notify
        self._clipboard = Clipboard()
        self.problem: str | None = None
        self._by_key: dict[str, Callable[[], None]] = {
            "server": self.toggle_server,
            "other-port": self.use_other_port,
            "tools": lambda: self.toggle("enable_tool_execution"),
            "require-key": self.toggle_key_required,
            "pause-capture": self.toggle_capture,
            "copy-url": lambda: self.copy(self._controller.tools_url),
            "copy-key": self.copy_key,
            "copy-curl": lambda: self.copy(self.curl()),
            "copy-powershell": lambda: self.copy(self.powershell()),
            "question": lambda: self.open_page("approvals"),
            "unlock-keyring": self.unlock_keyring,
            "set-key": self.open_page,
            "dashboard": self.open_page,
            "doctor": lambda: self.open_page("doctor"),
            "view-logs": lambda: self.open_page("log"),
            "log-folder": lambda: open_path(paths.log_file().parent),
            "settings-file": self.open_settings,
            "use-stored-key": self.use_stored_key,
            "find-upstreams": self.find_upstreams,
            "manage-upstreams": lambda: self.open_page("upstreams"),
            "autostart": self.toggle_autostart,
            "add-launcher": self.add_launcher,
            "newer-version": lambda: open_url(RELEASES),
            "documentation": lambda: open_url(DOCUMENTATION),
            "quit": quit_program,
        }

    def run(self, key: str) -> None:
        """Run the command of a menu line; its failure is shown in the menu until the next click."""
        self.problem = None
        try:
            self._command(key)()
        except (ProxyError, OSError) as error:
            log.warning("%s: %s", key, error)
            self.problem = str(error)

    def _command(self, key: str) -> Callable[[], None]:
        if key.startswith(USE_UPSTREAM):
            return lambda: self.use_upstream(key.removeprefix(USE_UPSTREAM))
        if key.startswith(ADD_UPSTREAM):
            return lambda: self.add_upstream(key.removeprefix(ADD_UPSTREAM))
        if key.startswith(TURN_TOOL):
            return lambda: self.turn_tool(key.removeprefix(TURN_TOOL))
        return self._by_key[key]

    def use_upstream(self, name: str) -> None:
        """Choose another upstream for the next requests, and save it; raises SettingError."""
        is_first = self._store.current.upstreams[0].name == name
        self._store.update(proxy_upstream=None if is_first else name)

    def find_upstreams(self) -> None:
        """Look for model servers on this computer, and notify of the result, as the menu has closed meanwhile."""
        found = self._controller.find_upstreams()
        titles = ", ".join(each.title for each in found)
        what = f"{titles}: add them under Upstream, Found here." if found else "No other one answers on its usual port."
        self._notify("Model servers on this computer", what)

    def add_upstream(self, base_url: str) -> None:
        """Make an upstream of a server that was found; raises SettingError."""
        found = next(each for each in self._controller.found_here or () if each.base_url == base_url)
        name = free_name(found.name, self._store.current.upstreams)
        self._store.update(proxy_upstreams=lambda rows: [*rows, {"name": name, "base_url": base_url}])

    def turn_tool(self, name: str) -> None:
        """Switch a tool off for everybody, or on again; raises SettingError."""
        is_off = EVERYBODY in off_for(self._store.current.tool_off, name)
        self._store.update(tool_off=lambda held: turned(held, name, EVERYBODY, on=is_off))

    def use_stored_key(self) -> None:
        """Prefer the keyring's key to the environment's; raises SettingError."""
        self._store.update(openai_key_from="keyring")

    def toggle_server(self) -> None:
        """Start the server, or stop it."""
        if self._controller.base_url is None:
            self._controller.start()
        else:
            self._controller.stop()

    def use_other_port(self) -> None:
        """Move to the free port that was offered, and save it."""
        if self._controller.other_port is not None:
            self._store.update(proxy_port=self._controller.other_port)

    def toggle(self, field: str) -> None:
        """Toggle a setting and save it; raises SettingError."""
        self._store.update(**{field: not getattr(self._store.current, field)})

    def toggle_key_required(self) -> None:
        """Toggle the required proxy key; make the first key if there is none."""
        if not self._store.current.proxy_require_api_key:
            self._controller.services.proxy_keys.first()
        self.toggle("proxy_require_api_key")

    def toggle_capture(self) -> None:
        """Pause or resume the capture of bodies, until the program ends."""
        capture = self._controller.services.capture
        capture.pause(is_paused=not capture.is_paused)

    def copy(self, text: str) -> None:
        """Copy a text; if there is no clipboard, show it in a notification."""
        try:
            self._clipboard.copy(text)
        except ClipboardUnavailable:
            self._notify("No clipboard: copy this by hand", text)
            raise

    def copy_key(self) -> None:
        """Copy a proxy key; the first click makes one."""
        self.copy(self._controller.services.proxy_keys.first().key)

    def curl(self) -> str:
        """Return a command for this system's shell that tries the proxy, with a key if one is required."""
        words = [self._chat_url(), "-H", "Content-Type: application/json"]
        if key := self._required_key():
            words += ["-H", f"Authorization: Bearer {key}"]
        words += ["-d", HELLO]
        return " ".join(("curl", *map(for_cmd if sys.platform == "win32" else shlex.quote, words)))

    def powershell(self) -> str:
        """Return the same for PowerShell, where the name curl and the quotes mean something else."""
        key = self._required_key()
        login = f" -Headers @{{ Authorization = {for_powershell(f'Bearer {key}')} }}" if key else ""
        return (
            f"Invoke-RestMethod -Method Post -Uri {for_powershell(self._chat_url())}{login} "
            f"-ContentType 'application/json' -Body {for_powershell(HELLO)}"
        )

    def _chat_url(self) -> str:
        return f"{self._controller.tools_url}/chat/completions"

    def _required_key(self) -> str | None:
        """Return a proxy key if one is required; the first call makes one."""
        if not self._store.current.proxy_require_api_key:
            return None
        return self._controller.services.proxy_keys.first().key

    def open_page(self, to: str = "") -> None:
        """Open one of the program's own pages in the browser; raises NothingOpened."""
        open_url(self._controller.link(to))

    def unlock_keyring(self) -> None:
        """Read the key again, on a thread of its own, as the keyring prompts the user."""
        held = self._controller.services.upstream_keys.of(self._store.current.chosen_upstream)
        threading.Thread(target=held.load, name="keyring", daemon=True).start()

    def open_settings(self) -> None:
        """Open the settings file, creating it on the first click; raises SettingsFileWrong, OSError, NothingOpened.

        A deleted file is restored as it was in force: an empty one would put the defaults in force.
        """
        file, in_force = self._store.path, self._store.in_force
        if not (file.exists() or file.is_symlink()):  # do not write through a broken link
            if not in_force.is_known:
                raise SettingsFileWrong(f"{file} is gone; only a restart goes back to the defaults")
            write_private(file, in_force.content or commented_settings().encode())
        open_path(file)

    def toggle_autostart(self) -> None:
        """Start at login, or no longer; raises InstallationFailed."""
        if autostart.status().is_on:
            autostart.switch_off()
        else:
            autostart.switch_on()

    def add_launcher(self) -> None:
        """Add the program to the applications menu; raises InstallationFailed."""
        applications.add()
        self._notify("Added to the applications menu", f"`{command('uninstall')}` removes it again.")

    def close(self) -> None:
        """Release the clipboard."""
        self._clipboard.close()

    @property
    def _store(self) -> SettingsStore:
        return self._controller.services.store
