"""Which of our tools a model's upstream refused: it is asked without those, and again with them after a while.

Many local models take no tools, and some upstreams refuse one schema among many. Without this, switching tools on would
break every chat with them.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cachetools import TTLCache

from proxy.tools.tool import Tool

TRIED_AGAIN_AFTER_S = 600.0
MAX_MODELS = 256
NAME_LIMIT = 128
TOLD_LIMIT = 300

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Refused:
    """What a model is asked without."""

    sentence: str
    tools: Mapping[str, Tool] | None  # None: any tool of ours


class ModelsWithoutTools:
    """Remember them by upstream and name. For any thread."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._refused: TTLCache[tuple[str, str], Refused] = TTLCache(MAX_MODELS, TRIED_AGAIN_AFTER_S, timer=now)

    def allowed(
        self, upstream: str, model: object, tools: Mapping[str, Tool], *, beside_others: bool
    ) -> Mapping[str, Tool]:
        """Return the tools a model may be offered; one that has changed since it was refused is among them.

        `beside_others`: the client offers tools of its own, so that a model which takes none refuses in any case.
        """
        with self._lock:
            refused = self._refused.get(key_of(upstream, model))
        if refused is None:
            return tools
        if refused.tools is None:
            return tools if beside_others else {}
        return {name: tool for name, tool in tools.items() if refused.tools.get(name) is not tool}

    def note(self, upstream: str, model: object, tools: Mapping[str, Tool] | None, said: bytes) -> None:
        """Remember what a model was then asked without, and answered; `tools` is None where it was any of ours."""
        with self._lock:
            known = self._refused.get(key_of(upstream, model))
        if tools is not None and known is not None and known.tools is not None:
            tools = {**known.tools, **tools}
        name = str(model)[:NAME_LIMIT]
        what = "our tools" if tools is None else f"the tools {', '.join(sorted(tools))}"
        sentence = f"{name} at {upstream} refuses {what} and is asked without them for {TRIED_AGAIN_AFTER_S:g} s"
        log.warning("%s: %r", sentence, said[:TOLD_LIMIT])
        with self._lock:
            self._refused[key_of(upstream, model)] = Refused(sentence, tools)

    def sentences(self) -> list[str]:
        """Return a sentence for each model that is asked without some of our tools."""
        with self._lock:
            return [refused.sentence for refused in self._refused.values()]


def key_of(upstream: str, model: object) -> tuple[str, str]:
    """Return under what a model is remembered."""
    return upstream, str(model)[:NAME_LIMIT]
