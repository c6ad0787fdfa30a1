"""What the connection to the upstream depends on; a change of any of it means a new connection."""

from dataclasses import dataclass

from proxy.settings.model import Settings
from proxy.upstream.network_proxy import ProxyVariable, find_network_proxy

CONNECT_LIMIT_S = 5.0


@dataclass(frozen=True)
class UpstreamOptions:
    """The settings that shape the client, and the network's proxy for that address."""

    base_url: str
    timeout_s: float
    max_retries: int
    organization: str | None
    project: str | None
    ca_file: str | None
    network_proxy: ProxyVariable | None

    @classmethod
    def of(cls, settings: Settings) -> "UpstreamOptions":
        """Pick them out of a snapshot, and ask environment and system for the proxy now."""
        return cls(
            base_url=settings.openai_base_url,
            timeout_s=settings.openai_timeout,
            max_retries=settings.openai_max_retries,
            organization=settings.openai_organization,
            project=settings.openai_project,
            ca_file=settings.openai_ca_file,
            network_proxy=find_network_proxy(settings.openai_base_url),
        )
