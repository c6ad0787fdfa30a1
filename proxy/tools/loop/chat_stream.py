"""What the client sees of the chunks of all rounds: one completion, without our calls.

In the first round a chunk that is not about calls or the end passes as it came.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.stream.event_json import read_object, write_event
from proxy.stream.sse import Event
from proxy.tools.loop import chat
from proxy.tools.loop.chat import BETWEEN_TEXTS, CALLED, ChatTurn
from proxy.tools.loop.deltas import GrowingCall, GrowingCalls, SaidSoFar, assemble_turn
from proxy.tools.loop.mixed_turns import key_for
from proxy.tools.loop.offer import objects
from proxy.tools.loop.request import sum_usage
from proxy.tools.loop.session import Session
from proxy.tools.tool import CallRecord, JsonObject

DONE = b"[DONE]"
MAX_HELD_BYTES = 1_048_576  # of what follows the end of a turn: its usage, and the last event
TELLING = re.compile(rb'"tool_calls"|"function_call"|"role"|"error"|"(?:finish_reason|usage)"\s*:\s*["{]|\[DONE\]')


class ChatEditor:
    """Follow the chunks of one round after another."""

    def __init__(self, session: Session, fields: JsonObject) -> None:
        self._session = session
        self._fields = fields
        self._head: JsonObject = {}  # the first round's id and created
        self._role_shown = False
        self._text_shown = False
        self._calls_shown = 0
        self._usage: Any = None  # of the rounds that are over
        self._number = 0
        self.begin_round()

    def begin_round(self) -> None:
        """Expect the chunks of another turn."""
        self._number += 1
        self._said = SaidSoFar()
        self._has_text = False  # this round has said something
        self._closing: bytes = b""  # what is told just before the end
        self._held_bytes = 0
        self._calls = GrowingCalls(self._session.offer)
        self._separates = self._text_shown
        self._usage_now: Any = None
        self._leaves_open = False  # the turn ends at the limit, and the user has no answer
        self._held: list[bytes] | None = None  # what follows the end of a turn whose calls we run
        self.turn: ChatTurn | None = None  # set once the turn is known to need results of ours
        self.turn_is_over = False
        self.is_broken = False  # an error has been told; nothing good follows

    def feed(self, event: Event) -> bytes:
        """Return what goes to the client in the place of an event."""
        data = event.data
        if data is None:
            return event.raw
        self._said.note(data)
        if self._number == 1 and self._head and self._held is None and not TELLING.search(data):
            return event.raw
        if data.strip() == DONE:
            return self._end(event)
        value = read_object(data)
        if value is None or event.name == "error" or value.get("error"):
            self.is_broken = value is not None
            return event.raw
        return self._edit(event, value)

    def finish_mixed(self, records: Sequence[CallRecord]) -> bytes:
        """Keep the results of a turn of both sides, and return the end of the client's stream."""
        turn, request = self.turn, self._session.request
        assert turn is not None  # noqa: S101  only a turn that wanted results has records
        key = key_for(request.caller, turn.clients, chat.asked(self._fields["messages"]))
        self._session.mixed_turns.keep(key, [*self._session.trail, *chat.turn_items(turn, records)])
        return b"".join(self._held or ())

    def follow_up(self, records: Sequence[CallRecord]) -> JsonObject:
        """Take the results of a turn of ours alone, and return the changes for the next request."""
        assert self.turn is not None  # noqa: S101  as above
        self._session.trail += chat.turn_items(self.turn, records)
        self._text_shown = self._text_shown or bool(self.turn.text)
        self._usage = sum_usage(self._usage, self._usage_now)
        return {**chat.next_changes(self._fields, self._session.trail), **self._session.choice()}

    @staticmethod
    def error_event(error: Mapping[str, Any]) -> bytes:
        """Write an error object as these streams have it."""
        return write_event({"error": dict(error)})

    def _end(self, event: Event) -> bytes:
        if self._held is None:
            return event.raw
        self._hold(event.raw, MAX_HELD_BYTES + len(event.raw))
        self.turn_is_over = True
        return b""

    def _edit(self, event: Event, value: JsonObject) -> bytes:
        """Return a chunk as the client sees it, or hold it back."""
        if isinstance(value.get("usage"), dict):
            self._usage_now = value["usage"]
        was_held = self._held is not None
        choices = objects(value.get("choices"))
        if choices and not self._head:  # a prelude without choices has no id worth the name
            self._head = {name: value[name] for name in ("id", "created") if name in value}
        edited = self._edit_choice(choices[0], value, len(event.raw)) if choices else None
        goes_on = self.turn is not None and not self.turn.clients
        if self._number == 1 and not goes_on and (edited is None or edited == choices[0]):
            shown = event.raw
        elif edited is not None and is_empty(edited) and (goes_on or not value.get("usage")):
            shown = b""
        else:
            shown = write_event(self._whole(value, [edited] if edited is not None else [], with_usage=not goes_on))
        shown, self._closing = self._closing + shown, b""
        if self._held is None or (goes_on and not was_held):
            return shown
        self._hold(shown, MAX_HELD_BYTES)
        return b""

    def _hold(self, shown: bytes, limit_bytes: int) -> None:
        """Hold back what follows the end of a turn, as far as there is room."""
        if self._held is not None and self._held_bytes + len(shown) <= limit_bytes:
            self._held.append(shown)
            self._held_bytes += len(shown)

    def _whole(self, value: JsonObject, choices: list[JsonObject], *, with_usage: bool) -> JsonObject:
        whole = {**value, **self._head, "choices": choices}
        if isinstance(value.get("usage"), dict):
            whole["usage"] = sum_usage(self._usage, self._usage_now) if with_usage else None
        return whole

    def _edit_choice(self, choice: JsonObject, value: JsonObject, size_bytes: int) -> JsonObject:
        delta = dict(choice["delta"]) if isinstance(choice.get("delta"), dict) else {}
        shown = [
            self._shown(self._calls.add(part, size_bytes), part) for part in objects(delta.pop("tool_calls", None))
        ]
        finish = choice.get("finish_reason") or None  # an empty word is taken for an end by some clients
        if finish:
            shown += [self._shown(call, {}) for call in self._calls.settle()]
            finish = self._finish(str(finish), has_text=self._has_text or bool(delta.get("content")))
            if finish and self._leaves_open:
                told = (BETWEEN_TEXTS if self._text_shown or self._has_text else "") + self._session.limit_told
                ahead = {**choice, "delta": {"content": told}, "finish_reason": None}
                self._closing = write_event({**self._whole(value, [ahead], with_usage=False)})
        left = [part for part in shown if part is not None]
        if left:
            delta["tool_calls"] = left
        self._edit_role(delta, has_lost=len(left) < len(shown))
        self._has_text = self._has_text or bool(delta.get("content"))
        if self._separates and isinstance(delta.get("content"), str) and delta["content"]:
            delta["content"] = BETWEEN_TEXTS + delta["content"]
            self._separates = False
        return {**choice, "delta": delta, **({"finish_reason": finish} if "finish_reason" in choice else {})}

    def _edit_role(self, delta: JsonObject, *, has_lost: bool) -> None:
        if self._role_shown or not delta.get("role"):
            delta.pop("role", None)
        elif "role" in delta:
            self._role_shown = True
            if has_lost and delta.get("content") is None:  # a first delta without content breaks one client
                delta["content"] = ""

    def _shown(self, call: GrowingCall, part: JsonObject) -> JsonObject | None:
        """Return what the client sees of a piece of a call: nothing of ours, and its own counted from 0."""
        if call.is_ours is not False:
            return None
        if call.shown_as is None:
            call.shown_as = self._calls_shown
            self._calls_shown += 1
            part = call.raw  # with what had to wait until the name was whole
        return {**without_empty(part), "index": call.shown_as}

    def _finish(self, finish: str, *, has_text: bool) -> str | None:
        """Return the client's reason for the end, None where the turn goes on with results of ours."""
        is_open = (self._calls.has_ours or not has_text) and not self._calls.has_clients
        self._leaves_open = is_open and finish in CALLED and not self._session.may_run
        if not self._calls.has_ours:
            return finish
        is_clients_too = self._calls.has_clients
        if finish not in CALLED or not self._session.may_run:
            return finish if is_clients_too or finish != "tool_calls" else "stop"
        self.turn = assemble_turn(self._said.message(), self._calls, finish, self._session.offer)
        self._held = []
        return finish if is_clients_too else None


def without_empty(part: JsonObject) -> JsonObject:
    """Return a piece of a call without an empty id or name: some clients take them for the call's own."""
    kept = {key: value for key, value in part.items() if key not in ("id", "type") or value}
    if isinstance(function := kept.get("function"), dict) and not function.get("name"):
        kept["function"] = {key: value for key, value in function.items() if key != "name"}
    return kept


def is_empty(choice: JsonObject) -> bool:
    """Tell whether a choice says nothing."""
    return not choice.get("finish_reason") and not any(choice["delta"].values())
