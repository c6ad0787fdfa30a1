"""Under which id a response of several rounds goes on upstream: the client knows it by the first round's id."""

import threading

from cachetools import LRUCache

from proxy.tools.tool import JsonObject

MAX_RESPONSES = 4_096
PREVIOUS_ID = "previous_response_id"


class ResponseIds:
    """Remember the last of them. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ids: LRUCache[str, str] = LRUCache(MAX_RESPONSES)

    def note(self, first_id: str, last_id: str) -> None:
        """Remember that a response the client knows by one id ended under another."""
        with self._lock:
            self._last_ids[first_id] = last_id

    def changes(self, fields: JsonObject) -> JsonObject:
        """Return the change that makes a request go on from where the upstream ended; {} where none is due."""
        with self._lock:
            last_id = self._last_ids.get(str(fields.get(PREVIOUS_ID) or ""))
        return {PREVIOUS_ID: last_id} if last_id else {}
