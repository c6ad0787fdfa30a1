"""Show a tray backend with a test menu: told by lines of JSON what to show, telling by lines of JSON what happens."""

import json
import logging
import signal
import sys
import threading
from typing import Any

from PIL import Image, ImageDraw

from tray_app.backends.backend import Backend, Program
from tray_app.backends.choose import choose
from tray_app.menu import Line, Look

COLOURS = {"running": (46, 160, 67), "error": (207, 34, 46)}


def tell(**event: Any) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def icon(state: str, size_px: int) -> Image.Image:
    image = Image.new("RGBA", (size_px, size_px))
    ImageDraw.Draw(image).ellipse((0, 0, size_px - 1, size_px - 1), fill=COLOURS[state])
    return image


class TestProgram:
    """Something with a look that changes."""

    def __init__(self) -> None:
        self.backend: Backend | None = None
        self.state: dict[str, Any] = {"icon": "running", "title": "Test tray", "attention": False, "lines": 0}
        self.count = 0
        self.is_checked = False
        self.per_second = 0.0

    def look(self) -> Look:
        extra = tuple(Line(f"extra-{number}", f"Extra {number}") for number in range(self.state["lines"]))
        lines = (
            Line("open", "Open dashboard", is_default=True),
            Line("count", f"Requests: {self.count}", enabled=False),
            Line("tools", "Run_tools & more", kind="check", checked=self.is_checked),
            Line("line", kind="separator"),
            Line(
                "copy",
                "Copy",
                kind="submenu",
                children=(Line("copy-url", "Copy address"), Line("copy-key", "Copy key")),
            ),
            *extra,
            Line("quit", "Quit"),
        )
        return Look(self.state["icon"], self.state["title"], lines, self.state["attention"])

    def on_click(self, key: str) -> None:
        tell(clicked=key)
        if key == "tools":
            self.is_checked = not self.is_checked
        if key == "quit":
            self.running.stop()
        self.running.refresh()

    @property
    def running(self) -> Backend:
        assert self.backend is not None
        return self.backend

    def obey(self) -> None:
        """Do what standard input says."""
        for line in sys.stdin:
            command = json.loads(line)
            self.per_second = command.pop("per_second", self.per_second)
            self.state |= command
            self.running.refresh()
            tell(shown=self.running.is_shown)

    def count_up(self) -> None:
        """Change a label so many times a second."""
        pause = threading.Event()
        while True:
            pause.wait(1 / self.per_second if self.per_second else 0.05)
            if self.per_second:
                self.count += 1
                self.running.refresh()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
    program = TestProgram()
    wanted: Any = sys.argv[1]
    backend = program.backend = choose(wanted, Program("test-tray", program.look, icon, program.on_click))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: backend.stop())
    tell(name=backend.name, reason=backend.reason)
    for task in (program.obey, program.count_up):
        threading.Thread(target=task, daemon=True).start()
    backend.run()
    tell(ended=True)


if __name__ == "__main__":
    main()
