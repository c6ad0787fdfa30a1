"""Claude Code: two variables in ~/.claude/settings.json. It speaks Claude's API, which the upstream must have."""

import os
from pathlib import Path

from proxy import paths
from proxy.clients.client import Client, SettingsFile, Target, in_file
from proxy.clients.edits import Edit, Put
from proxy.clients.jsonc import Jsonc


def settings_file() -> Path:
    """Return its settings file."""
    return Path(os.environ.get("CLAUDE_CONFIG_DIR") or paths.home() / ".claude") / "settings.json"


def edits(target: Target) -> tuple[Edit, ...]:
    """Return what is written."""
    return (
        Put(("env", "ANTHROPIC_BASE_URL"), target.root_url),
        Put(("env", "ANTHROPIC_AUTH_TOKEN"), target.key),
    )


FILE = SettingsFile(settings_file, Jsonc(), edits)
CLIENT = Client(
    "claude-code",
    "Claude Code",
    "Then `claude`. The upstream must answer at /v1/messages, as Anthropic's does.",
    in_file(FILE),
    FILE,
    user_agents=("claude-cli/", "claude-code/"),
)
