"""LiteLLM's own virtual environment, outside the repository, made when it is first needed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path


def default_folder() -> Path:
    """Return the folder in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "openai-tray-proxy-benchmarks" / "litellm"


def is_there(folder: Path) -> bool:
    """Tell whether LiteLLM is installed."""
    return (folder / "bin" / "litellm").exists()


def ensure(folder: Path) -> None:
    """Install LiteLLM unless it is there: several hundred MB and some minutes."""
    if is_there(folder):
        return
    python = shutil.which("python3.11") or sys.executable
    print(f"installing litellm[proxy] into {folder}; this takes some minutes", file=sys.stderr)
    subprocess.run([python, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", "litellm[proxy]"], check=True)
