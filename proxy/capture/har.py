"""Write a request as an HTTP Archive, version 1.2: what the client asked and got, then each sending to an upstream.

The format is http://www.softwareishard.com/blog/har-12-spec/. Headers and addresses are without secrets; the answer's
body is held as the client got it, so that the entries of the sendings have none.
"""

import base64
from collections.abc import Iterable
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from proxy.capture.headers import shown_headers, shown_query, shown_url
from proxy.capture.hiding import Hide
from proxy.capture.record import Attempt, Record
from proxy.http.headers import Headers
from proxy.identity import TITLE, __version__

UNKNOWN = -1
HTTP_VERSION = "HTTP/1.1"


def archive(record: Record, base_url: str, hide: Hide) -> dict[str, Any]:
    """Return the archive; `base_url` is the proxy's own, where the client asked."""
    sent = [attempt_entry(record, attempt, hide) for attempt in list(record.attempts)]
    return {
        "log": {
            "version": "1.2",
            "creator": {"name": TITLE, "version": __version__},
            "entries": [client_entry(record, base_url, hide), *sent],
        }
    }


def client_entry(record: Record, base_url: str, hide: Hide) -> dict[str, Any]:
    """Return what the client asked, and the answer it got."""
    flow = record.flow
    query = shown_query(record.query)
    url = base_url + flow.path + (f"?{query}" if query else "")
    wait_s, whole_s = flow.first_byte_s or 0.0, flow.last_byte_s if flow.last_byte_s is not None else flow.elapsed_s()
    return {
        "startedDateTime": moment(flow.began_at),
        **times(wait_s, max(whole_s - wait_s, 0.0)),
        "request": asked(flow.method, url, record.received, record.body, hide),
        "response": answered(flow.status, record.answer_headers, record.answer_bytes(), hide),
        "cache": {},
        "comment": f"{flow.id}: the client's request to the proxy",
    }


def attempt_entry(record: Record, attempt: Attempt, hide: Hide) -> dict[str, Any]:
    """Return one sending to an upstream, and the head it answered with."""
    until_s = attempt.answered_at_s if attempt.answered_at_s is not None else attempt.at_s
    return {
        "startedDateTime": moment(record.flow.began_at + attempt.at_s),
        **times(until_s - attempt.at_s, 0.0),
        "request": asked(attempt.method, shown_url(attempt.url), attempt.shown, attempt.body, hide),
        "response": answered(attempt.status, attempt.answer_headers, None, hide),
        "cache": {},
        "comment": f"{record.flow.id}: the proxy's request to {attempt.upstream}",
    }


def times(wait_s: float, receive_s: float) -> dict[str, Any]:
    """Return the timings in milliseconds, and their sum; how long sending took is not told apart from waiting."""
    wait_ms, receive_ms = round(wait_s * 1000, 3), round(receive_s * 1000, 3)
    return {
        "time": round(wait_ms + receive_ms, 3),
        "timings": {"send": 0, "wait": wait_ms, "receive": receive_ms},
    }


def asked(method: str, url: str, headers: Headers, body: bytes | None, hide: Hide) -> dict[str, Any]:
    """Return a request."""
    told: dict[str, Any] = {
        "method": method,
        "url": url,
        "httpVersion": HTTP_VERSION,
        "cookies": [],
        "headers": pairs(shown_headers(headers)),
        "queryString": pairs(parse_qsl(url.partition("?")[2], keep_blank_values=True)),
        "headersSize": UNKNOWN,
        "bodySize": len(body or b""),
    }
    if body:
        told["postData"] = {"mimeType": headers.get("content-type"), "params": [], **text_of(body, hide)}
    return told


def answered(status: int | None, headers: Headers, body: bytes | None, hide: Hide) -> dict[str, Any]:
    """Return an answer; status 0 where there was none, as browsers write it."""
    content: dict[str, Any] = {"size": len(body or b""), "mimeType": headers.get("content-type")}
    if body is not None:
        content |= text_of(body, hide)
    known = status in HTTPStatus._value2member_map_
    return {
        "status": status or 0,
        "statusText": HTTPStatus(status).phrase if status and known else "",
        "httpVersion": HTTP_VERSION,
        "cookies": [],
        "headers": pairs(shown_headers(headers)),
        "content": content,
        "redirectURL": "",
        "headersSize": UNKNOWN,
        "bodySize": UNKNOWN if body is None else len(body),
    }


def pairs(named: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Return names and values as an archive has them."""
    return [{"name": name, "value": value} for name, value in named]


def moment(began_at: float) -> str:
    """Return a time of the wall clock as ISO 8601."""
    return datetime.fromtimestamp(began_at, timezone.utc).isoformat(timespec="milliseconds")


def text_of(body: bytes, hide: Hide) -> dict[str, str]:
    """Return a body as text; one that is none as base64, after the keys were taken out of it."""
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        bare = hide(body.decode("latin-1")).encode("latin-1", "replace")
        return {"text": base64.b64encode(bare).decode(), "encoding": "base64"}
