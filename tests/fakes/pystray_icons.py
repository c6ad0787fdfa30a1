"""pystray's icon without a system below it: its loop is a queue, and what it would draw is noted."""

import queue
from typing import Any

from PIL import Image

from tray_app.backends.backend import Program
from tray_app.backends.pystray_icon import load_pystray
from tray_app.menu import Line, Look

pystray: Any = load_pystray("dummy")


class QueueIcon(pystray.Icon):
    """Run pystray's own logic; tasks put on `loop` run on the thread that runs the icon."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.loop: queue.Queue[Any] = queue.Queue()
        self.drawn: list[tuple[str, Any]] = []

    def _run(self) -> None:
        self._mark_ready()
        while (task := self.loop.get()) is not None:
            task()

    def _stop(self) -> None:
        self.loop.put(None)

    def _show(self) -> None:
        self.drawn.append(("show", self.icon))

    def _hide(self) -> None:
        self.drawn.append(("hide", None))

    def _update_icon(self) -> None:
        self.drawn.append(("icon", self.icon))
        self._icon_valid = True

    def _update_title(self) -> None:
        self.drawn.append(("title", self.title))

    def _update_menu(self) -> None:
        self.drawn.append(("menu", [str(item) for item in self.menu]))

    def _notify(self, message: str, title: str | None = None) -> None:
        self.drawn.append(("notify", (title, message)))


class FakeProgram:
    """A program whose look the test changes."""

    def __init__(self, *lines: Line) -> None:
        self.look = Look("running", "Title", lines)
        self.clicks: list[str] = []
        self.pictures: list[tuple[str, int]] = []
        self.program = Program("test", lambda: self.look, self._icon, self.clicks.append)

    def _icon(self, state: str, size_px: int) -> Image.Image:
        self.pictures.append((state, size_px))
        return Image.new("RGBA", (size_px, size_px), "red")
