"""What the connection to an upstream depends on; a change of any of it means a new connection."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from proxy.errors.upstream import UpstreamFailure
from proxy.settings.model import Settings
from proxy.settings.upstreams import Auth, Upstream
from proxy.upstream.network_proxy import ProxyVariable, find_network_proxy

CONNECT_LIMIT_S = 5.0
DIRECT = "none"  # as an upstream's network proxy: there is to be none


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
    auth: Auth = "bearer"
    headers: tuple[tuple[str, str], ...] = ()  # added to every request; may hold the place of the key
    query: tuple[tuple[str, str], ...] = ()  # the same
    own_names: tuple[tuple[str, str], ...] = field(default=(), compare=False)  # of its settings, by their variables

    @classmethod
    def of(cls, settings: Settings, upstream: Upstream) -> "UpstreamOptions":
        """Pick them out of a snapshot, and ask environment and system for the proxy now."""
        return cls(
            base_url=upstream.base_url,
            timeout_s=settings.openai_timeout if upstream.timeout is None else upstream.timeout,
            max_retries=settings.openai_max_retries if upstream.max_retries is None else upstream.max_retries,
            organization=upstream.organization,
            project=upstream.project,
            ca_file=upstream.ca_file,
            network_proxy=proxy_for(upstream),
            auth=upstream.auth,
            headers=tuple(upstream.headers.items()),
            query=tuple(upstream.query.items()),
            own_names=tuple(own_names(upstream).items()),
        )


def proxy_for(upstream: Upstream) -> ProxyVariable | None:
    """Return the network's proxy on the way to an upstream: its own setting, else what the environment names."""
    if upstream.network_proxy is None:
        return find_network_proxy(upstream.base_url)
    if upstream.network_proxy == DIRECT:
        return None
    return ProxyVariable(f"network_proxy of {upstream.name}", upstream.network_proxy)


def own_names(upstream: Upstream) -> dict[str, str]:
    """Return what to say in the place of the variables that are not an upstream's; what a query holds is not said."""
    if upstream.is_first:
        return {}
    words = f"of the upstream {upstream.name}"
    own = {"OPENAI_BASE_URL": f"base_url {words} ({upstream.base_url.partition('?')[0]})"}
    own["OPENAI_CA_FILE"] = f"ca_file {words}"
    return own if upstream.timeout is None else {**own, "OPENAI_TIMEOUT": f"timeout {words}"}


@contextmanager
def naming(options: UpstreamOptions) -> Iterator[None]:
    """Have a failure in the block name the upstream's own settings."""
    try:
        yield
    except UpstreamFailure as failure:
        failure.name_settings(dict(options.own_names))
        raise
