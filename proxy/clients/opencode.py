"""OpenCode: a provider with its models in opencode.json."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from proxy import paths
from proxy.clients.client import MAX_MODELS, PROVIDER, TITLE, Client, SettingsFile, Target, in_file
from proxy.clients.edits import Edit, Put
from proxy.clients.jsonc import Jsonc


def settings_file() -> Path:
    """Return its settings file: the one that is there, on every system below ~/.config."""
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or paths.home() / ".config") / "opencode"
    return next((file for name in ("opencode.jsonc",) if (file := folder / name).exists()), folder / "opencode.json")


def provider(target: Target) -> dict[str, Any]:
    """Return the provider."""
    return {
        "npm": "@ai-sdk/openai-compatible",
        "name": TITLE,
        "options": {"baseURL": target.base_url, "apiKey": target.key},
        "models": {model: {"name": model} for model in target.models[:MAX_MODELS] or (target.model,)},
    }


def edits(target: Target) -> tuple[Edit, ...]:
    """Return what is written."""
    schema = Put(("$schema",), "https://opencode.ai/config.json", is_frame=True)
    return schema, Put(("provider", PROVIDER), provider(target))


def environment(target: Target) -> Mapping[str, str]:
    """Return the same as a variable, for one command."""
    return {"OPENCODE_CONFIG_CONTENT": json.dumps({"provider": {PROVIDER: provider(target)}})}


FILE = SettingsFile(settings_file, Jsonc(), edits, needs_model=True)
CLIENT = Client(
    "opencode",
    "OpenCode",
    f"Then `opencode`, and choose a model of {TITLE} with /models; or `opencode run -m {PROVIDER}/MODEL`.",
    in_file(FILE),
    FILE,
    user_agents=("opencode/",),
    environment=environment,
)
