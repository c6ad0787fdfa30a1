"""Start at login: switch it on and off, and read from the system whether it is on.

The system's own settings show it too, and may have switched it off since: nothing is remembered here.
"""

import plistlib
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.parsers.expat import ExpatError

from proxy import paths
from proxy.errors.configuration import InstallationFailed
from proxy.identity import APP_ID, TITLE
from proxy.install.applications import launcher_keys
from proxy.install.desktop_entry import command_words, entry_text, read_keys
from proxy.install.start_command import AT_LOGIN, start_command
from proxy.install.writing import remove, writable, write

UNREADABLE = "it cannot be read"


@dataclass(frozen=True)
class Autostart:
    """What the system says of the start at login."""

    is_on: bool
    where: str  # the file, or the key of the registry
    problem: str | None = None  # why it will not start although it is on

    def __str__(self) -> str:
        if not self.is_on:
            return "off"
        return f"on ({self.where})" + (f", but {self.problem}" if self.problem else "")


def entry_file() -> Path:
    """Return the file that the session reads at login, whether or not it is there."""
    if sys.platform == "darwin":
        return paths.home() / "Library/LaunchAgents" / f"{APP_ID}.plist"
    return paths.user_config_home() / "autostart" / f"{APP_ID}.desktop"


def status() -> Autostart:
    """Return what the system says now."""
    if sys.platform == "win32":
        from proxy.install.windows import RUN_KEY, is_in_run_key  # noqa: PLC0415  Windows only

        return Autostart(is_in_run_key(TITLE), RUN_KEY)
    file = entry_file()
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return Autostart(is_on=False, where=str(file))
    except OSError as error:
        return Autostart(is_on=False, where=str(file), problem=error.strerror or UNREADABLE)
    return read_agent(file, content) if sys.platform == "darwin" else read_entry(file, content)


def switch_on() -> Autostart:
    """Start the tray at each login from now on; raises InstallationFailed."""
    words = start_command(AT_LOGIN)
    if sys.platform == "win32":
        from proxy.install.windows import write_run_key  # noqa: PLC0415  Windows only

        write_run_key(TITLE, words)
        return confirmed(wanted=True)
    file = entry_file()
    with writable(file):
        write(file, agent_text(words) if sys.platform == "darwin" else autostart_text(words))
    return confirmed(wanted=True)


def switch_off() -> Autostart:
    """Start it no more, and leave nothing behind; raises InstallationFailed."""
    if sys.platform == "win32":
        from proxy.install.windows import delete_run_key  # noqa: PLC0415  Windows only

        delete_run_key(TITLE)
    else:
        remove(entry_file())
    return confirmed(wanted=False)


def confirmed(*, wanted: bool) -> Autostart:
    """Return the state, read back; raises InstallationFailed where it is not as it was wanted."""
    state = status()
    if state.is_on != wanted:
        raise InstallationFailed(f"start at login is still {'on' if state.is_on else 'off'}: {state.where}")
    return state


def autostart_text(words: list[str]) -> str:
    """Return the desktop entry of the start at login."""
    return entry_text({**launcher_keys(words), "X-GNOME-Autostart-enabled": "true"})


def agent_text(words: list[str]) -> str:
    """Return the LaunchAgent of the start at login."""
    agent = {"Label": APP_ID, "ProgramArguments": words, "RunAtLoad": True, "ProcessType": "Interactive"}
    return plistlib.dumps(agent).decode()


def read_entry(file: Path, content: bytes) -> Autostart:
    """Return what a desktop entry says; sessions switch one off by `Hidden`, or by GNOME's own key."""
    keys = read_keys(content.decode("utf-8", "replace"))
    is_off = keys.get("Hidden") == "true" or keys.get("X-GNOME-Autostart-enabled") == "false" or not keys.get("Exec")
    return Autostart(
        not is_off, str(file), None if is_off else missing_program("".join(command_words(keys["Exec"])[:1]))
    )


def read_agent(file: Path, content: bytes) -> Autostart:
    """Return what a LaunchAgent says."""
    try:
        agent = plistlib.loads(content)
        program = str(agent["ProgramArguments"][0])
    except (ValueError, LookupError, TypeError, ExpatError):
        return Autostart(is_on=False, where=str(file), problem=UNREADABLE)
    return Autostart(not agent.get("Disabled", False), str(file), missing_program(program))


def missing_program(program: str) -> str | None:
    """Say that a program is not there any more, None where it is."""
    if shutil.which(program):
        return None
    return f"{program or 'its program'} is not there any more; switch it off and on again"
