"""Put the pieces of a streamed turn together: the calls as they come, the message when it is needed."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from proxy.stream.event_json import read_object
from proxy.tools.arguments import NAMES, arguments_in, is_whole, join_pieces, meaning_of
from proxy.tools.loop.chat import CARRIED, ChatTurn, holder_of, read_turn
from proxy.tools.loop.offer import name_of, objects
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
        holder = holder_of(part)
        for key, value in part.items():
            if key in NAMES or (key == "name" and holder is part):
                self._add_to_function(key, value)
            elif key not in ("index", "function") and value not in (None, ""):
                self.raw[key] = value
        for key, value in () if holder is part else holder.items():
            self._add_to_function(key, value)

    def decide(self, offer: Offer, *, is_last: bool = False) -> None:
        """Find out whose it is, as soon as that is certain."""
        if self.raw.get("type") not in (None, "function"):
            self.is_ours = False
        elif (is_last and self._says_something()) or (self.name and self._is_named(offer)):
            self.is_ours = offer.is_ours(self.name)

    def _is_named(self, offer: Offer) -> bool:
        """Tell whether its name has fully come."""
        return arguments_in(self._function) != "" or not offer.may_become(self.name)

    def _says_something(self) -> bool:
        return bool(self.name or self.raw.get("id") or arguments_in(self._function))

    @property
    def _function(self) -> JsonObject:
        function: JsonObject = self.raw.get("function", {})
        return function

    def _add_to_function(self, key: str, value: Any) -> None:
        function = self.raw.setdefault("function", {})
        before = function.get(key)
        if key in NAMES:
            function[key] = join_pieces(before, value)
        elif not isinstance(value, str) or not isinstance(before, (str, type(None))):
            function.setdefault(key, value)
        elif key != "name" or before != value:  # some upstreams repeat the name in every piece
            function[key] = (before or "") + value


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
        call = self._call_of(part)
        if call is None or is_another(call, part):
            call = GrowingCall()
            index = part.get("index")
            self._by_index[index if isinstance(index, int) else len(self.all)] = call
            self.all.append(call)
        call.add(part)
        if call.is_ours is None:
            call.decide(self._offer)
        return call

    def _call_of(self, part: JsonObject) -> GrowingCall | None:
        """Return the call a piece goes on with, None where it begins one."""
        index, call_id, last = part.get("index"), part.get("id"), self.all[-1] if self.all else None
        if isinstance(index, int):
            call = self._by_index.get(index)
            # What has neither id nor name begins no call, whatever its index: without this the last one would lack it.
            is_rest = not call_id and not name_of(holder_of(part)) and arguments_in(holder_of(part)) != ""
            return call or (last if is_rest else None)
        if call_id:  # some upstreams count nothing: an id begins a call, what has none goes on
            return next((call for call in self.all if call.raw.get("id") == call_id), None)
        return last

    def settle(self) -> list[GrowingCall]:
        """Decide about those whose names could have gone on, now that nothing more comes; return them."""
        open_ones = [call for call in self.all if call.is_ours is None]
        for call in open_ones:
            call.decide(self._offer, is_last=True)
            call.is_ours = bool(call.is_ours)
        return open_ones


def is_another(call: GrowingCall, part: JsonObject) -> bool:
    """Tell whether a piece begins another call under the same index, as some upstreams count."""
    if part.get("id") and "id" in call.raw:
        return bool(part["id"] != call.raw["id"])
    # A whole call behind a whole call. The same one again may be no second one: together they are told as unreadable.
    new, old = holder_of(part), call.raw.get("function", {})
    if not name_of(new) or not is_whole(arguments_in(new)) or not is_whole(arguments_in(old)):
        return False
    return name_of(new) != name_of(old) or meaning_of(arguments_in(new)) != meaning_of(arguments_in(old))


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
