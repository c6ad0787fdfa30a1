"""Codex CLI: a provider in ~/.codex/config.toml. It reads no OPENAI_BASE_URL, and speaks the Responses API alone."""

import json
import os
from pathlib import Path
from typing import Any

from proxy import paths
from proxy.clients.client import ANY_KEY, TITLE, Client, SettingsFile, Target, in_file
from proxy.clients.edits import Edit, Put
from proxy.clients.toml import Toml

PROVIDER = "openai_tray_proxy"


def settings_file() -> Path:
    """Return its settings file."""
    return Path(os.environ.get("CODEX_HOME") or paths.home() / ".codex") / "config.toml"


def provider(target: Target) -> dict[str, Any]:
    """Return the provider. Without a key it asks for no login."""
    values = {"name": TITLE, "base_url": target.base_url, "wire_api": "responses"}
    return values if target.key == ANY_KEY else {**values, "experimental_bearer_token": target.key}


def edits(target: Target) -> tuple[Edit, ...]:
    """Return what is written."""
    return Put(("model_providers", PROVIDER), provider(target)), Put(("model_provider",), PROVIDER)


def arguments(target: Target) -> list[str]:
    """Return the same as arguments, the key in a variable."""
    values = {"name": TITLE, "base_url": target.base_url, "wire_api": "responses", "env_key": "OPENAI_API_KEY"}
    table = ", ".join(f"{key} = {json.dumps(value)}" for key, value in values.items())
    return ["-c", f"model_providers.{PROVIDER}={{{table}}}", "-c", f'model_provider="{PROVIDER}"']


FILE = SettingsFile(settings_file, Toml(), edits)
CLIENT = Client(
    "codex",
    "Codex CLI",
    "Then `codex`, or `codex -m MODEL` for another model than its own first choice. The upstream must have the "
    "Responses API.",
    in_file(FILE),
    FILE,
    user_agents=("codex_", "codex-"),
    arguments=arguments,
)
