"""aider: three keys in ~/.aider.conf.yml. Its models need the word `openai/` before their names."""

from pathlib import Path

from proxy import paths
from proxy.clients.client import Client, SettingsFile, Target, in_file
from proxy.clients.edits import Edit, Put
from proxy.clients.yaml import Yaml


def settings_file() -> Path:
    """Return its settings file."""
    return paths.home() / ".aider.conf.yml"


def edits(target: Target) -> tuple[Edit, ...]:
    """Return what is written."""
    return (
        Put(("openai-api-base",), target.base_url),
        Put(("openai-api-key",), target.key),
        Put(("model",), f"openai/{target.model}"),
    )


FILE = SettingsFile(settings_file, Yaml(), edits, needs_model=True)
CLIENT = Client(
    "aider",
    "aider",
    "Then `aider`. With --model, write `openai/` before the model's name: aider asks no other address otherwise.",
    in_file(FILE),
    FILE,
)
