"""Zed: an OpenAI-compatible provider in settings.json; its key is never kept there."""

import sys
from pathlib import Path

from proxy import paths
from proxy.clients.client import MAX_MODELS, TITLE, Client, SettingsFile, Target, in_file
from proxy.clients.edits import Edit, Put
from proxy.clients.jsonc import Jsonc

CONTEXT_TOKENS = 128_000


def settings_file() -> Path:
    """Return its settings file."""
    if sys.platform == "win32":
        return paths.user_data_home() / "Zed" / "settings.json"
    folder = paths.home() / ".config" if sys.platform == "darwin" else paths.user_config_home()
    return folder / "zed" / "settings.json"


def edits(target: Target) -> tuple[Edit, ...]:
    """Return what is written."""
    models = [{"name": model, "max_tokens": CONTEXT_TOKENS} for model in target.models[:MAX_MODELS] or (target.model,)]
    provider = {"api_url": target.base_url, "available_models": models}
    return (Put(("language_models", "openai_compatible", TITLE), provider),)


FILE = SettingsFile(settings_file, Jsonc(), edits, needs_model=True)
CLIENT = Client(
    "zed",
    "Zed",
    f"Then “agent: open settings”, LLM Providers, {TITLE}: enter the key there (a proxy key, or any word where none is "
    "asked for).",
    in_file(FILE),
    FILE,
    user_agents=("Zed/",),
)
