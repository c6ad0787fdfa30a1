"""What the connection to the upstream depends on; a change of any of it means a new connection."""

import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from proxy.settings.model import Settings

CONNECT_LIMIT_S = 5.0


@dataclass(frozen=True)
class UpstreamOptions:
    """The settings that shape the client, and the system's proxy for that address."""

    base_url: str
    timeout_s: float
    max_retries: int
    organization: str | None
    project: str | None
    ca_file: str | None
    http_proxy: str | None

    @classmethod
    def of(cls, settings: Settings) -> "UpstreamOptions":
        """Pick them out of a snapshot, and ask the system for its proxy now."""
        return cls(
            base_url=settings.openai_base_url,
            timeout_s=settings.openai_timeout,
            max_retries=settings.openai_max_retries,
            organization=settings.openai_organization,
            project=settings.openai_project,
            ca_file=settings.openai_ca_file,
            http_proxy=find_http_proxy(settings.openai_base_url),
        )


def find_http_proxy(url: str) -> str | None:
    """Return the HTTP proxy that environment or system prescribe for a URL (HTTPS_PROXY, NO_PROXY and their kin)."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    return proxy or None
