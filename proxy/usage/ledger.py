"""Write one row for each request that is over. One thread writes; no request waits for it."""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from proxy.flow.flow import Flow, Outcome, Usage
from proxy.flow.observers import Observer
from proxy.usage.prices import Prices, cost_of
from proxy.usage.schema import connect, last_row
from proxy.usage.spending import Spending

BATCH_EVERY_S = 0.5
STOP_TIMEOUT_S = 5.0
MAX_WAITING = 50_000  # rows held while the file cannot be written; the oldest go first
DAY_S = 86_400.0
BYTES_PER_TOKEN = 4  # of text, roughly, in English and in code
BYTES_PER_EVENT = 250  # of a stream, roughly; most events carry one token
SWITCHING_PROTOCOLS = 101
MAX_TEXT = 256  # characters of a name
MAX_INTEGER = 2**63 - 1
UNFINISHED = (Outcome.CUT, Outcome.CANCELLED, Outcome.TIMED_OUT, Outcome.STOPPED)

COLUMNS = (
    *("id", "began_at", "client", "key_name", "method", "endpoint", "model_asked", "model_sent", "upstream", "status"),
    *("outcome", "attempts", "first_byte_s", "duration_s", "input_tokens", "cached_tokens", "cache_written_tokens"),
    *("output_tokens", "reasoning_tokens", "is_estimated", "bytes_up", "bytes_down", "tool_rounds", "repairs"),
    *("cost_usd", "price_source"),
)
INSERT = (
    f"INSERT OR REPLACE INTO requests ({', '.join(COLUMNS)})"  # noqa: S608  our own names
    f" VALUES ({', '.join('?' * len(COLUMNS))})"
)

Row = dict[str, Any]  # by the names of the columns
Values = tuple[Any, ...]  # in their order

log = logging.getLogger(__name__)


class Ledger(Observer):
    """Hear of ended requests on any thread. The writer begins with the first and may be stopped and begun again.

    What ends is priced and counted in memory first, whether or not the file can be written.
    """

    def __init__(
        self,
        file: Path,
        days: Callable[[], int],
        prices: Callable[[], Prices],
        hide: Callable[[str], str] = lambda text: text,
        spending: Spending | None = None,
        counters: Sequence[Callable[[Sequence[Row]], None]] = (),
    ) -> None:
        self.file = file
        self.spending = spending
        self._days = days
        self._prices = prices
        self._hide = hide  # takes the keys out of a text: clients may send one where a name belongs
        self._counters = counters  # each is given the rows, on the writer's thread
        self._waiting: deque[Flow] = deque(maxlen=MAX_WAITING)
        self._rows: deque[Values] = deque(maxlen=MAX_WAITING)  # priced and counted, not yet written
        self._settling = threading.Lock()
        self._lock = threading.Lock()  # over the writer's beginning and end
        self._some = threading.Event()
        self._stopping = threading.Event()
        self._writer: threading.Thread | None = None
        self._has_spoken = False
        self._swept_at: float | None = None  # time.monotonic()

    def ended(self, flow: Flow) -> None:
        """Put the flow in line; nothing is worked out here."""
        if flow.is_probe:
            return
        self._waiting.append(flow)
        if not self._some.is_set():
            self._some.set()
        if self._writer is None:
            self._begin()

    def begin(self) -> None:
        """Read what this month has used so far, in the background; where there is no file there is nothing to read."""
        if self.file.exists():
            self._begin()
        elif self.spending is not None:
            self.spending.is_loaded.set()

    def is_unsettled(self, key: str | None) -> bool:
        """Tell whether requests of a proxy key have ended that are not counted yet."""
        try:
            return any(flow.key_name == key for flow in self._waiting)
        except RuntimeError:  # one came or went meanwhile
            return True

    def settle(self) -> None:
        """Price and count what has ended; it reads no file but the price table. Not on the event loop."""
        with self._settling:
            flows = list(take_all(self._waiting))
            if not flows:
                return
            prices = self._prices()
            rows = [row for flow in flows if (row := self._row(flow, prices)) is not None]
            self._rows.extend(tuple(row.values()) for row in rows)
            if self.spending is not None:
                self.spending.add(rows)
        for count in self._counters:
            count(rows)

    def stop(self) -> None:
        """Write what waits and end the thread; blocks for some seconds at most."""
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
        """Count and write what waits; return the connection, None where it is of no more use."""
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

    def _write_rows(self, ledger: sqlite3.Connection, rows: Sequence[Values]) -> None:
        """Write all rows or none, and count what other programs have written meanwhile; raises sqlite3.Error."""
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

    def _row(self, flow: Flow, prices: Prices) -> Row | None:
        try:
            return row_of(flow, prices, self._hide)
        except Exception:  # hostile facts of one request must not lose the others
            log.exception("the ledger lost the row of %s", flow.id)
            return None

    def _keep(self, rows: list[Values], error: Exception) -> None:
        """Hold the rows for the next time, and say once why."""
        room = MAX_WAITING - len(self._rows)
        self._rows.extendleft(reversed(rows[-room:] if room else []))
        if not self._has_spoken:
            self._has_spoken = True
            log.warning(
                "The usage ledger %s cannot be written: %s. Requests go on; this is said once.", self.file, error
            )

    def _sweep(self, ledger: sqlite3.Connection) -> None:
        """Delete what is too old, once a day."""
        now = time.monotonic()
        if self._swept_at is None or now - self._swept_at > DAY_S:
            self._swept_at = now
            ledger.execute("DELETE FROM requests WHERE began_at < ?", (time.time() - self._days() * DAY_S,))


T = TypeVar("T")


def take_all(waiting: deque[T]) -> Iterator[T]:
    """Take what waits, though another writer that is about to stop may take some too."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()


@contextmanager
def transaction(ledger: sqlite3.Connection) -> Iterator[None]:
    """Keep all that is written in the block, or nothing; raises sqlite3.Error."""
    ledger.execute("BEGIN IMMEDIATE")
    try:
        yield
        ledger.execute("COMMIT")
    except BaseException:
        if ledger.in_transaction:
            ledger.execute("ROLLBACK")
        raise


def row_of(flow: Flow, prices: Prices, hide: Callable[[str], str]) -> Row:
    """Return a flow as a row of the ledger, without any key."""
    usage = flow.usage or estimate(flow)
    usd, source = cost_of(usage, flow.model_sent or flow.model_asked, flow.upstream_host, prices)
    tokens = (
        (None,) * 5
        if usage is None
        else (
            *(usage.input_tokens, usage.cached_tokens, usage.cache_written_tokens),
            *(usage.output_tokens, usage.reasoning_tokens),
        )
    )
    row = (
        *(flow.id, flow.began_at, flow.client, flow.key_name, flow.method, flow.path.split("?", 1)[0]),
        *(flow.model_asked, flow.model_sent, flow.upstream, flow.status),
        *((flow.outcome or Outcome.FAILED).name.lower(), flow.attempts, flow.first_byte_s, flow.last_byte_s),
        *(*tokens, usage is not None and flow.usage is None, flow.bytes_up, flow.bytes_down),
        *(len(flow.tool_rounds), len(flow.repairs), usd, source),
    )
    texts = "\0".join(value for value in row if isinstance(value, str))  # looked at together: most hold no key
    if hide(texts) != texts:
        row = tuple(hide(value) if isinstance(value, str) else value for value in row)
    return dict(zip(COLUMNS, map(stored, row), strict=True))


def stored(value: Any) -> Any:
    """Return a value as SQLite can hold it: clients and upstreams may send any text and any number."""
    if isinstance(value, str):
        return value[:MAX_TEXT].encode("utf-8", "replace").decode()
    return max(-MAX_INTEGER, min(value, MAX_INTEGER)) if isinstance(value, int) else value


def estimate(flow: Flow) -> Usage | None:
    """Return roughly what an answer used that did not come to its end, None where none had begun."""
    if flow.outcome not in UNFINISHED or not flow.bytes_down or flow.status in (None, SWITCHING_PROTOCOLS):
        return None
    if flow.model_asked is None:
        return None
    return Usage(flow.bytes_up // BYTES_PER_TOKEN, max(1, flow.bytes_down // BYTES_PER_EVENT))
