"""The log file of this process."""

import logging

from proxy import paths

KEY = "sk-proj-abcdefghijklmnop-1234"


def written() -> str:
    """Return what stands in the log file once everything is written."""
    for handler in logging.root.handlers:
        handler.flush()
    return paths.log_file().read_text(encoding="utf-8")
