"""Serve recent requests as JSON: a list with a filter, one request in full, and its actions."""

from functools import partial
from typing import Any

from flask import Blueprint, Response, request

from proxy.capture import cache_miss, details, filters, har, rows, snippets, windows_snippets
from proxy.capture.disk import Kept
from proxy.capture.record import Record
from proxy.errors.proxy_error import ProxyError
from proxy.usage import summaries
from proxy.web.exchange_response import ExchangeResponse
from proxy.web.on_loop import OnLoop
from proxy.web.ui.dashboard import RequestParts
from proxy.web.ui.json_api import Answered, json_answer, sent_object

MAX_ROWS = 10_000
DEFAULT_ROWS = 500
COMPLETED_FROM = 2_000  # rows whose names are offered to complete a filter
NOT_HELD = "There is no such request, or it is no longer held."
SNIPPETS = {
    "curl": snippets.curl,
    "cmd": windows_snippets.cmd,
    "powershell": windows_snippets.powershell,
    "python": snippets.python,
}


def add_routes(pages: Blueprint, root: str, parts: RequestParts) -> None:
    """Add the routes below a path; the blueprint guards them, and they wait in a worker thread."""
    capture = parts.capture

    answer = partial(json_answer, hide=parts.hide)

    def held(request_id: str) -> Record | None:
        """Return a request with held bodies."""
        record = capture.find(request_id)
        return record if record is not None and record.is_captured else None

    def error(words: str, status: int) -> Answered:
        return answer({"error": words}, status)

    @pages.get(f"{root}/api/requests")
    def requests() -> Answered:
        limit = min(max(request.args.get("limit", DEFAULT_ROWS, type=int), 1), MAX_ROWS)
        before = request.args.get("before", type=float)
        try:
            wanted = filters.parse(request.args.get("q", ""))
            found = list_rows(parts, wanted, limit, before)
        except filters.WrongFilter as wrong:
            return error(f"The filter is wrong: {wrong}.", 400)
        except summaries.LedgerUnreadable as unreadable:
            return error(str(unreadable), 503)
        return answer({"requests": found, "capture": capture_state(parts)})

    @pages.get(f"{root}/api/requests/<request_id>")
    def one_request(request_id: str) -> Answered:
        record = capture.find(request_id)
        if record is not None:
            return answer(details.of(record, row_of(record, parts), capture.all(), parts.prices()))
        try:
            stored = summaries.find(parts.ledger_file, request_id)
        except summaries.LedgerUnreadable as unreadable:
            return error(str(unreadable), 503)
        if (on_disk := parts.kept.find(request_id)) is not None:
            return answer(on_disk)
        if stored is None:
            return error(NOT_HELD, 404)
        return answer({"request": rows.ledger_row(stored), **details.NOTHING})

    @pages.get(f"{root}/api/requests/<request_id>.json")
    def as_json(request_id: str) -> Answered:
        record = held(request_id)
        if record is None:
            on_disk = parts.kept.find(request_id)
            return error(NOT_HELD, 404) if on_disk is None else attached(answer(on_disk), f"{request_id}.json")
        value = details.of(record, row_of(record, parts), capture.all(), parts.prices(), is_full=True)
        return attached(answer(value), f"{request_id}.json")

    @pages.get(f"{root}/api/requests/<request_id>.har")
    def as_har(request_id: str) -> Answered:
        record = held(request_id)
        if record is None:
            return error(NOT_HELD, 404)
        return attached(answer(har.archive(record, base_url(), parts.hide)), f"{request_id}.har")

    @pages.get(f"{root}/api/requests/<request_id>/<any(curl, cmd, powershell, python):language>")
    def as_program(request_id: str, language: str) -> Answered:
        record = held(request_id)
        if record is None:
            return error(NOT_HELD, 404)
        try:
            text = SNIPPETS[language](record, base_url(), parts.hide)
        except UnicodeDecodeError:
            return error("Its body is no text.", 409)
        return Response(text, content_type="text/plain; charset=utf-8"), 200

    @pages.get(f"{root}/api/requests/<request_id>/media/<int:number>")
    def media(request_id: str, number: int) -> Answered:
        record = held(request_id)
        items = details.media_of(record).items if record is not None else []
        if number >= len(items):
            return error(NOT_HELD, 404)
        return Response(items[number].bytes(), content_type=items[number].shown_type), 200

    @pages.get(f"{root}/api/filters")
    def filter_names() -> Answered:
        try:
            found = list_rows(parts, filters.Filter(), COMPLETED_FROM, None)
        except summaries.LedgerUnreadable as unreadable:
            return error(str(unreadable), 503)
        return answer({"names": filters.NAMES, "values": filters.values_in(found)})

    @pages.post(f"{root}/api/requests/<request_id>/cancel")
    def cancel(request_id: str) -> ExchangeResponse:
        async def work() -> tuple[int, Any]:
            is_cancelled = capture.cancel(request_id)
            return (200, {"cancelled": True}) if is_cancelled else (409, {"error": "It is over already."})

        return ExchangeResponse(OnLoop(work))

    @pages.post(f"{root}/api/requests/<request_id>/again")
    def again(request_id: str) -> ExchangeResponse | Answered:
        wanted = sent_object()
        upstream, model = (wanted.get(name) or None for name in ("upstream", "model"))
        if not all(value is None or isinstance(value, str) for value in (upstream, model)):
            return error("upstream and model are names.", 400)

        async def work() -> tuple[int, Any]:
            record = capture.find(request_id)
            if record is None:
                return 404, {"error": NOT_HELD}
            try:
                return 202, {"id": parts.send_again(record, upstream, model)}
            except ProxyError as refused:
                return 409, {"error": parts.hide(str(refused))}

        return ExchangeResponse(OnLoop(work))

    @pages.get(f"{root}/api/capture")
    def state() -> Answered:
        return answer(capture_state(parts))

    @pages.post(f"{root}/api/capture/delete")
    def delete_kept() -> Answered:
        try:
            deleted = parts.kept.delete_all()
        except OSError as failure:
            return error(f"Not all could be deleted: {failure}", 500)
        return answer({"deleted": deleted, **capture_state(parts)})

    @pages.post(f"{root}/api/capture/pause")
    def pause() -> Answered:
        paused = sent_object().get("paused", True)
        if not isinstance(paused, bool):
            return error("paused is true or false.", 400)
        capture.pause(is_paused=paused)
        return answer(capture_state(parts))


def kept_state(kept: Kept) -> dict[str, Any]:
    """Return how much is kept on the disk."""
    room = kept.room
    return {
        "days": room.days,
        "max_bytes": room.max_bytes,
        "bytes": kept.size_bytes,
        "requests": kept.files,
        "folder": str(kept.folder),
    }


def list_rows(parts: RequestParts, wanted: filters.Filter, limit: int, before: float | None) -> list[rows.Row]:
    """Return the matching rows, the newest first: those in memory, then the ledger's; raises LedgerUnreadable."""
    found: dict[str, rows.Row] = {}
    in_memory = [record for record in parts.capture.all() if before is None or record.flow.began_at < before]
    for record in in_memory:
        row = row_of(record, parts)
        if wanted.fits(row, lambda record=record: details.words_of(record)):  # type: ignore[misc]  # a default binds it
            found[row["id"]] = row
    seen, on_disk = {record.flow.id for record in in_memory}, parts.kept.ids()
    for stored in summaries.latest(parts.ledger_file, MAX_ROWS if wanted.terms else limit, before):
        if stored["id"] not in seen:
            row = {**rows.ledger_row(stored), "is_on_disk": stored["id"] in on_disk}
            if wanted.fits(row, str):
                found[row["id"]] = row
    return sorted(found.values(), key=lambda row: row["started"], reverse=True)[:limit]


def row_of(record: Record, parts: RequestParts) -> rows.Row:
    """Return a request's row, with why the cache missed, which is computed once, when the request has ended."""
    prices = parts.prices()
    missed = cache_miss.explained(record, parts.capture.all(), prices)
    return {**rows.row_of(record, prices), "cache_miss": missed and missed["sentence"]}


def attached(answered: Answered, name: str) -> Answered:
    """Return an answer that a browser saves as a file."""
    answered[0].headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answered


def base_url() -> str:
    """Return the base URL of this proxy for tools."""
    return f"http://{request.host}/v1"


def capture_state(parts: RequestParts) -> dict[str, Any]:
    """Return whether bodies are held, and how much room they take."""
    capture = parts.capture
    limits = capture.limits
    records: list[Record] = capture.all()
    return {
        "is_on": limits.is_on,
        "is_paused": capture.is_paused,
        "held_bytes": capture.held_bytes,
        "budget_bytes": limits.budget_bytes,
        "requests": sum(record.is_captured for record in records),
        "max_requests": limits.requests,
        "disk": kept_state(parts.kept),
    }
