"""Write the parts of these pages that the code knows: `python docs/generate.py`.

A part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`. tests/test_docs.py fails where one is not as it
would be written now.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from proxy.clients.client import Target  # noqa: E402  the project need not be installed
from proxy.clients.table import CLIENTS, IMPOSSIBLE  # noqa: E402
from proxy.errors import configuration, keyring, request, upstream  # noqa: E402, F401  so that every error is known
from proxy.errors.proxy_error import ProxyError, ServerFault  # noqa: E402
from proxy.settings.model import Settings, about, shown, variable  # noqa: E402

TARGET = Target("http://127.0.0.1:8000/v1", models=("gpt-5-mini",))
PART = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end \2 -->)", re.DOTALL)


def settings() -> str:
    """Return the table of every setting."""
    defaults = Settings.model_validate({})
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for field in Settings.model_fields:
        lines += [f"| `{variable(field)}` | `{shown(field, defaults)}` | {about(field).meaning} |"]
    return "\n".join(lines)


def errors() -> str:
    """Return the table of every error that is answered, by status."""
    lines = ["| Status | Code | What it says |", "|---|---|---|"]
    rows = {(kind.status, kind.code): kind for kind in kinds(ProxyError) if kind.status != ProxyError.status}
    for (status, code), kind in sorted(rows.items()):
        sentences = [f"{each}{'' if each[-1] in '.?' else '.'}" for each in (kind.title, kind.hint) if each]
        lines.append(f"| {status} | `{code}` | {' '.join(sentences)} |")
    lines.append(f"| {ProxyError.status} | `{ProxyError.code}` | {ServerFault.title}. {ServerFault.hint}. |")
    return "\n".join(lines)


def kinds(kind: type[ProxyError]) -> Iterator[type[ProxyError]]:
    """Yield a kind of error and all below it, the general ones last: a code is told in its words."""
    for each in kind.__subclasses__():
        yield from kinds(each)
    yield kind


def clients() -> str:
    """Return what every client is told."""
    parts = []
    for client in CLIENTS:
        how = f"`./start.sh connect {client.name}" + (" --write` writes this:" if client.file else "` shows this:")
        parts.append(
            f"### {client.title}\n\n{client.steps}\n\n{how}\n\n```text\n{client.snippet(TARGET).rstrip()}\n```"
        )
    parts += [f"### {name.capitalize()}\n\n{why}." for name, why in IMPOSSIBLE.items()]
    return "\n\n".join(parts)


PARTS: dict[str, Callable[[], str]] = {
    "settings": settings,
    "errors": errors,
    "clients": clients,
}


def written(text: str) -> str:
    """Return a page with its parts written anew."""
    return PART.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n\n{found[3]}", text)


def main() -> None:
    """Write every page that has such a part."""
    for page in FOLDER.rglob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(written(text), encoding="utf-8")


if __name__ == "__main__":
    main()
