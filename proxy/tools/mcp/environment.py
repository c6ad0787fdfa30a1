"""The environment of an MCP server's process: the system's, the network's and the session's, none of our settings."""

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

SYSTEM = (
    *("HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "TMPDIR", "TMP", "TEMP", "TZ"),
    # Windows
    *("ALLUSERSPROFILE", "APPDATA", "COMMONPROGRAMFILES", "COMPUTERNAME", "COMSPEC", "HOMEDRIVE", "HOMEPATH"),
    *("LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "OS", "PATHEXT", "PROCESSOR_ARCHITECTURE", "PROGRAMDATA"),
    *("PROGRAMFILES", "PROGRAMFILES(X86)", "PROGRAMW6432", "PUBLIC", "SYSTEMDRIVE", "SYSTEMROOT", "USERDOMAIN"),
    *("USERNAME", "USERPROFILE", "WINDIR"),
)
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY")
CERTIFICATES = (
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"),
    *("NODE_EXTRA_CA_CERTS", "NODE_USE_SYSTEM_CA", "NODE_USE_ENV_PROXY", "AWS_CA_BUNDLE", "PIP_CERT"),
    *("CARGO_HTTP_CAINFO", "DENO_CERT", "UV_NATIVE_TLS", "UV_SYSTEM_CERTS"),
)
SESSION = (
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "DESKTOP_SESSION", "SESSION_MANAGER"),
    *("SSH_AUTH_SOCK", "SSH_AGENT_PID", "SSH_ASKPASS", "GPG_AGENT_INFO", "GPG_TTY", "GNUPGHOME", "KRB5CCNAME"),
    *("BROWSER", "LANG", "LANGUAGE", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "WSL_DISTRO_NAME"),
    *("NVM_DIR", "VOLTA_HOME", "FNM_DIR", "PYENV_ROOT", "PNPM_HOME", "BUN_INSTALL", "DENO_DIR", "ASDF_DATA_DIR"),
    *("JAVA_HOME", "PLAYWRIGHT_BROWSERS_PATH", "PUPPETEER_EXECUTABLE_PATH", "CHROME_PATH"),
)
ALLOWED = frozenset((*SYSTEM, *NETWORK, *CERTIFICATES, *SESSION))
# Package runners download a server through these; their logins have names of their own, which are left out.
PREFIXES = ("LC_", "XDG_", "NPM_CONFIG_", "UV_", "PIP_")
SECRET = re.compile(r"AUTH(?!ORITY|_SOCK)|CREDENTIAL|KEY|PASS(?!ES)|SECRET|TOKEN|USERNAME$|LOGIN")

SHELL_S = 5.0
MARK = "\x02"  # a login shell's own words stand outside two of them
NOT_FOUND = "the program {!r} was not found; install it, or enter its full path in mcp.json"


class ProgramNotFound(Exception):
    """Say which program is missing, and what to do."""


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables every server gets."""
    return {name: value for name, value in environment.items() if is_inherited(name, value)}


def is_inherited(name: str, value: str) -> bool:
    """Tell whether a variable is handed on; exported shell functions never are."""
    upper = name.upper()
    if value.startswith("()"):
        return False
    return upper in ALLOWED or (upper.startswith(PREFIXES) and not SECRET.search(upper))


async def prepare(command: str, own: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the program to start and its environment; may ask the login shell. Raises ProgramNotFound.

    A desktop session's PATH often lacks what a terminal has: node by nvm, uvx in ~/.local/bin.
    """
    environment = {**inherited(), **own}
    path = environment.get("PATH", os.defpath)
    command = in_home(command)
    found = shutil.which(command, path=path)
    if found is None and os.path.dirname(command) == "":  # noqa: PTH120
        path = joined(path, await login_path(environment), *usual_folders())
        found = shutil.which(command, path=path)
        environment["PATH"] = path
    if found is None:
        raise ProgramNotFound(NOT_FOUND.format(command[:200]))
    return found, environment


def in_home(command: str) -> str:
    """Return a command whose ~ is the home folder; a bare name stays one."""
    return os.path.expanduser(command)  # noqa: PTH111


def joined(*paths: str) -> str:
    """Return the folders of some PATHs, each once, in their order."""
    folders = (folder for path in paths for folder in path.split(os.pathsep) if folder)
    return os.pathsep.join(dict.fromkeys(folders))


def usual_folders() -> tuple[str, ...]:
    """Return where installers put programs without asking."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  unlike Path.home it never fails
    return (str(home / ".local" / "bin"), str(home / ".cargo" / "bin"), "/opt/homebrew/bin", "/usr/local/bin")


async def login_path(environment: Mapping[str, str]) -> str:
    """Return the PATH of the user's login shell, "" where it does not tell; takes SHELL_S seconds at most."""
    shell = environment.get("SHELL", "")
    if os.name != "posix" or not os.path.isabs(shell):  # noqa: PTH117
        return ""
    ask = f"printf '{MARK}%s{MARK}' \"$PATH\""
    if os.path.basename(shell) == "fish":  # noqa: PTH119  its PATH is a list
        ask = f"printf '{MARK}%s{MARK}' (string join : $PATH)"
    try:
        process = await asyncio.create_subprocess_exec(
            *(shell, "-l", "-i", "-c", ask),
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # an interactive shell would take the terminal away
        )
    except OSError:
        return ""
    try:
        said, _ = await asyncio.wait_for(process.communicate(), SHELL_S)
    except asyncio.TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    parts = said.decode(errors="replace").split(MARK)
    return parts[1] if len(parts) > 2 else ""  # before, between and after
