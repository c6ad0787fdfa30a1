"""End servers whose program is gone: `kill -9` leaves behind those that do not read their input."""

import logging
import os
import subprocess
from contextlib import suppress

SHELL = "/bin/sh"
# It waits for the end of its input, which comes with our own end, whatever way we end.
WATCH = """
trap '' INT TERM HUP
groups=
while read -r sign group; do
  case $sign in
    +) groups="$groups $group" ;;
    -) kept=; for one in $groups; do [ "$one" = "$group" ] || kept="$kept $one"; done; groups=$kept ;;
  esac
done
[ -z "$groups" ] && exit 0
for one in $groups; do kill -TERM "-$one" 2>/dev/null; done
sleep 1
for one in $groups; do kill -KILL "-$one" 2>/dev/null; done
"""

log = logging.getLogger(__name__)


class Orphans:
    """Watch over the servers' process groups from a small process of its own. Lives on the servers' loop.

    On Windows there is none: a server there ends with its input, or goes on.
    """

    def __init__(self) -> None:
        self._watcher: subprocess.Popen[bytes] | None = None

    def note(self, group: int) -> None:
        """End this group when we are gone."""
        if os.name == "posix":
            self._start()
            self._tell(f"+ {group}\n")

    def forget(self, group: int) -> None:
        """Take note that a group has ended."""
        self._tell(f"- {group}\n")

    def stop(self) -> None:
        """End the watcher; what it still knows of ends too."""
        watcher, self._watcher = self._watcher, None
        if watcher is None or watcher.stdin is None:
            return
        with suppress(OSError):
            watcher.stdin.close()
        try:
            watcher.wait(2)
        except subprocess.TimeoutExpired:
            watcher.kill()
            watcher.wait()

    def _start(self) -> None:
        if self._watcher is not None and self._watcher.poll() is None:
            return
        self.stop()
        try:
            self._watcher = subprocess.Popen(  # noqa: S603  our own script
                [SHELL, "-c", WATCH],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"PATH": os.defpath},
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            log.debug("nothing watches over the MCP servers: %s", error)

    def _tell(self, line: str) -> None:
        if self._watcher is not None and self._watcher.stdin is not None:
            with suppress(OSError):
                self._watcher.stdin.write(line.encode())
                self._watcher.stdin.flush()
