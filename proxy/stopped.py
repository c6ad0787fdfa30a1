"""What a client is told whose answer was under way when the program ended."""

from proxy.errors import UpstreamFailure


class ProxyStopped(UpstreamFailure):
    """The program ends while an answer is under way."""

    title = "The proxy was stopped"
    hint = "What arrived is incomplete; start the proxy and ask again"
    status = 503
    code = "proxy_stopped"
