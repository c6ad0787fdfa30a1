"""The loop for streams: an answer whose chunks come from one round after another. Lives on the event loop."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from proxy.errors.proxy_error import ProxyError, ServerFault
from proxy.errors.upstream import UpstreamFailure, UpstreamInvalidEvent, UpstreamInvalidResponse
from proxy.http.answer import Answer
from proxy.stream.keep_alive import KEEP_ALIVE
from proxy.stream.sse import Event, EventSplitter
from proxy.tools.loop.request import Turn, sum_usage
from proxy.tools.loop.session import Session
from proxy.tools.tool import CallRecord, JsonObject

KEEP_ALIVE_EVERY_S = 2.0
MAX_EVENT_BYTES = 64 * 1_048_576
LINGER_S = 0.2  # so long an upstream may take to end its answer after the last event, to keep its connection

log = logging.getLogger(__name__)


class Editor(Protocol):
    """What follows the events of all rounds of one kind of stream."""

    turn_is_over: bool
    is_broken: bool

    @property
    def turn(self) -> Turn | None:
        """Return the turn, once it is known to need results of ours."""

    def begin_round(self) -> None:
        """Expect the events of another turn."""

    def feed(self, event: Event) -> bytes:
        """Return what goes to the client in the place of an event."""

    def finish_mixed(self, records: Sequence[CallRecord]) -> bytes:
        """Keep the results of a turn of both sides, and return the end of the client's stream."""

    def follow_up(self, records: Sequence[CallRecord]) -> JsonObject:
        """Take the results of a turn of ours alone, and return the changes for the next request."""

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """Write an error object as these streams have it."""


class LoopedAnswer(Answer):
    """A stream over several rounds. Comments are sent while it waits for tools or for the next round's first byte."""

    def __init__(self, first: Answer, session: Session, editor: Editor) -> None:
        self.status = first.status
        self.headers = first.headers.without("content-length")
        self._session = session
        self._editor = editor
        self._between: asyncio.Task[Answer | bytes] | None = None  # what is done between two rounds
        self._is_over = False
        self._failure: UpstreamFailure | None = None
        self._counted: Mapping[str, Any] | None = None  # in the rounds that are over
        self._take_up(first)

    @property
    def failure(self) -> UpstreamFailure | None:
        """Return what broke the stream off."""
        return self._failure or self._current.failure

    @property
    def usage(self) -> Mapping[str, Any] | None:
        """Return what all rounds have counted so far."""
        return counted(self._counted, self._current.usage)

    @property
    def at_border(self) -> bool:
        """Tell that a comment may follow: only whole events are given out."""
        return True

    def broken_off(self, failure: UpstreamFailure) -> bytes:
        """Return an error event: nothing more comes."""
        return self._editor.error_event(fields_of(failure))

    async def next_chunk(self) -> bytes:
        """Return the next events, b"" at the end. A failure is told in them: who is cut off may ask again."""
        try:
            while not self._is_over:
                given = await self._wait_between() if self._between else await self._pass_on()
                if given:
                    return given
        except ProxyError as error:
            return self._break_off(fields_of(error), error)
        except Exception:
            log.exception("%s failed within its stream", self._session.request.request_id)
            return self._break_off(fields_of(ServerFault()), ServerFault())
        return b""

    def close(self) -> None:
        """Let go of the upstream, and of the tools that still run."""
        self._is_over = True
        self._current.close()
        if self._between is not None and not self._between.cancel():
            self._between.add_done_callback(close_unused)

    def _take_up(self, answer: Answer) -> None:
        self._current = answer
        self._left = answer.body  # of an answer that is here already
        self._splitter = EventSplitter()

    async def _pass_on(self) -> bytes:
        """Return what the client sees of the next chunk of this round."""
        chunk = await self._current.next_chunk() if self._left is None else self._left
        self._left = b"" if self._left is not None else None
        rest = self._splitter.end() if not chunk else None
        events = self._splitter.feed(chunk) if chunk else [rest] if rest else []
        if self._splitter.open_bytes > MAX_EVENT_BYTES:
            raise UpstreamInvalidEvent("it is longer than any event")
        given = b"".join([self._editor.feed(event) for event in events])
        editor = self._editor
        if editor.turn is not None and not editor.is_broken and (editor.turn_is_over or not chunk):
            self._between = asyncio.get_running_loop().create_task(self._go_on(editor.turn))
        elif not chunk:
            self._is_over = True
        return given

    async def _go_on(self, turn: Turn) -> Answer | bytes:
        """Run the tools and return the next round's answer, or the end of the stream where the client is to go on."""
        is_mixed = bool(turn.clients)
        records, _ = await asyncio.gather(self._session.run(turn.ours, is_mixed=is_mixed), self._let_go())
        if is_mixed:
            return self._editor.finish_mixed(records)
        changes = self._editor.follow_up(records)
        self._editor.begin_round()
        return await self._session.request_turn(changes)

    async def _let_go(self) -> None:
        """Give the upstream a moment to end its answer: then its connection can be used again."""
        with suppress(UpstreamFailure, asyncio.TimeoutError):
            await asyncio.wait_for(self._current.next_chunk(), LINGER_S)
        self._current.close()

    async def _wait_between(self) -> bytes:
        """Return a comment while there is nothing yet, and then what comes after."""
        assert self._between is not None  # noqa: S101  asked before
        done, _ = await asyncio.wait({self._between}, timeout=KEEP_ALIVE_EVERY_S)
        if not done:
            return KEEP_ALIVE
        between, self._between = self._between, None
        answer = between.result()
        if isinstance(answer, bytes):
            self._is_over = True
            return answer
        if is_stream(answer):
            self._counted = self.usage
            self._take_up(answer)
            return b""
        return self._refused(answer)

    def _refused(self, answer: Answer) -> bytes:
        """Tell in the stream what the upstream answered to a later round in place of one."""
        answer.close()
        try:
            error = json.loads(answer.body or b"")["error"] if answer.status >= 400 else None
        except (ValueError, KeyError, TypeError, RecursionError):
            error = None
        failure = UpstreamInvalidResponse(f"status {answer.status} where the stream was to go on")
        return self._break_off(error if isinstance(error, dict) else fields_of(failure), failure)

    def _break_off(self, error: Mapping[str, Any], why: ProxyError) -> bytes:
        log.warning("%s broke off: %s", self._session.request.request_id, why)
        self._is_over = True
        self._failure = why if isinstance(why, UpstreamFailure) else None
        return self._editor.error_event(error)


def close_unused(between: "asyncio.Task[Answer | bytes]") -> None:
    """Close the answer of a round that came when nobody wanted it any more."""
    answer = None if between.cancelled() or between.exception() else between.result()
    if answer is not None and not isinstance(answer, bytes):
        answer.close()


def fields_of(error: ProxyError) -> Mapping[str, Any]:
    """Return an error of ours as the API's object."""
    fields: Mapping[str, Any] = json.loads(error.body())["error"]
    return fields


def counted(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Add what two rounds counted."""
    total: Mapping[str, Any] | None = sum_usage(before and dict(before), now and dict(now))
    return total


def is_stream(answer: Answer) -> bool:
    """Tell whether an answer is a stream of events."""
    kind = answer.headers.get("content-type")
    is_document = answer.body is not None or kind.startswith("application/json")  # a long one is still arriving
    return answer.status == 200 and (kind.startswith("text/event-stream") or not is_document)
