"""What the server itself refuses: requests that come too slowly or too large, and connections beyond the bound."""

from proxy.errors import ProxyError, RequestRefused, WrongMethod

METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


class RequestTooSlow(RequestRefused):
    """Give up a request that does not arrive."""

    title = "The request did not arrive in time"
    hint = "Send it again; a head may take 10 seconds, a body may not stand still for 15"
    status = 408
    code = "request_too_slow"

    def headers(self) -> list[tuple[str, str]]:
        """Return its headers; what still arrives of this request is not read, so the connection ends."""
        return [*super().headers(), ("connection", "close")]


class NotANetworkProxy(WrongMethod):
    """Tell a program that asks for a tunnel, as through HTTP_PROXY, what this is."""

    title = "This is not a network proxy"
    hint = "Enter that as the base URL of your tool, and take it out of HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"

    def headers(self) -> list[tuple[str, str]]:
        """Return its headers; behind a CONNECT no HTTP follows, so the connection ends."""
        return [*super().headers(), ("allow", METHODS), ("connection", "close")]


class TargetTooLong(RequestRefused):
    """Refuse an address no API has."""

    title = "The request's address is too long"
    hint = "8 kB fit; what is longer belongs in the body"
    status = 414
    code = "address_too_long"


class HeadTooLarge(RequestRefused):
    """Refuse headers beyond all measure."""

    title = "The request's headers are too large"
    hint = "100 headers and 64 kB fit"
    status = 431
    code = "headers_too_large"


class TooManyConnections(ProxyError):
    """Refuse a connection beyond the bound."""

    title = "The proxy holds too many connections"
    hint = "Close some, or try again in a moment"
    status = 503
    code = "too_many_connections"
    should_retry = True
