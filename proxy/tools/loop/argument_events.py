"""What a stream of a response tells of the arguments of a call: in pieces, whole, in the item, in the last event.

Where two of them differ nobody knows which the model gave. Then the call has all of them, one behind the other: no
object, so that the model is told, and nothing runs.
"""

from proxy.tools.arguments import agreed, arguments_in, join_pieces, text_of
from proxy.tools.tool import JsonObject

PIECE = "response.function_call_arguments.delta"
WHOLE = "response.function_call_arguments.done"


class ArgumentEvents:
    """Follow the calls of one turn."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[object]] = {}
        self._whole: dict[str, object] = {}

    def note(self, kind: str, event: JsonObject) -> None:
        """Take what an event tells, where it is about arguments."""
        place = place_of(event.get("output_index"), event.get("item_id"))
        if kind == PIECE:
            piece = event.get("delta")
            if piece not in (None, ""):
                self._pieces.setdefault(place, []).append(piece)
        elif kind == WHOLE:
            self._whole[place] = join_pieces(self._whole.get(place), event.get("arguments"))

    def settle(self, index: object, call: JsonObject) -> JsonObject:
        """Return a call with what was told of its arguments beside it; what was told is then used up."""
        place = place_of(index, call.get("id"))
        told = ["".join(map(text_of, self._pieces.pop(place, ()))), text_of(self._whole.pop(place, None))]
        return with_arguments(call, *told)


def place_of(index: object, item_id: object) -> str:
    """Return which item is meant: some upstreams count them, others name them."""
    return f"{index if isinstance(index, int) else item_id}"


def with_arguments(call: JsonObject, *texts: str) -> JsonObject:
    """Return a call with the arguments that it and other places tell."""
    own = arguments_in(call)
    text = agreed((*texts, own))
    return call if text == own else {**call, "arguments": text}
