"""What the client sees of the events of all rounds: one response, without our calls, its events numbered through."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.errors.upstream import UpstreamInvalidEvent
from proxy.stream.event_json import read_object, write_event
from proxy.stream.responses import LAST, error_event
from proxy.stream.sse import Event
from proxy.tools.arguments import arguments_in
from proxy.tools.loop import responses
from proxy.tools.loop.argument_events import ArgumentEvents, with_arguments
from proxy.tools.loop.offer import objects
from proxy.tools.loop.request import sum_usage
from proxy.tools.loop.responses import ResponseTurn
from proxy.tools.loop.session import Session
from proxy.tools.tool import CallRecord, JsonObject

MAX_ITEMS_BYTES = 64 * 1_048_576
OPENING = ("response.created", "response.in_progress", "response.queued")
DELTA = re.compile(rb'"type"\s*:\s*"response\.(?:output_text|refusal|reasoning\w*)\.delta"')


class ResponsesEditor:
    """Follow the events of one round after another."""

    def __init__(self, session: Session, fields: JsonObject) -> None:
        self._session = session
        self._fields = fields
        self._head: JsonObject = {}  # the first round's id and time
        self._number = 0  # of the next event
        self._items_shown = 0
        self._is_shifted = False  # something was left out, so that indices and numbers are our own
        self._turns: list[tuple[ResponseTurn, Sequence[JsonObject]]] = []
        self._shown: list[JsonObject] = []  # the visible items of the rounds that are over
        self._usage: Any = None
        self._round = 0
        self.begin_round()

    def begin_round(self) -> None:
        """Expect the events of another turn."""
        self._round += 1
        self._indices: dict[int, int | None] = {}  # the client's index of an item, None for one of ours
        self._told = ArgumentEvents()
        self._items: list[JsonObject] = []
        self._items_bytes = 0
        self._last: JsonObject = {}
        self.turn: ResponseTurn | None = None
        self.turn_is_over = False
        self.is_broken = False

    def feed(self, event: Event) -> bytes:
        """Return what goes to the client in the place of an event."""
        data = event.data
        if data is None:
            return event.raw
        if not self._is_shifted and DELTA.search(data):
            self._number += 1
            return event.raw
        value = read_object(data)
        if value is None:
            return b"" if self._round > 1 or self.turn_is_over else event.raw
        kind = str(value.get("type") or event.name)
        if kind == "error" or (value.get("error") and "response" not in value):
            self.is_broken = True
            return self._write(kind, value)
        return self._edit(kind, value, len(data))

    def finish_mixed(self, records: Sequence[CallRecord]) -> bytes:
        """Keep the results of a turn of both sides, and return the end of the client's stream."""
        turn, session = self._ended_turn(), self._session
        turns = [*self._turns, (turn, responses.output_items(turn, records))]
        responses.keep(session.mixed_turns, session.request.caller, turns, session.offer)
        return self._finish()

    def follow_up(self, records: Sequence[CallRecord]) -> JsonObject:
        """Take the results of a turn of ours alone, and return the changes for the next request."""
        turn, session = self._ended_turn(), self._session
        outputs = responses.output_items(turn, records)
        self._turns.append((turn, outputs))
        self._shown += turn.visible(session.offer)
        self._usage = sum_usage(self._usage, self._last.get("response", {}).get("usage"))
        session.trail += responses.turn_items(self._fields, turn, records, session.offer)
        return {**responses.next_changes(self._fields, session.trail, outputs), **session.choice()}

    def error_event(self, error: Mapping[str, Any]) -> bytes:
        """Write an error object as these streams have it."""
        return error_event(error, self._number)

    def _ended_turn(self) -> ResponseTurn:
        assert self.turn is not None  # noqa: S101  only a turn that wanted results has records
        return self.turn

    def _edit(self, kind: str, value: JsonObject, size_bytes: int) -> bytes:
        if kind in OPENING:
            return self._open(kind, value)
        if kind in LAST:
            return self._end(kind, value)
        if isinstance(item := value.get("item"), dict):
            self._note_item(kind, value.get("output_index"), item, size_bytes)
        self._told.note(kind, value)
        index = value.get("output_index")
        if isinstance(index, int):
            shown = self._indices.get(index, index)
            if shown is None:
                return b""
            value = {**value, "output_index": shown}
        return self._write(kind, value)

    def _open(self, kind: str, value: JsonObject) -> bytes:
        if self._round > 1:
            return b""
        response = value.get("response")
        if isinstance(response, dict):
            if not self._head and isinstance(first := value.get("sequence_number"), int):
                self._number = first  # most upstreams count from 0, some from 1
            self._head = {name: response[name] for name in ("id", "created_at") if name in response}
            value = {**value, "response": responses.without_ours(response, self._fields, self._session.offer)}
        return self._write(kind, value)

    def _note_item(self, kind: str, index: object, item: JsonObject, size_bytes: int) -> None:
        is_ours = responses.is_our_call(item, self._session.offer)
        if kind == "response.output_item.done":
            settled = self._told.settle(index, item)
            self._items.append(settled if is_ours else item)
            self._items_bytes += size_bytes
            if self._items_bytes > MAX_ITEMS_BYTES:
                raise UpstreamInvalidEvent("its items are larger than any response")
        if not isinstance(index, int) or index in self._indices:
            return
        if is_ours:
            self._indices[index] = None
            self._is_shifted = True
        else:
            self._indices[index] = self._items_shown
            self._items_shown += 1

    def _end(self, kind: str, value: JsonObject) -> bytes:
        response = value.get("response")
        response = response if isinstance(response, dict) else {}
        items = [self._settled(*each) for each in enumerate(objects(response.get("output")))] or self._items
        turn = responses.read_turn(items, response.get("status"), self._session.offer)
        self._last = {**value, "type": kind, "response": {**response, "output": items}}
        if turn.wants_results and self._session.may_run:
            self.turn, self.turn_is_over, self._is_shifted = turn, True, True
            return b""
        if not self._session.may_run and turn.leaves_open:
            return self._tell_limit() + self._finish()
        return self._finish()

    def _tell_limit(self) -> bytes:
        """Add an item that tells the user why there is no answer."""
        item = responses.message_item(self._session.limit_told)
        told = b"".join(
            self._write(event["type"], event) for event in responses.message_events(item, self._items_shown)
        )
        self._items_shown += 1
        response = self._last["response"]
        self._last = {**self._last, "response": {**response, "output": [*response["output"], item]}}
        return told

    def _settled(self, index: int, item: JsonObject) -> JsonObject:
        """Return an item of the last event; what was told of a call of ours before is held against it."""
        if not responses.is_our_call(item, self._session.offer):
            return item
        same = [known for known in self._items if responses.id_of_call(known) == responses.id_of_call(item)]
        return with_arguments(self._told.settle(index, item), *map(arguments_in, same))

    def _finish(self) -> bytes:
        """Return the last event: the whole response, under the name it began with."""
        response = self._last["response"]
        merged = responses.merge(response, self._fields, self._session.offer, self._shown, self._usage)
        if self._head.get("id") and response.get("id") and self._head["id"] != response["id"]:
            self._session.response_ids.note(str(self._head["id"]), str(response["id"]))
        return self._write(str(self._last["type"]), {**self._last, "response": {**merged, **self._head}})

    def _write(self, kind: str, value: JsonObject) -> bytes:
        if "sequence_number" in value:
            value = {**value, "sequence_number": self._number}
        self._number += 1
        return write_event(value, kind)
