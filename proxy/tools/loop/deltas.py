"""Put the pieces of a streamed turn together: the calls as they come, the message when it is needed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from proxy.stream.reading import read_object
from proxy.tools.loop.chat import CARRIED, ChatTurn, read_turn
from proxy.tools.loop.offering import name_of, objects
from proxy.tools.loop.request import Offer
from proxy.tools.tool import JsonObject


@dataclass
class GrowingCall:
    """A call that is still arriving, and what is known of whose it is."""

    raw: JsonObject = field(default_factory=dict)
    is_ours: bool | None = None  # None: its name has not fully come
    shown_as: int | None = None  # the client's index, once it has been shown any of it

    @property
    def name(self) -> str:
        """Return as much of its name as has come."""
        return name_of({"type": "function", **self.raw})

    def add(self, part: JsonObject) -> None:
        """Take one more piece."""
        for key, value in part.items():
            if key == "function" and isinstance(value, dict):
                self._add_function(value)
            elif key != "index" and value not in (None, ""):
                self.raw[key] = value

    def decide(self, offer: Offer, *, is_last: bool = False) -> None:
        """Find out whose it is, as soon as that is certain."""
        if self.raw.get("type") not in (None, "function"):
            self.is_ours = False
        elif self.name and (is_last or self._has_arguments() or not offer.may_become(self.name)):
            self.is_ours = offer.is_ours(self.name)

    def _has_arguments(self) -> bool:
        return bool(self.raw.get("function", {}).get("arguments"))

    def _add_function(self, part: JsonObject) -> None:
        function = self.raw.setdefault("function", {})
        for key, value in part.items():
            if not isinstance(value, str):
                function.setdefault(key, value)
            elif key != "name" or function.get("name") != value:  # some upstreams repeat the name in every piece
                function[key] = (function.get(key) or "") + value


class GrowingCalls:
    """The calls of one turn."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer
        self._by_index: dict[int, GrowingCall] = {}
        self.all: list[GrowingCall] = []

    @property
    def has_ours(self) -> bool:
        """Tell whether any of them is ours to answer."""
        return any(call.is_ours for call in self.all)

    def add(self, part: JsonObject) -> GrowingCall:
        """Take a piece, and return the call it belongs to."""
        index = part.get("index")
        if not isinstance(index, int):  # some upstreams count nothing: an id begins a call, what has none goes on
            index = max(len(self.all) - (not part.get("id")), 0)
        call = self._by_index.get(index)
        if call is None or is_another(call, part):
            call = self._by_index[index] = GrowingCall()
            self.all.append(call)
        call.add(part)
        if call.is_ours is None:
            call.decide(self._offer)
        return call

    def settle(self) -> list[GrowingCall]:
        """Decide about those whose names could have gone on, now that nothing more comes; return them."""
        open_ones = [call for call in self.all if call.is_ours is None]
        for call in open_ones:
            call.decide(self._offer, is_last=True)
            call.is_ours = bool(call.is_ours)
        return open_ones


def is_another(call: GrowingCall, part: JsonObject) -> bool:
    """Tell whether a piece begins another call under the same index, as some upstreams count."""
    return bool(part.get("id")) and "id" in call.raw and part["id"] != call.raw["id"]


def assemble_turn(seen: Iterable[bytes], calls: GrowingCalls, finish: str, offer: Offer) -> ChatTurn:
    """Return the turn whose chunks were seen."""
    message: JsonObject = {}
    for data in seen:
        for choice in objects((read_object(data) or {}).get("choices")):
            delta = choice.get("delta")
            for name in CARRIED:
                message[name] = joined(message.get(name), delta.get(name) if isinstance(delta, dict) else None)
    message["tool_calls"] = [{"type": "function", **call.raw} for call in calls.all]
    return read_turn(message, finish, offer)


def joined(before: Any, piece: Any) -> Any:
    """Join two pieces of text, or of a list."""
    if piece is None or before is None:
        return before if piece is None else piece
    return before + piece if type(before) is type(piece) and isinstance(piece, (str, list)) else piece
