"""The ledger's schema, as a list of migrations that only grows: never edit an old one."""

import sqlite3
from pathlib import Path

BUSY_TIMEOUT_S = 1.0  # rows that cannot be written wait in memory, and are tried again

MIGRATIONS: tuple[str, ...] = (
    """CREATE TABLE requests (
        id TEXT PRIMARY KEY, began_at REAL NOT NULL, client TEXT, key_name TEXT, method TEXT NOT NULL,
        endpoint TEXT NOT NULL, model_asked TEXT, model_sent TEXT, upstream TEXT, status INTEGER, outcome TEXT NOT NULL,
        attempts INTEGER NOT NULL, first_byte_s REAL, duration_s REAL, input_tokens INTEGER, cached_tokens INTEGER,
        cache_written_tokens INTEGER, output_tokens INTEGER, reasoning_tokens INTEGER, is_estimated INTEGER NOT NULL,
        bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT NULL, tool_rounds INTEGER NOT NULL, repairs INTEGER NOT NULL,
        cost_usd REAL, price_source TEXT)""",
    "CREATE INDEX requests_began_at ON requests (began_at)",
    "CREATE TABLE notices (name TEXT PRIMARY KEY, said_at REAL NOT NULL)",  # of limits that were reached
    "ALTER TABLE requests ADD COLUMN no_done INTEGER",
    "ALTER TABLE requests ADD COLUMN error_inside INTEGER",
    "ALTER TABLE requests ADD COLUMN silent INTEGER",
    "ALTER TABLE requests ADD COLUMN lost_tokens INTEGER",  # that the upstream's cache missed
    "ALTER TABLE requests ADD COLUMN lost_usd REAL",
)


class NewerLedger(sqlite3.DatabaseError):
    """The file was written by a newer version of the program, and is not changed."""


def connect(file: Path) -> sqlite3.Connection:
    """Open and migrate the ledger; raises sqlite3.Error and OSError. Use the connection on one thread only."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.touch(mode=0o600)
    ledger = sqlite3.connect(file, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        ledger.execute("PRAGMA journal_mode = WAL")
        # In WAL mode this loses nothing when the process is killed, and corrupts nothing when the power goes.
        ledger.execute("PRAGMA synchronous = NORMAL")
        migrate(ledger)
    except BaseException:
        ledger.close()
        raise
    return ledger


def migrate(ledger: sqlite3.Connection) -> None:
    """Run the missing migrations, all or none; two processes may do so at once."""
    ledger.execute("BEGIN IMMEDIATE")
    try:
        (version,) = ledger.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise NewerLedger(  # noqa: TRY301  inside the transaction, which it ends
                f"the ledger is of version {version}, this program knows {len(MIGRATIONS)}"
            )
        for step in MIGRATIONS[version:]:
            ledger.execute(step)
        ledger.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        ledger.execute("ROLLBACK")
        raise
    ledger.execute("COMMIT")


def last_row(ledger: sqlite3.Connection) -> int:
    """Return the number of the row that was written last, 0 where there is none."""
    (number,) = ledger.execute("SELECT COALESCE(MAX(rowid), 0) FROM requests").fetchone()
    return int(number)
