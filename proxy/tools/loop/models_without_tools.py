"""Which models refused a request because of our tools: they are asked without, and again with them after a while.

Many local models take no tools, and some upstreams refuse one schema among many. Without this, switching tools on would
break every chat with them.
"""

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

from cachetools import TTLCache

from proxy.http.answer import Answer

REFUSING = (400, 404, 422)
ABOUT_TOOLS = re.compile(rb"tool|function", re.IGNORECASE)
TRIED_AGAIN_AFTER_S = 600.0
MAX_MODELS = 256

log = logging.getLogger(__name__)


class ModelsWithoutTools:
    """Remember them by upstream and name. For any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._refused: TTLCache[tuple[str, str], bool] = TTLCache(MAX_MODELS, TRIED_AGAIN_AFTER_S, timer=now)

    def holds(self, upstream: str, model: Any) -> bool:
        """Tell whether a model is to be asked without tools."""
        with self._lock:
            return (upstream, str(model)) in self._refused

    def note(self, upstream: str, model: Any, answer: Answer) -> None:
        """Remember a model that refused."""
        log.warning("%s refuses our tools and is asked without them for a while: %r", model, (answer.body or b"")[:300])
        with self._lock:
            self._refused[upstream, str(model)] = True


def is_about_tools(answer: Answer) -> bool:
    """Tell whether an answer is a refusal that speaks of tools."""
    return answer.status in REFUSING and ABOUT_TOOLS.search(answer.body or b"") is not None
