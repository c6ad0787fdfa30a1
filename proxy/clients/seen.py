"""Say what a client last asked for, and when, from its row in the ledger of finished requests."""

import time
from typing import Any

WORDS = {"/models": "asked for models", "/chat/completions": "chatted", "/responses": "asked for a response"}


def request_words(row: dict[str, Any]) -> str:
    """Say what a client last asked for, and when."""
    what = WORDS.get(row["endpoint"], f"asked {row['method']} {row['endpoint']}")
    how = "" if (row["status"] or 0) < 400 else f", and got {row['status']} ({row['outcome'].replace('_', ' ')})"
    return f"{what} {ago(time.time() - row['began_at'])} ago{how}"


def ago(seconds: float) -> str:
    """Say a time as people do."""
    for unit_s, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= unit_s * (2 if unit == "days" else 1):
            return f"{seconds // unit_s:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
