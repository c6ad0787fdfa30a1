"""Continue: a model in the list of ~/.continue/config.yaml, for the IDE plugins and the program `cn`."""

import os
from pathlib import Path

from proxy import paths
from proxy.clients.client import TITLE, Client, SettingsFile, Target, in_file
from proxy.clients.edits import Add, Edit, Put
from proxy.clients.yaml import Yaml


def settings_file() -> Path:
    """Return its settings file."""
    return Path(os.environ.get("CONTINUE_GLOBAL_DIR") or paths.home() / ".continue") / "config.yaml"


def edits(target: Target) -> tuple[Edit, ...]:
    """Return what is written."""
    model = {
        "name": TITLE,
        "provider": "openai",
        "model": target.model,
        "apiBase": target.base_url,
        "apiKey": target.key,
    }
    return (
        Put(("name",), "Local config", is_frame=True),
        Put(("version",), "1.0.0", is_frame=True),
        Put(("schema",), "v1", is_frame=True),
        Add(("models",), model, by="name"),
    )


FILE = SettingsFile(settings_file, Yaml(), edits, needs_model=True)
CLIENT = Client(
    "continue",
    "Continue",
    f"Choose the model “{TITLE}” in Continue. `cn` uses the first model of the file.",
    in_file(FILE),
    FILE,
    user_agents=("Continue/", "ls/JS"),  # the second is how its CLI's SDK names itself, seen with 1.5.47
)
