"""Measure upstreams from the ledger: their speed, and the share of answers with a fault."""

from pathlib import Path
from typing import Any

from proxy.usage.summaries import select

Rows = list[dict[str, Any]]

PERCENTS = (50, 90, 99)
SHORTEST_STREAM_S = 0.05  # below it an answer came at once, and has no rate
MODEL = "COALESCE(model_sent, model_asked)"
MEASURES = {  # what is ranked, and over which answers
    "first_byte_s": ("first_byte_s", "first_byte_s IS NOT NULL"),
    "tokens_per_s": (
        "output_tokens / (duration_s - first_byte_s)",
        f"output_tokens > 0 AND NOT is_estimated AND duration_s - first_byte_s >= {SHORTEST_STREAM_S}",
    ),
}
FAULTS = {  # a kind of fault, and when an answer has it
    "cut": "outcome = 'cut'",
    "no_done": "no_done",
    "error_inside": "error_inside",
    "silent": "silent",
    "repaired": "repairs > 0",
    "timed_out": "outcome = 'timed_out'",
    "invalid": "outcome = 'invalid'",
    "unreachable": "outcome = 'unreachable'",
    "refused": "outcome = 'refused_by_upstream'",
}


def speeds(file: Path, since: float, until: float) -> Rows:
    """Return percentiles of first byte (seconds) and tokens per second of complete answers, by upstream and model.

    Percentiles are nearest ranks, so each is a measured value. Raises LedgerUnreadable.
    """
    found: dict[tuple[Any, Any], dict[str, Any]] = {}
    for measure in MEASURES:
        for row in select(file, ranked(measure), since, until):
            if row.get("upstream") is None:
                continue
            names = {"upstream": row["upstream"], "model": row["model"]}
            speed = found.setdefault(
                (row["upstream"], row["model"]), {**names, "first_byte_s": None, "tokens_per_s": None}
            )
            speed[measure] = {"answers": row["answers"], **{f"p{each}": row[f"p{each}"] for each in PERCENTS}}
    return sorted(found.values(), key=lambda row: -max(row[name]["answers"] if row[name] else 0 for name in MEASURES))


def outcomes(file: Path, since: float, until: float) -> Rows:
    """Return the number of requests of each upstream and model, and of each fault the number and share.

    Raises LedgerUnreadable.
    """
    counts = ", ".join(f"COALESCE(SUM({fits}), 0) AS {name}" for name, fits in FAULTS.items())
    query = f"""SELECT upstream, {MODEL} AS model, COUNT(*) AS requests, {counts} FROM requests
        WHERE began_at >= ? AND began_at < ? AND upstream IS NOT NULL AND attempts > 0 AND model IS NOT NULL
        GROUP BY 1, 2 ORDER BY requests DESC"""  # noqa: S608  our own words
    rows = [row for row in select(file, query, since, until) if row["requests"]]
    return [{**row, "shares": {name: round(row[name] / row["requests"], 4) for name in FAULTS}} for row in rows]


def ranked(measure: str) -> str:
    """Return the query of a measure's percentiles."""
    value, fits = MEASURES[measure]
    places = ", ".join(
        f"MAX(CASE WHEN place = (number * {each} + 99) / 100 THEN value END) AS p{each}" for each in PERCENTS
    )
    return f"""WITH answers AS (
        SELECT upstream, {MODEL} AS model, {value} AS value FROM requests
        WHERE began_at >= ? AND began_at < ? AND outcome IN ('whole', 'repaired') AND upstream IS NOT NULL
        AND {MODEL} IS NOT NULL AND {fits}
    ), placed AS (
        SELECT *, ROW_NUMBER() OVER (PARTITION BY upstream, model ORDER BY value) AS place,
        COUNT(*) OVER (PARTITION BY upstream, model) AS number FROM answers
    ) SELECT upstream, model, MAX(number) AS answers, {places} FROM placed GROUP BY 1, 2"""  # noqa: S608  our own words
