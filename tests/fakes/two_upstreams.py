"""A proxy before two scripted upstreams, named `default` and `other`."""

from pathlib import Path
from typing import Any

from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import Fresh, proxy_before

OTHERS_KEY = "key-of-the-other-upstream"
PLAIN = {"messages": [{"role": "user", "content": "hi"}]}


class Desk:
    """Two upstreams, and what starts a proxy before them."""

    def __init__(self, first: Fresh, other: Fresh, folder: Path) -> None:
        self.first, self.other, self.folder = first, other, folder

    def run(self, row: dict[str, Any] | None = None, **settings: Any) -> Any:
        """Return a proxy to be entered; `row` changes the other upstream's. What is None is left out."""
        rows = [{"name": "other", "base_url": self.other.base_url, **(row or {})}]
        settings = {"proxy_upstreams": rows, "openai_max_retries": 0, "openai_timeout": 1.0, **settings}
        given = {name: value for name, value in settings.items() if value is not None}
        return proxy_before(self.first.base_url, self.folder, **given)


def chat(proxy: RunningProxy, model: str | None, **fields: Any) -> Any:
    """Ask for a chat, and return the reply."""
    headers = fields.pop("headers", None)
    body = {**PLAIN, **({"model": model} if model is not None else {}), **fields}
    return proxy.http.post("/v1/chat/completions", json=body, headers=headers)


def text(reply: Any) -> str:
    """Return what a chat's answer says."""
    return str(reply.json()["choices"][0]["message"]["content"])
