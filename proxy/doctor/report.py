"""The report of a running program for the doctor: version, settings in force, state of its icon."""

import json
import os
from collections.abc import Mapping
from typing import Any

from proxy.identity import __version__
from proxy.settings.model import Settings, about, shown
from proxy.settings.store import SettingsStore


def report_of(store: SettingsStore, tray: Mapping[str, Any] | None = None) -> str:
    """Return the report as JSON. It holds no key, only whether one is set."""
    in_force = {
        field: [shown(field, store.current), store.origin(field)]
        for field in Settings.model_fields
        if store.origin(field) != "default" and not about(field).secret
    }
    report = {
        "version": __version__,
        "pid": os.getpid(),
        "file": str(store.path),
        "settings": in_force,
        "warning": store.warning,
        "tray": None if tray is None else dict(tray),
    }
    return json.dumps(report)
