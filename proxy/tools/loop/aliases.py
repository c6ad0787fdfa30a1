"""Under which id a response of several rounds goes on upstream: the client knows it by the first round's id."""

import threading
from collections import OrderedDict

from proxy.tools.tool import JsonObject

MOST_ALIASES = 4_096
CHAIN = "previous_response_id"


class Aliases:
    """Remember the last of them. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ids: OrderedDict[str, str] = OrderedDict()

    def note(self, first_id: str, last_id: str) -> None:
        """Remember that a response the client knows by one id ended under another."""
        with self._lock:
            self._last_ids[first_id] = last_id
            if len(self._last_ids) > MOST_ALIASES:
                self._last_ids.popitem(last=False)

    def changes(self, fields: JsonObject) -> JsonObject:
        """Return the change that makes a request go on from where the upstream ended; {} where none is due."""
        last_id = self._last_ids.get(str(fields.get(CHAIN) or ""))
        return {CHAIN: last_id} if last_id else {}
