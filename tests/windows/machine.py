"""Windows without Windows: Wine, a CPython of the Python Software Foundation, a screen and a panel, and the program."""

import getpass
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import psutil
import pytest

from background import running
from fakes.environment import ROOT, clean_environment
from waiting import wait_for

PARTS = Path(__file__).with_name("parts")
WHEEL = "panda3d==1.10.16"  # a game engine, which brings CPython 3.11.9
WHEEL_SHA256 = "37acfb92655c4226879f95c988e2ef1449a53c54486d6c1ebc00e2772429af82"
PROGRAMS = ("wine", "osslsigncode", "x86_64-w64-mingw32-gcc", "unzip", "Xvfb", "trayer", "xdotool", "xclip")
LEFT_OUT = (".git", ".venv", "build", "dist", "node_modules", ".*_cache", ".hypothesis", "__pycache__")
# Of the test tools those that the unit tests run there need.
TOOLS = {"colorama", "hypothesis", "iniconfig", "packaging", "pluggy", "pygments", "pytest", "pytest-timeout"}
TOOLS |= {"sortedcontainers", "websockets"}
FOLDER = "tray proxy"
HOME = Path("users") / getpass.getuser()
LIMIT_S, START_LIMIT_S, INSTALL_LIMIT_S = 120, 120, 400


@dataclass(frozen=True)
class Ended:
    """What a program said, and how it ended."""

    code: int
    said: str


class Windows:
    """A drive C:, and whoever sits before it."""

    def __init__(self, work: Path, display: str) -> None:
        self.drive = work / "prefix" / "drive_c"
        self.project = self.drive / FOLDER
        self.home = self.drive / HOME
        self.environment = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(work),
            "DISPLAY": display,
            "WINEPREFIX": str(work / "prefix"),
            "WINEARCH": "win64",
            "WINEDEBUG": "-all",
            # Neither .NET nor a browser engine is there, and nothing is to be added to the menu of this computer.
            "WINEDLLOVERRIDES": "mscoree,mshtml=;winemenubuilder.exe=d",
            "XDG_RUNTIME_DIR": str(work),
            "PIP_CERT": r"Z:\etc\ssl\certs\ca-certificates.crt",
            "PYTHON": r"C:\Python311\python.exe",
            "CI": "true",  # start.bat waits for no key after a failure
        }

    def start(self, *words: str, typed: str = "", **variables: str) -> "Running":
        """Start a program in the project's folder."""
        return Running(self, words, typed, variables)

    def run(self, *words: str, typed: str = "", limit_s: float = LIMIT_S, **variables: str) -> Ended:
        """Run a program to its end."""
        program = self.start(*words, typed=typed, **variables)
        try:
            return Ended(program.wait(limit_s), program.said)
        finally:
            program.kill()

    def script(self, *words: str, typed: str = "", limit_s: float = LIMIT_S, **variables: str) -> Ended:
        """Run the start script as somebody types it."""
        return self.run("cmd", "/c", r".\start.bat", *words, typed=typed, limit_s=limit_s, **variables)

    def program(self, *words: str, typed: str = "", **variables: str) -> Ended:
        """Run a command of the program past its start script."""
        return self.run(self.python, "-I", "-m", "proxy", *words, typed=typed, **variables)

    @property
    def python(self) -> str:
        return rf"C:\{FOLDER}\.venv\Scripts\python.exe"

    @property
    def local(self) -> Path:
        """The folder in which the program keeps settings and log."""
        return self.home / "AppData" / "Local" / "openai-tray-proxy"

    def end_programs(self) -> None:
        """End what runs of the program, however it was started."""
        ended = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it has just ended, or is another user's
                if process.environ().get("WINEPREFIX") == self.environment["WINEPREFIX"] and is_python(process):
                    process.kill()
                    ended.append(process)
        psutil.wait_procs(ended, timeout=10)

    def clear(self) -> None:
        """Take away what the program has written."""
        for folder in (self.local, self.local.parent / "Temp" / self.local.name):
            shutil.rmtree(folder, ignore_errors=True)

    def hands(self, *words: str) -> str:
        """Use mouse, keyboard and clipboard; return what the program that does it prints."""
        command = subprocess.run(
            words,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
        return command.stdout.strip()

    def move(self, to: tuple[int, int]) -> None:
        """Move the mouse."""
        self.hands("xdotool", "mousemove", *map(str, to))
        time.sleep(0.4)  # the panel hears of it by and by

    def windows_named(self, title: str) -> list[str]:
        """Return the windows on the screen whose title is so."""
        return self.hands("xdotool", "search", "--onlyvisible", "--name", f"^{re.escape(title)}$").split()

    def press_below(self, window: str) -> None:
        """Press the button in the middle of a window's lower edge."""
        told = self.hands("xdotool", "getwindowgeometry", "--shell", window)
        place = {name: int(value) for name, value in (line.split("=") for line in told.splitlines())}
        self.move((place["X"] + place["WIDTH"] // 2, place["Y"] + place["HEIGHT"] - 22))
        self.hands("xdotool", "click", "1")

    def panel_width(self) -> int:
        """Return how wide the panel is: as wide as the icons in it."""
        found = re.search(
            r"Geometry: (\d+)x", self.hands("xdotool", "search", "--name", "^panel$", "getwindowgeometry")
        )
        return int(found[1]) if found else 0


class Running:
    """A program that runs under Wine."""

    def __init__(self, machine: Windows, words: tuple[str, ...], typed: str, variables: dict[str, str]) -> None:
        there = machine.project if machine.project.exists() else None
        # Wine takes pipes and devices for its standard streams, never a plain file.
        self._process = subprocess.Popen(
            ["wine", *words],
            cwd=there,
            env=machine.environment | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdin is not None
        with self._process.stdin as keyboard, suppress(BrokenPipeError):
            keyboard.write(typed.encode())
        self._heard: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as pipe:
            self._heard.extend(iter(lambda: os.read(pipe.fileno(), 65536), b""))

    @property
    def said(self) -> str:
        return b"".join(self._heard).decode("utf-8", "replace").replace("\r\n", "\n")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self, limit_s: float = LIMIT_S) -> int:
        """Return its exit code."""
        try:
            code = self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it did not end within {limit_s:.0f} s; it said:\n{self.said}")
        self._reader.join(1)  # a window it has opened keeps the pipe
        return code

    def kill(self) -> None:
        """End it if it runs still."""
        if self.is_running:
            self._process.kill()
            self._process.wait()
        self._reader.join(1)


def is_python(process: psutil.Process) -> bool:
    """Return whether it is a Python on Windows, or the launcher of one."""
    return any(name in process.cmdline()[0].lower() for name in ("python.exe", "pythonw.exe"))


def answers(port: int) -> bool:
    """Return whether a proxy answers there."""
    with suppress(httpx2.TransportError):
        return httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    return False


@contextmanager
def installed_windows() -> Iterator[Windows]:
    """Make a Windows, have the start script install the program there, and take all of it away again."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        pytest.fail(f"not installed: {', '.join(missing)}; .ci/run with REQUIRE_WINDOWS=1 does it")
    with ExitStack() as stack:
        stack.enter_context(clean_environment())
        # Not below pytest's folder: the tests copied there hold the keys that the session looks for.
        work = Path(stack.enter_context(TemporaryDirectory(prefix="windows-", ignore_cleanup_errors=True)))
        screen = ("Xvfb", "-noreset", "-screen", "0", "1280x800x24", "-nolisten", "tcp", "-displayfd", "{fd}")
        _, number = stack.enter_context(running(*screen))
        machine = Windows(work, f":{number}")
        stack.enter_context(panel(machine))  # first: a Wine that began without one may never dock its icons
        stack.callback(end_all, machine)
        boot(machine)
        make_python(machine.drive / "Python311", work)
        shutil.copytree(ROOT, machine.project, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
        install(machine)
        yield machine


@contextmanager
def panel(machine: Windows) -> Iterator[None]:
    """Run a panel at the top of the screen, on the right."""
    words = ("trayer", "--edge", "top", "--align", "right", "--widthtype", "request", "--height", "32")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*words, "--SetDockType", "true"], env=machine.environment, **quiet)  # type: ignore[call-overload]
    try:
        wait_for(machine.panel_width, "the panel", 20)
        yield
    finally:
        process.terminate()
        process.wait(10)


def boot(machine: Windows) -> None:
    """Make the drive of a Windows 10."""
    machine.run("wineboot", "-i", limit_s=120)
    machine.run("winecfg", "-v", "win10")
    machine.run("reg", "add", r"HKCR\.log", "/ve", "/d", "txtfile", "/f")  # Windows has it, Wine does not
    library = machine.drive / "windows" / "system32" / "bcryptprimitives.dll"  # Wine 8 lacks what Rust needs
    compiler = ("x86_64-w64-mingw32-gcc", "-shared", "-s", "-O1", "-o", library, PARTS / "bcryptprimitives.c")
    subprocess.run([*compiler, "-ladvapi32"], check=True, timeout=60)


def make_python(folder: Path, work: Path) -> None:
    """Lay out a CPython for Windows."""
    where = ("--platform", "win_amd64", "--python-version", "3.11", "--only-binary", ":all:", "--no-deps")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", *where, "--dest", work, WHEEL]
    subprocess.run(pip, check=True, timeout=INSTALL_LIMIT_S)
    [wheel] = work.glob("panda3d-*.whl")
    assert hashlib.sha256(wheel.read_bytes()).hexdigest() == WHEEL_SHA256, f"{wheel.name} is another file than it was"
    subprocess.run([PARTS / "make-python.sh", wheel, unpatched_lib(), folder], check=True, timeout=120)
    wheel.unlink()


def unpatched_lib() -> Path:
    """Return the Lib folder of a CPython 3.11 of this computer that is as it was released: Debian's makes no venv."""
    folders = (Path(folder) / "python3.11" for folder in os.environ["PATH"].split(os.pathsep))
    for python in filter(Path.is_file, folders):
        command = [python, "-I", "-c", "import os; print(os.path.dirname(os.__file__))"]
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
        if said and list((Path(said) / "ensurepip" / "_bundled").glob("pip-*.whl")):
            return Path(said)
    pytest.fail("no CPython 3.11 is here that is as it was released")


def install(machine: Windows) -> None:
    """Have the start script install the program, and add what the tests need."""
    script = machine.project / "start.bat"
    text = script.read_bytes()
    # Wine's cmd cannot hold a file open for a block of commands, with which the script installs in turn.
    plain = text.replace(b"\r\n:install_in_turn\r\n", b"\r\n:install_in_turn\r\ncall :install\r\nexit /b\r\n")
    assert plain != text
    script.write_bytes(plain)
    ended = machine.script("--version", limit_s=INSTALL_LIMIT_S)
    assert (ended.code, "OpenAI Tray Proxy" in ended.said) == (0, True), ended.said
    shutil.copy(PARTS / "sitecustomize.py", machine.project / ".venv" / "Lib" / "site-packages")


def add_test_tools(machine: Windows) -> None:
    """Install what unit tests need, in the versions and with the hashes of the lock."""
    entries = re.split(r"\n(?=[a-z])", (machine.project / "requirements-test.lock").read_text())
    wanted = [entry for entry in entries if entry.partition("==")[0] in TOOLS]
    (machine.project / "tools.lock").write_text("\n".join(wanted))
    pip = ("-I", "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", "tools.lock")
    ended = machine.run(machine.python, *pip, limit_s=INSTALL_LIMIT_S)
    assert ended.code == 0, ended.said


def end_all(machine: Windows) -> None:
    """End every program of this Windows, and wait for it."""
    for flag in ("-k", "-w"):
        subprocess.run(["wineserver", flag], env=machine.environment, check=False, timeout=30)
