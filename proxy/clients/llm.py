"""llm: a model in its extra-openai-models.yaml."""

import os
import sys
from pathlib import Path
from typing import Any

from proxy import paths
from proxy.clients.client import ANY_KEY, Client, SettingsFile, Target, in_file
from proxy.clients.edits import Add, Edit
from proxy.clients.yaml import Yaml

FOLDER = "io.datasette.llm"


def settings_file() -> Path:
    """Return its list of models."""
    home = paths.user_data_home() if sys.platform == "win32" else paths.user_config_home()
    return Path(os.environ.get("LLM_USER_PATH") or home / FOLDER) / "extra-openai-models.yaml"


def edits(target: Target) -> tuple[Edit, ...]:
    """Return what is written."""
    model: dict[str, Any] = {
        "model_id": f"proxy/{target.model}",
        "model_name": target.model,
        "api_base": target.base_url,
    }
    if target.key != ANY_KEY:
        model["headers"] = {"Authorization": f"Bearer {target.key}"}
    return (Add((), model, by="model_id"),)


FILE = SettingsFile(settings_file, Yaml(), edits, needs_model=True)
CLIENT = Client("llm", "llm", "Then `llm -m proxy/MODEL 'Hello'`.", in_file(FILE), FILE)
