"""Why an upstream gave no usable answer: its own failures, those of a network proxy, and the end of this program."""

from collections.abc import Mapping

from proxy.errors.proxy_error import ProxyError


class SdkNotLoaded(ProxyError):
    """The library that speaks to upstreams could not be loaded; the next request tries again."""

    title = "The proxy could not load its own library for upstreams (the package openai)"
    hint = "Try again; if that does not help, install the program again"
    status = 503
    type = "server_error"
    code = "sdk_not_loaded"


class UpstreamFailure(ProxyError):
    """Report that the upstream gave no usable answer."""

    title = "The upstream failed"
    status = 502
    type = "upstream_error"
    code = "upstream_error"
    is_worth_retry = False  # nothing was sent: asking again costs nothing, and may find the way open

    def name_settings(self, own: Mapping[str, str]) -> None:
        """Have the hint name an upstream's own settings, by the variables that stand in their place there."""
        for variable, words in own.items():
            self.hint = self.hint.replace(variable, words)
        self.args = (self.message,)


class UpstreamUnreachable(UpstreamFailure):
    """No connection could be made."""

    title = "The upstream cannot be reached"
    hint = "Check the network and OPENAI_BASE_URL"
    code = "upstream_unreachable"
    is_worth_retry = True


class UpstreamDnsFailure(UpstreamFailure):
    """The upstream's name did not resolve."""

    title = "The upstream's name cannot be resolved"
    hint = "Check the network and the host in OPENAI_BASE_URL"
    code = "upstream_dns_error"
    is_worth_retry = True


class UpstreamTlsFailure(UpstreamFailure):
    """No secure connection could be made; verification is never turned off."""

    title = "No secure connection to the upstream"
    hint = "If your network inspects TLS, name its certificate file in OPENAI_CA_FILE"
    code = "upstream_tls_error"
    should_retry = False


class CertificatesUnusable(UpstreamTlsFailure):
    """The file of certificates to trust has gone, or holds none, since the settings were read."""

    title = "The certificate file for the upstream cannot be used"
    hint = "Correct OPENAI_CA_FILE, or remove that setting"


class UpstreamTimeout(UpstreamFailure):
    """The upstream was silent for longer than OPENAI_TIMEOUT."""

    title = "The upstream was silent for too long"
    hint = "OPENAI_TIMEOUT sets how long the proxy waits"
    status = 504
    code = "upstream_timeout"
    should_retry = False


class UpstreamProtocolFailure(UpstreamFailure):
    """The upstream closed the connection early or does not speak HTTP."""

    title = "The upstream broke off before answering"
    code = "upstream_protocol_error"


class UpstreamTruncated(UpstreamFailure):
    """The answer ended before its announced end."""

    title = "The upstream's answer broke off"
    hint = "What arrived is incomplete; ask again"
    code = "upstream_truncated"


class UpstreamInvalidResponse(UpstreamFailure):
    """The answer is not what this endpoint answers with."""

    title = "The upstream's answer is not JSON"
    hint = "Check OPENAI_BASE_URL, and whether a captive portal answers in the upstream's place"
    code = "upstream_invalid_response"


class UpstreamInvalidEvent(UpstreamFailure):
    """A stream holds something that is not an event of its kind."""

    title = "The upstream's stream holds an event that is no JSON object"
    hint = "What arrived is incomplete; ask again"
    code = "upstream_invalid_event"


class UpstreamUnexpectedStatus(UpstreamFailure):
    """The upstream answered with a status the API does not have, such as a redirect."""

    title = "The upstream answered with an unexpected status"
    hint = "Redirects are not followed: they would carry your key elsewhere; correct OPENAI_BASE_URL"
    code = "upstream_unexpected_status"
    should_retry = False


class NetworkProxyUnreachable(UpstreamFailure):
    """The network's proxy cannot be asked for a way to the upstream."""

    title = "The network's proxy cannot be reached"
    hint = "Check the network and that variable; hosts named in NO_PROXY are reached without it"
    code = "network_proxy_unreachable"
    is_worth_retry = True


class NetworkProxyRefused(UpstreamFailure):
    """The network's proxy opens no way to the upstream."""

    title = "The network's proxy refused"
    hint = "Whoever runs it can say why; hosts named in NO_PROXY are reached without it"
    code = "network_proxy_refused"


class NetworkProxyAuth(UpstreamFailure):
    """The network's proxy wants to know who asks."""

    title = "The network's proxy wants a login"
    hint = "Put user and password before the host in that variable, as USER:PASSWORD and an @"
    code = "network_proxy_auth"
    should_retry = False


class ProxyStopped(UpstreamFailure):
    """The program ends while an answer is under way."""

    title = "The proxy was stopped"
    hint = "What arrived is incomplete; start the proxy and ask again"
    status = 503
    code = "proxy_stopped"


class CancelledByUser(UpstreamFailure):
    """The user of this computer has ended the request, from the program's own pages."""

    title = "The request was cancelled in the proxy"
    hint = "What arrived is incomplete"
    status = 410  # of the errors that no client takes for a reason to ask again
    code = "request_cancelled"
    should_retry = False
