"""Write one row for each request that is over. One thread writes; no request waits for it."""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from proxy.flow.flow import Flow, Outcome, Usage
from proxy.flow.observers import Observer
from proxy.usage.prices import Prices, cost_of
from proxy.usage.schema import connect

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
INSERT = f"INSERT OR REPLACE INTO requests VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608  our own names

Row = tuple[Any, ...]

log = logging.getLogger(__name__)


class Ledger(Observer):
    """Hear of ended requests on any thread. The writer begins with the first and may be stopped and begun again."""

    def __init__(
        self,
        file: Path,
        days: Callable[[], int],
        prices: Callable[[], Prices],
        hide: Callable[[str], str] = lambda text: text,
    ) -> None:
        self.file = file
        self._days = days
        self._prices = prices
        self._hide = hide  # takes the keys out of a text: clients may send one where a name belongs
        self._waiting: deque[Flow] = deque(maxlen=MAX_WAITING)
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
        while not stopping.is_set():
            self._some.wait()
            stopping.wait(BATCH_EVERY_S)
            self._some.clear()
            ledger = self._write(ledger)
            if self._waiting and not stopping.is_set():
                self._some.set()  # the file could not be written, or more has come
        if self._waiting:  # it was told to stop before its first look
            ledger = self._write(ledger)
        if ledger is not None:
            ledger.close()

    def _write(self, ledger: sqlite3.Connection | None) -> sqlite3.Connection | None:
        """Write what waits; return the connection, None where it is of no more use."""
        flows = list(take_all(self._waiting))
        try:
            ledger = ledger or connect(self.file)
            prices = self._prices()
            write_rows(ledger, without_keys([row_of(flow, prices) for flow in flows], self._hide))
            self._sweep(ledger)
        except (sqlite3.Error, OSError) as error:
            self._keep(flows, error)
            if ledger is not None:
                ledger.close()
            return None
        except Exception:  # a thread's body: these rows are lost, the next are not
            log.exception("the ledger lost %d rows", len(flows))
        return ledger

    def _keep(self, flows: list[Flow], error: Exception) -> None:
        """Hold the rows for the next time, and say once why."""
        room = MAX_WAITING - len(self._waiting)
        self._waiting.extendleft(reversed(flows[-room:] if room else []))
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


def take_all(waiting: deque[Flow]) -> Iterator[Flow]:
    """Take what waits, though another writer that is about to stop may take some too."""
    with suppress(IndexError):
        while True:
            yield waiting.popleft()


def write_rows(ledger: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Write all rows or none; raises sqlite3.Error."""
    ledger.execute("BEGIN IMMEDIATE")
    try:
        ledger.executemany(INSERT, rows)
        ledger.execute("COMMIT")
    except BaseException:
        if ledger.in_transaction:
            ledger.execute("ROLLBACK")
        raise


def row_of(flow: Flow, prices: Prices) -> Row:
    """Return a flow as a row of the ledger."""
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
    return (
        *(flow.id, flow.began_at, flow.client, flow.key_name, flow.method, flow.path.split("?", 1)[0]),
        *(flow.model_asked, flow.model_sent, flow.upstream, flow.status),
        *((flow.outcome or Outcome.FAILED).name.lower(), flow.attempts, flow.first_byte_s, flow.last_byte_s),
        *(*tokens, usage is not None and flow.usage is None, flow.bytes_up, flow.bytes_down),
        *(len(flow.tool_rounds), len(flow.repairs), usd, source),
    )


def without_keys(rows: list[Row], hide: Callable[[str], str]) -> list[Row]:
    """Return the rows without any key, and as SQLite can hold them."""
    texts = "\0".join([value for row in rows for value in row if isinstance(value, str)])
    if hide(texts) != texts:  # looked at together: most batches hold no key
        rows = [tuple(hide(value) if isinstance(value, str) else value for value in row) for row in rows]
    return [row if fits(row) else tuple(map(stored, row)) for row in rows]


def fits(row: Row) -> bool:
    """Tell whether SQLite can hold a row as it is, as it can nearly every one."""
    for value in row:
        if isinstance(value, str):
            if len(value) > MAX_TEXT or not value.isascii():
                return False
        elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
            return False
    return True


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
