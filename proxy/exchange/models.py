"""Stage: the list of models of all upstreams, with the user's aliases, where there is more than one upstream."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

from proxy.errors.proxy_error import ProxyError
from proxy.errors.upstream import UpstreamFailure, UpstreamInvalidResponse, UpstreamTimeout
from proxy.exchange.choose import UPSTREAM_HEADER
from proxy.exchange.heavy import off_loop
from proxy.exchange.request import Request
from proxy.exchange.stage import Next, Parts, Stage
from proxy.flow.flow import Flow, outcome_of
from proxy.http.answer import Answer, WholeAnswer, whole
from proxy.http.headers import Headers
from proxy.settings.model import Settings
from proxy.settings.upstreams import Upstream
from proxy.stream.event_json import read_object
from proxy.upstream.routing import Target, fits

MODELS = "/models"
LIST_LIMIT_S = 3.0
KEPT_S = 600.0  # so long the last good list stands in for one that is not to be had
STALE = "x-proxy-stale"  # names the upstreams whose lists are not of now
OWNER = "alias"
ROW_BYTES = 300  # about as long as a model is in the list
Row = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listed:
    """The models of an upstream, and when they came, on the monotonic clock."""

    upstream: Upstream
    rows: list[Row]
    at: float
    is_stale: bool = False


class Models(Stage):
    """Answer for all upstreams at once; with one upstream and no alias its own answer passes as it came."""

    kinds = frozenset({"relay"})

    def __init__(self, parts: Parts, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._note_end = parts.note_end
        self._kept: dict[tuple[str, str], Listed] = {}  # the last good list, by the upstream's name and address

    def is_on(self, settings: Settings) -> bool:
        """Tell whether the list is more than one upstream's own."""
        return len(settings.upstreams) > 1 or bool(settings.proxy_aliases)

    async def __call__(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        """Return the list, or one model; raises what `next` raises."""
        head = request.head
        path = head.path.rstrip("/")
        if head.upstream is not None:
            return await next(flow, request)
        if path == MODELS and head.method == "GET":
            return await self._list(flow, request, next)
        if path.startswith(f"{MODELS}/"):
            model = unquote(path.removeprefix(f"{MODELS}/"), errors="surrogateescape")
            return await one_model(flow, request, model, next)
        return await next(flow, request)

    async def _list(self, flow: Flow, request: Request, next: Next) -> Answer:  # noqa: A002
        settings = request.settings
        chosen = settings.chosen_upstream
        upstreams = [chosen, *(upstream for upstream in settings.upstreams if upstream is not chosen)]
        if request.head.caller.upstream_key is not None:  # which is shown to no other
            upstreams = [chosen]
        found = await asyncio.gather(*(self._fetch(upstream, flow, request, next) for upstream in upstreams))
        lists = [each for each in found if isinstance(each, Listed)]
        if not lists and isinstance(found[0], ProxyError):
            raise found[0]
        stale = [each.upstream.label for each in lists if each.is_stale]
        flow.upstream, flow.upstream_status, flow.status = chosen.label, 200, 200
        headers = Headers((("content-type", "application/json"), (UPSTREAM_HEADER, chosen.label)))
        if stale:
            headers = headers.plus((STALE, ", ".join(stale)))
        count = sum(len(each.rows) for each in lists)
        return whole(200, headers, await off_loop(count * ROW_BYTES, written, settings, lists, chosen))

    async def _fetch(self, upstream: Upstream, flow: Flow, request: Request, next: Next) -> Listed | ProxyError:  # noqa: A002
        """Return an upstream's list, the last good one where it has none now, or why there is neither."""
        place = (upstream.name, upstream.base_url)
        own = Flow(flow.method, flow.path, is_own_key=flow.is_own_key)  # several are asked at once for one request
        try:
            asked = replace(request, target=Target(upstream, None))
            body = await asyncio.wait_for(self._ask(own, asked, next), LIST_LIMIT_S)
            rows = await off_loop(len(body), rows_in, body, own.upstream_status)
        except (ProxyError, asyncio.TimeoutError) as error:
            failure = error if isinstance(error, ProxyError) else UpstreamTimeout(f"no list in {LIST_LIMIT_S:.0f} s")
            kept = self._kept.get(place)
            if kept is None or self._clock() - kept.at > KEPT_S:
                log.warning("%s: the models of %s are not listed: %s", flow.id, upstream.label, failure)
                return failure
            log.info("%s: the models of %s are those of before: %s", flow.id, upstream.label, failure)
            return replace(kept, is_stale=True)
        finally:
            flow.attempts += own.attempts
        listed = self._kept[place] = Listed(upstream, rows, self._clock())
        return listed

    async def _ask(self, own: Flow, request: Request, next: Next) -> bytes:  # noqa: A002
        """Return what an upstream answers, and take note of how it is doing; raises as `next`.

        That it is slower than this list waits, or has none, says nothing of it; nor does a list end a rest: what lists
        its models may still fail at every chat.
        """
        try:
            answer = await next(own, request)
            own.status = answer.status
            body = await read_whole(answer)
        except UpstreamFailure as failure:
            own.end(outcome_of(502, failure, is_repaired=False), failure, None)
            self._note_end(own)
            raise
        own.end(outcome_of(answer.status, answer.failure, is_repaired=False), answer.failure, None)
        self._note_end(own)
        return body


def rows_in(body: bytes, status: int) -> list[Row]:
    """Return the models in an upstream's list; raises UpstreamInvalidResponse where it lists none."""
    value = read_object(body)
    data = value.get("data") if value else None
    if not isinstance(data, list):
        raise UpstreamInvalidResponse(f"status {status}, and no list of models")
    return [row for row in data if isinstance(row, dict) and isinstance(row.get("id"), str)]


async def read_whole(answer: Answer) -> bytes:
    """Return an answer's body; raises UpstreamFailure."""
    if answer.body is not None:
        return answer.body
    pieces = []
    try:
        while piece := await answer.next_chunk():
            pieces.append(piece)
    finally:
        answer.close()
    return b"".join(pieces)


async def one_model(flow: Flow, request: Request, model: str, next: Next) -> Answer:  # noqa: A002
    """Return what is known of one model: an alias is ours, a prefix says whom to ask."""
    settings = request.settings
    if model in settings.proxy_aliases and request.head.method in ("GET", "HEAD"):
        body = in_json(alias_row(model, settings))
        flow.status = 200
        return whole(200, Headers((("content-type", "application/json"),)), body)
    prefix, _, rest = model.partition("/")
    upstream = settings.upstream_named(prefix) if rest else None
    if upstream is None:
        return await next(flow, request)
    written_rest = quote(rest, safe="/:@", errors="surrogateescape")
    path = f"{MODELS}/{written_rest}"
    asked = replace(request, target=Target(upstream, None), head=replace(request.head, path=path))
    answer = await next(flow, asked)
    value = read_object(answer.body) if answer.status == 200 and answer.body is not None else None
    if value is None:
        return answer
    row = row_of(Listed(upstream, [], 0.0), value, is_chosen=False)
    return as_json(answer, {**row, "id": model})


def as_json(answer: Answer, value: Row) -> WholeAnswer:
    """Return an answer with another body."""
    return whole(answer.status, answer.headers, in_json(value))


def in_json(value: Row) -> bytes:
    """Return a value as JSON; half characters, of which UTF-8 has none, stay escaped."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")


def row_of(listed: Listed, row: Row, *, is_chosen: bool) -> Row:
    """Return a model as the list has it: with a prefix where it is not the chosen upstream's, and what it lacks."""
    upstream, model = listed.upstream, str(row.get("id", ""))
    filled = {"id": model if is_chosen else f"{upstream.name}/{model}", **{k: v for k, v in row.items() if k != "id"}}
    known = {"context_length": upstream.context_length, "max_output_tokens": upstream.max_output_tokens}
    for name, limits in known.items():
        if filled.get(name) is None and (limit := limit_for(model, limits)) is not None:
            filled[name] = limit
    return {**filled, **{name: value for name, value in defaults(upstream).items() if filled.get(name) is None}}


def defaults(upstream: Upstream) -> Row:
    """Return what some clients need of every model."""
    return {"object": "model", "created": 0, "owned_by": upstream.label}


def limit_for(model: str, limits: dict[str, int]) -> int | None:
    """Return the limit whose pattern fits first."""
    return next((limit for pattern, limit in limits.items() if fits(model.lower(), pattern.lower())), None)


def written(settings: Settings, lists: list[Listed], chosen: Upstream) -> bytes:
    """Return the list of all as JSON: aliases, then each upstream's."""
    rows = [alias_row(name, settings) for name in settings.proxy_aliases]
    rows += [row_of(each, row, is_chosen=each.upstream is chosen) for each in lists for row in each.rows]
    return in_json({"object": "list", "data": rows})


def alias_row(name: str, settings: Settings) -> Row:
    """Return an alias as the list has it."""
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": OWNER,
        "aliases_for": list(settings.proxy_aliases[name]),
    }
