"""Where a run took place: the computer and the versions of what was measured."""

import json
import os
import platform
import re
import subprocess
from pathlib import Path

from benchmarks.targets import REPOSITORY, find_nginx

OUR_PACKAGES = ("openai", "httptools", "flask")
LITELLM_PACKAGES = ("litellm", "openai", "uvicorn", "aiohttp")
PACKAGE_VERSIONS = """
import importlib.metadata, json, platform, sys
found = {"python": platform.python_version()}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        found[name] = "not installed"
print(json.dumps(found))
"""


def describe(proxies: list[str], python: Path, litellm_venv: Path) -> dict[str, str]:
    """Return the facts to stand beside the figures."""
    facts = {
        "processor": f"{processor()}, {len(os.sched_getaffinity(0))} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "load before the run": f"{os.getloadavg()[0]:.2f} (1 minute)",
    }
    if "ours" in proxies:
        identity = (REPOSITORY / "proxy" / "identity.py").read_text(encoding="utf-8")
        version = re.search(r'__version__ = "(.*)"', identity)
        with_packages = ", ".join(versions(python, OUR_PACKAGES))
        facts["ours"] = f"{version[1] if version else 'version unknown'} on {with_packages}"
    if "nginx" in proxies:
        printed = subprocess.run([find_nginx(), "-v"], check=True, capture_output=True, text=True).stderr
        facts["nginx"] = printed.strip().rpartition("/")[2]
    if "litellm" in proxies:
        facts["litellm"] = ", ".join(versions(litellm_venv / "bin" / "python", LITELLM_PACKAGES))
    return facts


def revision(checkout: Path) -> str:
    """Return the commit that a checkout is at."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def versions(python: Path, packages: tuple[str, ...]) -> list[str]:
    """Return `name version` of an interpreter and of its packages."""
    command = [str(python), "-c", PACKAGE_VERSIONS, *packages]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [f"{name} {version}" for name, version in json.loads(printed).items()]


def processor() -> str:
    """Return the processor's name."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
