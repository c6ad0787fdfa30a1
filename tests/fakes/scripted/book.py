"""What the scripted upstream answers and remembers; shared by its loop and the test's thread behind one lock."""

import threading
from collections.abc import Callable, Sequence

from fakes.scripted.answers import Answer, Json
from fakes.scripted.recorded import Recorded

NOT_SCRIPTED = Json({"error": {"message": "no answer is scripted for this path", "code": "not_scripted"}}, status=501)


class Book:
    """Choose answers and keep the record."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._answers: dict[str | None, list[Answer]] = {}
        self._requests: list[Recorded] = []
        self._hangups: list[float] = []
        self._bytes_sent = 0
        self._accepted = 0
        self._open = 0
        self._not_http = 0

    @property
    def requests(self) -> list[Recorded]:
        """Return the requests so far, in the order in which they were complete."""
        with self._changed:
            return list(self._requests)

    @property
    def hangups(self) -> list[float]:
        """Return when clients left an unfinished answer, as `time.monotonic()`."""
        with self._changed:
            return list(self._hangups)

    @property
    def bytes_sent(self) -> int:
        """Return how many bytes of answers the system has taken."""
        with self._changed:
            return self._bytes_sent

    @property
    def accepted_connections(self) -> int:
        """Return how many connections were accepted."""
        with self._changed:
            return self._accepted

    @property
    def open_connections(self) -> int:
        """Return how many of the accepted connections are still open."""
        with self._changed:
            return self._open

    @property
    def not_http_connections(self) -> int:
        """Return how many connections spoke something else, TLS for example."""
        with self._changed:
            return self._not_http

    def set_answers(self, answers: Sequence[Answer], path: str | None) -> None:
        """Set the answers for a path, or for all paths that have none; the last one stays."""
        if not answers:
            raise ValueError("a sequence of answers needs at least one")
        with self._changed:
            self._answers[path] = list(answers)

    def forget_answers(self) -> None:
        """Have no answers, as at the beginning."""
        with self._changed:
            self._answers.clear()

    def choose(self, path: str) -> Answer:
        """Return the answer for the next request to that path, using it up where another one follows."""
        with self._changed:
            answers = self._answers.get(path) or self._answers.get(None) or [NOT_SCRIPTED]
            return answers.pop(0) if len(answers) > 1 else answers[0]

    def opened(self) -> int:
        """Count an accepted connection and return its number, from 0."""
        with self._changed:
            self._accepted += 1
            self._open += 1
            self._changed.notify_all()
            return self._accepted - 1

    def closed(self) -> None:
        """Count a closed connection."""
        with self._changed:
            self._open -= 1
            self._changed.notify_all()

    def record(self, request: Recorded) -> None:
        """Remember a request, in place of an earlier record of the same one."""
        with self._changed:
            same = (request.connection, request.index)
            places = [place for place, old in enumerate(self._requests) if (old.connection, old.index) == same]
            if places:
                self._requests[places[0]] = request
            else:
                self._requests.append(request)
            self._changed.notify_all()

    def hung_up(self, at: float) -> None:
        """Remember that a client left an unfinished answer."""
        with self._changed:
            self._hangups.append(at)
            self._changed.notify_all()

    def not_http(self) -> None:
        """Remember that a client spoke something else."""
        with self._changed:
            self._not_http += 1
            self._changed.notify_all()

    def sent(self, size_bytes: int) -> None:
        """Remember bytes that the system has taken."""
        with self._changed:
            self._bytes_sent += size_bytes
            self._changed.notify_all()

    def wait_until(self, is_so: Callable[[], bool], what: str, timeout_s: float) -> None:
        """Wait on the test's thread until something recorded is so; raise TimeoutError after `timeout_s`."""
        with self._changed:
            if not self._changed.wait_for(is_so, timeout_s):
                raise TimeoutError(f"the scripted upstream waited {timeout_s} s in vain for {what}")
