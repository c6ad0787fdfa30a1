"""Tell open pages what happens to requests; a page that does not read loses events, and is told so."""

import asyncio
import threading
from collections import deque
from typing import NamedTuple

from proxy.capture.record import Record

MAX_QUEUED = 500  # events that wait for one page
MAX_PAGES = 16


class Happening(NamedTuple):
    """An event: its name, and the request it is of; None: of none."""

    name: str
    record: Record | None


class Page:
    """The events one page has not read. Filled from any thread, emptied on the event loop it was opened on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Happening] = deque()
        self._some = asyncio.Event()
        self._has_lost = False

    @property
    def waiting(self) -> int:
        """Return how many events it has not read."""
        return len(self._waiting)

    def put(self, happening: Happening) -> None:
        """Queue an event; where too many wait all are lost, and the page is told to fetch the rows anew."""
        if len(self._waiting) >= MAX_QUEUED:
            self._waiting.clear()
            self._has_lost = True
        self._waiting.append(happening)
        if not self._some.is_set():
            self._wake()

    async def wait(self, limit_s: float) -> None:
        """Return when an event waits, or the seconds are over."""
        try:
            await asyncio.wait_for(self._some.wait(), limit_s)
        except asyncio.TimeoutError:
            return

    def take(self) -> tuple[list[Happening], bool]:
        """Return the events, and whether some were lost before them."""
        self._some.clear()
        taken, has_lost = list(self._waiting), self._has_lost
        self._waiting.clear()
        self._has_lost = False
        return taken, has_lost

    def _wake(self) -> None:
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            is_here = False
        if is_here:
            self._some.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._some.set)


class Feed:
    """The pages that listen."""

    def __init__(self) -> None:
        self._pages: tuple[Page, ...] = ()
        self.is_heard = False  # some page listens: where none does, nobody need call `say`
        self._lock = threading.Lock()

    @property
    def pages(self) -> int:
        """Return how many pages listen."""
        return len(self._pages)

    def waiting(self) -> int:
        """Return how many events wait for the slowest of them."""
        return max((page.waiting for page in self._pages), default=0)

    def open(self) -> Page | None:
        """Return a new page's queue, None where too many are open. On the event loop."""
        with self._lock:
            if len(self._pages) >= MAX_PAGES:
                return None
            page = Page()
            self._pages = (*self._pages, page)
            self.is_heard = True
        return page

    def close(self, page: Page) -> None:
        """Forget a page."""
        with self._lock:
            self._pages = tuple(each for each in self._pages if each is not page)
            self.is_heard = bool(self._pages)

    def say(self, name: str, record: Record | None) -> None:
        """Tell every page."""
        for page in self._pages:
            page.put(Happening(name, record))
