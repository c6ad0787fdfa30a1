"""Load what brings the SDK: late, for it takes half a second, and again where that failed."""

import importlib
import logging
import sys
import threading
from types import ModuleType

from proxy.errors.upstream import SdkNotLoaded

OURS = "proxy.upstream."
PARTS = ("openai", "httpx2", "httpcore2")  # what would be half there

log = logging.getLogger(__name__)


class Sdk:
    """Load modules that need the SDK. For any thread but the event loop's."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()

    def load(self, module: str) -> ModuleType:
        """Return a module; raises SdkNotLoaded. What a failure has left half loaded is dropped: the next try is whole.

        It fails while the package is being updated, where files or memory are short, or the disk is gone.
        """
        with self._one_at_a_time:
            before = set(sys.modules)
            try:
                return importlib.import_module(module)
            except Exception as error:
                for name in sys.modules.keys() - before:
                    if name.startswith(OURS) or name.partition(".")[0] in PARTS:
                        sys.modules.pop(name, None)
                log.exception("the SDK cannot be loaded")
                raise SdkNotLoaded(f"{type(error).__name__}: {error}") from error
