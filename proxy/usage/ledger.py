"""Write one row for each finished request. One thread writes; no request waits for it."""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from proxy.flow.flow import Flow
from proxy.flow.observers import Observer
from proxy.usage.prices import Prices
from proxy.usage.reservations import Reservations
from proxy.usage.row import COLUMNS, Missed, Row, row_of, without_keys
from proxy.usage.schema import connect, last_row
from proxy.usage.spending import Spending

BATCH_EVERY_S = 0.5
STOP_TIMEOUT_S = 5.0
MAX_WAITING = 50_000  # rows held while the file cannot be written; the oldest go first
DAY_S = 86_400.0
MISSES_LIMIT_S = 0.1  # of a batch, for what caches missed: prompts are read again for it

INSERT = (
    f"INSERT OR REPLACE INTO requests ({', '.join(COLUMNS)})"  # noqa: S608  our own names
    f" VALUES ({', '.join('?' * len(COLUMNS))})"
)

log = logging.getLogger(__name__)


class Ledger(Observer):
    """Record finished requests; any thread. The first one starts the writer, which may be stopped and started again.

    A request is priced and counted in memory first, whether or not the file can be written.
    """

    def __init__(
        self,
        file: Path,
        days: Callable[[], int],
        prices: Callable[[], Prices],
        hide: Callable[[str], str] = lambda text: text,
        spending: Spending | None = None,
        missed: Missed = lambda _: None,
        counters: Sequence[Callable[[Sequence[Row]], None]] = (),
    ) -> None:
        self.file = file
        self.spending = spending
        self.reservations = Reservations()
        self._days = days
        self._prices = prices
        self._hide = hide  # takes the keys out of a text: clients may send one where a name belongs
        self._missed = missed
        self._counters = counters  # each is given the rows, on the writer's thread
        self._waiting: deque[Flow] = deque(maxlen=MAX_WAITING)
        self._rows: deque[Row] = deque(maxlen=MAX_WAITING)  # priced and counted, not yet written
        self._settling = threading.Lock()
        self._lock = threading.Lock()  # over the writer's beginning and end
        self._some = threading.Event()
        self._stopping = threading.Event()
        self._writer: threading.Thread | None = None
        self._has_spoken = False
        self._swept_at: float | None = None  # time.monotonic()

    def ended(self, flow: Flow) -> None:
        """Queue the flow; all work is done by the writer."""
        if flow.is_probe:
            self.reservations.release(flow)
            return
        self._waiting.append(flow)
        if not self._some.is_set():
            self._some.set()
        if self._writer is None:
            self._begin()

    def begin(self) -> None:
        """Read this month's usage in the background; does nothing if there is no file."""
        if self.file.exists():
            self._begin()
        elif self.spending is not None:
            self.spending.is_loaded.set()

    def is_unsettled(self, key: str | None) -> bool:
        """Return whether a proxy key has finished requests that are not counted yet."""
        try:
            return self._settling.locked() or any(flow.key_name == key for flow in self._waiting)
        except RuntimeError:  # one came or went meanwhile
            return True

    def settle(self) -> None:
        """Price and count finished requests; reads no file but the price table. Not on the event loop."""
        with self._settling:
            flows = list(take_all(self._waiting))
            if not flows:
                return
            try:
                prices, looks_until = self._prices(), time.monotonic() + MISSES_LIMIT_S
                made = [row for flow in flows if (row := self._row(flow, prices, looks_until)) is not None]
                rows = without_keys(made, self._hide)
                self._rows.extend(rows)
                if self.spending is not None:
                    self.spending.add(rows)
            finally:
                for flow in flows:  # only now that they are counted
                    self.reservations.release(flow)
        for count in self._counters:
            count(rows)

    def stop(self) -> None:
        """Write the queue and end the thread; blocks for some seconds at most."""
        with self._lock:
            writer, self._writer = self._writer, None
            self._stopping.set()
            self._some.set()
        if writer is not None:
            writer.join(STOP_TIMEOUT_S)  # outside the lock: a request that ends meanwhile must not wait

    def _begin(self) -> None:
        with self._lock:
            if self._writer is None:
                self._stopping = threading.Event()
                self._writer = threading.Thread(
                    target=self._run, args=(self._stopping,), name="ledger-writer", daemon=True
                )
                self._writer.start()

    def _run(self, stopping: threading.Event) -> None:
        ledger: sqlite3.Connection | None = None
        if self.spending is not None and not self.spending.is_loaded.is_set() and self.file.exists():
            ledger = self._write(None)
        while not stopping.is_set():
            self._some.wait()
            stopping.wait(BATCH_EVERY_S)
            self._some.clear()
            ledger = self._write(ledger)
            if (self._waiting or self._rows) and not stopping.is_set():
                self._some.set()  # the file could not be written, or more has come
        if self._waiting or self._rows:  # it was told to stop before its first look
            ledger = self._write(ledger)
        if ledger is not None:
            ledger.close()

    def _write(self, ledger: sqlite3.Connection | None) -> sqlite3.Connection | None:
        """Count and write the queue; return the connection, None if it is broken."""
        self.settle()
        rows = list(take_all(self._rows))
        try:
            ledger = ledger or connect(self.file)
            self._write_rows(ledger, rows)
            self._sweep(ledger)
        except (sqlite3.Error, OSError) as error:
            self._keep(rows, error)
            if ledger is not None:
                ledger.close()
            ledger = None
        except Exception:  # a thread's body: these rows are lost, the next are not
            log.exception("the ledger lost %d rows", len(rows))
        self._announce(ledger)
        return ledger

    def _write_rows(self, ledger: sqlite3.Connection, rows: Sequence[Row]) -> None:
        """Write all rows or none, and count the rows of other processes; raises sqlite3.Error."""
        spending = self.spending
        with transaction(ledger):
            if spending is not None:
                spending.sync(ledger)
            ledger.executemany(INSERT, rows)
            last = last_row(ledger)
        if spending is not None:
            spending.skip_to(last)

    def _announce(self, ledger: sqlite3.Connection | None) -> None:
        if self.spending is None:
            return
        self.spending.is_loaded.set()
        try:
            self.spending.announce(ledger)
        except sqlite3.Error as error:  # it is told of in the log and by the next batch at the latest
            log.info("the ledger cannot remember a notice: %s", error)

    def _row(self, flow: Flow, prices: Prices, looks_until: float) -> Row | None:
        try:
            return row_of(flow, prices, self._missed if time.monotonic() < looks_until else lambda _: None)
        except Exception:  # hostile facts of one request must not lose the others
            log.exception("the ledger lost the row of %s", flow.id)
            return None

    def _keep(self, rows: list[Row], error: Exception) -> None:
        """Keep the rows for the next try, and log the reason once."""
        room = MAX_WAITING - len(self._rows)
        self._rows.extendleft(reversed(rows[-room:] if room else []))
        if not self._has_spoken:
            self._has_spoken = True
            log.warning(
                "The usage ledger %s cannot be written: %s. Requests go on; this is said once.", self.file, error
            )

    def _sweep(self, ledger: sqlite3.Connection) -> None:
        """Delete old rows, once a day."""
        now = time.monotonic()
        if self._swept_at is None or now - self._swept_at > DAY_S:
            self._swept_at = now
            ledger.execute("DELETE FROM requests WHERE began_at < ?", (time.time() - self._days() * DAY_S,))


T = TypeVar("T")


def take_all(waiting: deque[T]) -> Iterator[T]:
    """Take all queued flows; another writer that is about to stop may take some too."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()


@contextmanager
def transaction(ledger: sqlite3.Connection) -> Iterator[None]:
    """Commit everything written in the block, or nothing; raises sqlite3.Error."""
    ledger.execute("BEGIN IMMEDIATE")
    try:
        yield
        ledger.execute("COMMIT")
    except BaseException:
        if ledger.in_transaction:
            ledger.execute("ROLLBACK")
        raise
