"""The programs a desktop is made of: started for the tests, and ended by them."""

import os
import select
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# A bus that starts no service: what is not running is not there, whatever is installed.
BARE_BUS = """<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""
SCREEN = "1000x600x24"
START_LIMIT_S = 20
END_LIMIT_S = 5


@contextmanager
def x_server(env: Mapping[str, str]) -> Iterator[str]:
    """Run an X server and give its display."""
    with telling(["Xvfb", "-screen", "0", SCREEN, "-nolisten", "tcp", "-displayfd", "{fd}"], env) as number:
        yield f":{number}"


@contextmanager
def session_bus(env: Mapping[str, str]) -> Iterator[str]:
    """Run a session bus and give its address."""
    with telling(["dbus-daemon", "--session", "--nofork", "--print-address={fd}"], env) as address:
        yield address


@contextmanager
def bare_bus(env: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Run a session bus with nothing on it and give its address."""
    configuration = folder / "bus.conf"
    configuration.write_text(BARE_BUS)
    command = ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address={fd}"]
    with telling(command, env) as address:
        yield address


@contextmanager
def keyring(env: Mapping[str, str]) -> Iterator[None]:
    """Run a Secret Service, unlocked."""
    process = start(["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"], env, b"test")
    try:
        yield
    finally:
        end(process)


@contextmanager
def trayer(env: Mapping[str, str]) -> Iterator[None]:
    """Run a panel of an XEmbed tray alone, at the upper left."""
    process = start(["trayer", "--edge", "top", "--align", "left", "--width", "100", "--widthtype", "pixel"], env)
    try:
        yield
    finally:
        end(process)


@contextmanager
def telling(command: Sequence[str], env: Mapping[str, str]) -> Iterator[str]:
    """Run a program that writes where it can be found to a file descriptor, `{fd}`, and give that."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as lines:
        process = start([part.format(fd=writer) for part in command], env, pass_fds=(writer,))
        os.close(writer)
        try:
            assert select.select([lines], [], [], START_LIMIT_S)[0], f"{command[0]} did not start"
            yield lines.readline().strip()
        finally:
            end(process)


def start(
    command: Sequence[str], env: Mapping[str, str], given: bytes = b"", pass_fds: tuple[int, ...] = ()
) -> "subprocess.Popen[bytes]":
    """Start a program that says nothing, with this on its standard input."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, pass_fds=pass_fds, **quiet)
    assert process.stdin is not None
    process.stdin.write(given)
    process.stdin.close()
    return process


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a program, by force if it will not go."""
    process.terminate()
    try:
        process.wait(END_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
