"""What the proxy refuses of its clients: requests before the upstream is called, and connections beyond the bound."""

from proxy.errors.proxy_error import ProxyError

METHODS = "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"


class RequestRefused(ProxyError):
    """Refuse a request before the upstream is asked."""

    title = "The request was refused"
    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    should_retry = False


class MalformedRequest(RequestRefused):
    """Refuse what is not a well-formed HTTP request."""

    title = "The request is malformed"
    code = "malformed_request"


class InvalidJson(RequestRefused):
    """Refuse a body that is not a JSON object."""

    title = "The request body is not a JSON object"
    code = "invalid_json"


class ModelInAddress(RequestRefused):
    """Refuse an address that names a model where rules look at the model: they could neither judge nor change it."""

    title = "The address names a model, and parameter rules are set that look at the model"
    hint = "Name the model in the body, and leave it out of the address"
    code = "model_in_address"


class UnknownUpstream(RequestRefused):
    """Refuse a header that names an upstream nobody has: what is meant for one provider goes to no other."""

    title = "The header X-Proxy-Upstream names no upstream"
    hint = "`openai-tray-proxy upstream list` shows their names; capital letters count"
    code = "unknown_upstream"


class ProxyKeyMissing(RequestRefused):
    """Ask for a proxy key."""

    title = "This proxy asks for a proxy key"
    hint = "Put one where your tool asks for an OpenAI API key; `openai-tray-proxy proxy-key new NAME` makes one"
    status = 401
    code = "missing_proxy_key"


class ProxyKeyRefused(RequestRefused):
    """Refuse a wrong proxy key."""

    title = "The proxy key is not one of this proxy's keys"
    hint = "This is about the key between your tool and the proxy (PROXY_API_KEYS), not about your OpenAI key"
    status = 401
    code = "invalid_proxy_key"


class BudgetReached(ProxyError):
    """Refuse what a proxy key asks beyond its limit."""

    title = "The budget of the proxy key is reached"
    hint = "Wait until then, or raise PROXY_KEY_LIMITS: `openai-tray-proxy limits` shows all limits and changes them"
    status = 402
    type = "insufficient_quota"
    code = "budget_reached"
    should_retry = False


class HostNotAllowed(RequestRefused):
    """Refuse a Host that is not the proxy's own (DNS rebinding)."""

    title = "The Host header does not name this proxy"
    hint = "Use http://127.0.0.1 with the proxy's port, or add the name to PROXY_ALLOWED_HOSTS"
    status = 403
    code = "host_not_allowed"


class OriginNotAllowed(RequestRefused):
    """Refuse a web page that was not allowed."""

    title = "Web pages of this origin may not use the proxy"
    hint = "If you trust it, allow it on the program's own page, or add exactly this origin to PROXY_ALLOWED_ORIGINS"
    status = 403
    code = "origin_not_allowed"


class ContentTypeNotAllowed(RequestRefused):
    """Refuse a browser's request that could have come without a preflight."""

    title = "A web page must send this as application/json"
    status = 415
    code = "unsupported_media_type"


class CannotSendAgain(RequestRefused):
    """Say why a request that came before cannot be sent again."""

    title = "The request cannot be sent again"
    status = 409
    code = "cannot_send_again"


class NothingToBreak(RequestRefused):
    """Refuse a fault drill that could not come about."""

    title = "No answer can be broken like this"
    code = "nothing_to_break"


class UnknownPath(RequestRefused):
    """Name the base URL to somebody who missed it."""

    title = "There is nothing at this address"
    status = 404
    code = "unknown_path"


class WrongMethod(RequestRefused):
    """Name the methods a path takes."""

    title = "This address does not take this method"
    status = 405
    code = "method_not_allowed"


class NotANetworkProxy(WrongMethod):
    """Tell a program that asks for a tunnel, as through HTTP_PROXY, what this is."""

    title = "This is not a network proxy"
    hint = "Enter that as the base URL of your tool, and take it out of HTTP_PROXY, HTTPS_PROXY and ALL_PROXY"

    def headers(self) -> list[tuple[str, str]]:
        """Return its headers; behind a CONNECT no HTTP follows, so the connection ends."""
        return [*super().headers(), ("allow", METHODS), ("connection", "close")]


class RequestTooSlow(RequestRefused):
    """Give up a request that does not arrive."""

    title = "The request did not arrive in time"
    hint = "Send it again; a head may take 10 seconds, a body may not stand still for 15"
    status = 408
    code = "request_too_slow"

    def headers(self) -> list[tuple[str, str]]:
        """Return its headers; what still arrives of this request is not read, so the connection ends."""
        return [*super().headers(), ("connection", "close")]


class BodyTooLarge(RequestRefused):
    """Refuse a body over the limit."""

    title = "The request body is too large"
    hint = "The limit is the setting PROXY_MAX_BODY_MB"
    status = 413
    code = "request_too_large"


class UploadTooLarge(BodyTooLarge):
    """Refuse an upload over the limit of its own."""

    title = "The upload is too large"
    hint = "The limit is the setting PROXY_MAX_UPLOAD_MB"


class NoRoomForUpload(RequestRefused):
    """Refuse a large form whose model stands behind its files, where those cannot be held until the model has come."""

    title = "The disk has no room for this upload, which must be held until its model is known"
    hint = "Write the field `model` before the files, or make room in the folder for temporary files"
    status = 507
    code = "no_room_for_upload"


class EncodingUnsupported(RequestRefused):
    """Refuse a body in an encoding nobody here can read."""

    title = "The request body has a Content-Encoding this proxy cannot decode"
    hint = "It decodes gzip, deflate, br and zstd; or send the body plain"
    status = 415
    code = "unsupported_encoding"


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


class WebSocketUnsupported(RequestRefused):
    """Own up to a server under which no connection can leave HTTP."""

    title = "This server cannot carry a WebSocket"
    hint = "Start the proxy with `openai-tray-proxy serve`, or under an ASGI server with the package websockets"
    status = 501
    code = "websocket_unsupported"


class TooManyConnections(ProxyError):
    """Refuse a connection beyond the bound."""

    title = "The proxy holds too many connections"
    hint = "Close some, or try again in a moment"
    status = 503
    code = "too_many_connections"
    should_retry = True
