"""What pyproject.toml asks for, and what the lock files pin."""

import re
import sys
from typing import Any

from packaging.utils import canonicalize_name

from fakes.environment import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def pins(name: str) -> dict[str, set[str]]:
    """Return the versions a lock file pins of each package: there may be one for each range of Pythons."""
    found: dict[str, set[str]] = {}
    for line in re.findall(r"^\w[^\\\n]*", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE):
        package, version = line.split(";")[0].strip().split("==")
        found.setdefault(canonicalize_name(package), set()).add(version)
    return found
