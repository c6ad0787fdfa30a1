"""Put the pieces of a streamed turn together: the calls as they come, the message when it is needed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from proxy.errors.upstream import UpstreamInvalidEvent
from proxy.stream.event_json import read_object
from proxy.tools.arguments import NAMES, arguments_in, is_whole, join_pieces, meaning_of, text_of
from proxy.tools.loop.chat import CARRIED, ChatTurn, holder_of, read_turn
from proxy.tools.loop.offer import name_of, objects
from proxy.tools.loop.request import Offer
from proxy.tools.tool import JsonObject

MAX_UNREAD_BYTES = 65_536
MAX_SAID_BYTES = 1_048_576
MAX_CALLS = 1_024  # in one turn
MAX_CALLS_BYTES = 16 * 1_048_576  # all pieces of all calls of a turn


@dataclass
class GrowingCall:
    """A call that is still arriving, and what is known of whose it is."""

    head: JsonObject = field(default_factory=dict)  # all but what has come of the arguments since they were last joined
    _late: dict[str, list[str]] = field(default_factory=dict)
    is_ours: bool | None = None  # None: its name has not fully come
    shown_as: int | None = None  # the client's index, once it has been shown any of it

    @property
    def name(self) -> str:
        """Return as much of its name as has come."""
        return name_of({"type": "function", **self.head})

    @property
    def raw(self) -> JsonObject:
        """Return all that has come of it."""
        function = self.head.get("function", {})
        for key, pieces in self._late.items():
            function[key] = text_of(function.get(key)) + "".join(pieces)
        self._late.clear()
        return self.head

    def add(self, part: JsonObject) -> None:
        """Take one more piece."""
        holder = holder_of(part)
        for key, value in part.items():
            if key in NAMES or (key == "name" and holder is part):
                self._add_to_function(key, value)
            elif key not in ("index", "function") and value not in (None, ""):
                self.head[key] = value
        for key, value in () if holder is part else holder.items():
            self._add_to_function(key, value)

    def decide(self, offer: Offer, *, is_last: bool = False) -> None:
        """Find out whose it is, as soon as that is certain."""
        if self.head.get("type") not in (None, "function"):
            self.is_ours = False
        elif (is_last and self._says_something()) or (self.name and self._is_named(offer)):
            self.is_ours = offer.is_ours(self.name)

    def _is_named(self, offer: Offer) -> bool:
        """Tell whether its name has fully come."""
        return arguments_in(self._function) != "" or not offer.may_become(self.name)

    def _says_something(self) -> bool:
        return bool(self.name or self.head.get("id") or arguments_in(self._function))

    @property
    def _function(self) -> JsonObject:
        function: JsonObject = self.raw.get("function", {})
        return function

    def _add_to_function(self, key: str, value: Any) -> None:
        function = self.head.setdefault("function", {})
        before = function.get(key)
        if key in NAMES and before not in (None, ""):
            self._late.setdefault(key, []).append(text_of(value))
        elif key in NAMES:
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
        self._bytes = 0

    @property
    def has_ours(self) -> bool:
        """Tell whether any of them is ours to answer."""
        return any(call.is_ours for call in self.all)

    @property
    def has_clients(self) -> bool:
        """Tell whether any of them is the client's."""
        return any(call.is_ours is False for call in self.all)

    def add(self, part: JsonObject, size_bytes: int = 0) -> GrowingCall:
        """Take a piece, and return the call it belongs to; raises UpstreamInvalidEvent where there are too many."""
        self._bytes += size_bytes
        if len(self.all) >= MAX_CALLS or self._bytes > MAX_CALLS_BYTES:
            raise UpstreamInvalidEvent("it makes more calls, or longer ones, than a turn can hold")
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
            return next((call for call in self.all if call.head.get("id") == call_id), None)
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
    if part.get("id") and "id" in call.head:
        return bool(part["id"] != call.head["id"])
    # A whole call behind a whole call. The same one again may be no second one: together they are told as unreadable.
    new = holder_of(part)
    if not name_of(new) or not is_whole(arguments_in(new)):
        return False
    old = call.raw.get("function", {})  # joined here alone: done for each piece, a long call would take minutes
    if not is_whole(arguments_in(old)):
        return False
    return name_of(new) != name_of(old) or meaning_of(arguments_in(new)) != meaning_of(arguments_in(old))


class SaidSoFar:
    """What a turn says beside its calls. Most turns call nothing, so that it is read only when there is much of it.

    What is kept is bounded: of a longer text its beginning goes back with the results.
    """

    def __init__(self) -> None:
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._said: dict[str, list[Any]] = {}  # the pieces of each member
        self._said_bytes = 0

    def note(self, data: bytes) -> None:
        """Take the data of a chunk."""
        if self._said_bytes > MAX_SAID_BYTES:
            return
        self._unread.append(data)
        self._unread_bytes += len(data)
        if self._unread_bytes > MAX_UNREAD_BYTES:
            self._read()

    def message(self) -> JsonObject:
        """Return the members of the message that go back with the results."""
        self._read()
        return {name: joined(pieces) for name, pieces in self._said.items()}

    def _read(self) -> None:
        pieces: dict[str, list[Any]] = {}
        for data in self._unread:
            for choice in objects((read_object(data) or {}).get("choices")):
                delta = choice.get("delta")
                for name in CARRIED:
                    if isinstance(delta, dict) and delta.get(name) is not None:
                        pieces.setdefault(name, []).append(delta[name])
        for name, told in pieces.items():
            piece = joined(told)
            self._said.setdefault(name, []).append(piece)
            self._said_bytes += len(piece) if isinstance(piece, str) else self._unread_bytes
        self._unread, self._unread_bytes = [], 0


def assemble_turn(message: JsonObject, calls: GrowingCalls, finish: str, offer: Offer) -> ChatTurn:
    """Return the turn that said this and made these calls."""
    return read_turn({**message, "tool_calls": [{"type": "function", **call.raw} for call in calls.all]}, finish, offer)


def joined(pieces: Sequence[Any]) -> Any:
    """Join pieces of text, or of a list; of what is neither the last one counts."""
    for kind in (str, list):
        if all(isinstance(piece, kind) for piece in pieces):
            return "".join(pieces) if kind is str else list(chain.from_iterable(pieces))
    return pieces[-1]
