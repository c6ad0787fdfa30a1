"""A settings file."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the settings file stands."""
    return tmp_path / "settings.toml"


@pytest.fixture
def write(path: Path) -> Callable[[str], Path]:
    """Return a function that writes the settings file."""

    def do(text: str) -> Path:
        path.write_text(text, encoding="utf-8")
        return path

    return do
