"""The launcher in the user's applications menu: add it, remove it, tell whether it is there."""

import os
import plistlib
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from proxy import paths
from proxy.identity import APP_ID, TITLE, __version__
from proxy.install.desktop_entry import entry_text, exec_value
from proxy.install.start_command import start_command
from proxy.install.writing import writable, write

ABOUT = "One OpenAI-compatible address for every tool on this computer"
ICON_SIZES = (16, 22, 24, 32, 48, 64, 128, 256)


def launcher_file() -> Path:
    """Return where the launcher lies, whether or not it is there."""
    if sys.platform == "win32":
        return paths.user_data_home() / "Microsoft/Windows/Start Menu/Programs" / f"{TITLE}.lnk"
    if sys.platform == "darwin":
        return paths.home() / "Applications" / f"{TITLE}.app"
    return paths.user_data_home() / "applications" / f"{APP_ID}.desktop"


def is_added() -> bool:
    """Return whether a launcher is there: the user's own, or that of a package for all users."""
    return launcher_file().exists() or any(file.exists() for file in shared_launchers())


def shared_launchers() -> list[Path]:
    """Return where a package of the system puts the launcher."""
    if sys.platform != "linux":
        return []
    folders = os.environ.get("XDG_DATA_DIRS") or "/usr/local/share:/usr/share"
    return [Path(folder) / "applications" / f"{APP_ID}.desktop" for folder in folders.split(":")]


def add() -> Path:
    """Add the launcher, or renew it, and return where it lies; raises InstallationFailed."""
    file = launcher_file()
    with writable(file):
        if sys.platform == "win32":
            from proxy.install.windows import write_shortcut  # noqa: PLC0415  Windows only

            file.parent.mkdir(parents=True, exist_ok=True)
            write_shortcut(file, start_command(), ABOUT, paths.asset("icon.ico"))
        elif sys.platform == "darwin":
            write_bundle(file, start_command())
        else:
            write_icons()
            write(file, entry_text(launcher_keys(start_command())))
            file.chmod(0o755)  # else a file manager asks whether to trust it
    return file


def launcher_keys(words: list[str]) -> dict[str, str]:
    """Return the keys of a desktop entry that starts these words."""
    return {
        "Type": "Application",
        "Name": TITLE,
        "Comment": ABOUT,
        "Exec": exec_value(words),
        "Icon": APP_ID,
        "Terminal": "false",
        "Categories": "Network;",
        "Keywords": "OpenAI;LLM;proxy;API;",
        "StartupNotify": "false",
    }


def icon_files() -> Mapping[Path, Path]:
    """Return where the icons go in the user's icon theme, and the assets they come from."""
    theme = paths.user_data_home() / "icons" / "hicolor"
    sized = {theme / f"{size}x{size}/apps/{APP_ID}.png": paths.asset(f"icon/icon-{size}.png") for size in ICON_SIZES}
    return {**sized, theme / f"scalable/apps/{APP_ID}.svg": paths.asset("icon.svg")}


def write_icons() -> None:
    """Copy the icons into the user's icon theme; raises OSError."""
    for file, asset in icon_files().items():
        with writable(file):
            write(file, asset.read_bytes())


def write_bundle(folder: Path, words: list[str]) -> None:
    """Write a macOS application that starts these words and shows no icon in the Dock; raises OSError."""
    script = folder / "Contents/MacOS/start"
    write(script, f"#!/bin/sh\nexec {shlex.join(words)}\n")
    script.chmod(0o755)
    about = {
        "CFBundleName": TITLE,
        "CFBundleIdentifier": APP_ID,
        "CFBundleExecutable": script.name,
        "CFBundleIconFile": "icon.icns",
        "CFBundlePackageType": "APPL",
        "CFBundleShortVersionString": __version__,
        "LSUIElement": True,
    }
    (folder / "Contents/Resources").mkdir(exist_ok=True)
    shutil.copyfile(paths.asset("icon.icns"), folder / "Contents/Resources/icon.icns")
    write(folder / "Contents/Info.plist", plistlib.dumps(about).decode())
