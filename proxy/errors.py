"""Every error the program can report, as one tree.

ProxyError
├── ConfigurationError          what stops a start: a bad setting, a taken port
│   ├── SettingError
│   │   ├── SettingsContradict      this one, the next and SettingsBroken stand in settings/errors.py
│   │   └── SettingsFileWrong
│   └── PortTaken
│       └── RunsAlready         it is this very program; this one and the next stand in running.py
├── NoProxyRuns                 nobody gives a link to the page
├── ProxyKeyTrouble             a name that is taken, or missing; this one to KeyTooLong stand in keys/errors.py
├── UnusableKey                 what was given cannot be a key
├── KeyringFailure              the system's keyring does not help; the proxy serves meanwhile
│   ├── KeyringAbsent           ├── KeyringLocked   ├── KeyringSilent   └── KeyTooLong
├── RequestRefused              ours to refuse; the upstream was not called
│   ├── MalformedRequest        400   ├── InvalidJson 400            └── ModelInAddress 400
│   ├── ProxyKeyRefused         401   └── ProxyKeyMissing 401
│   ├── HostNotAllowed          403   ├── OriginNotAllowed 403   └── ContentTypeNotAllowed 415
│   ├── UnknownPath             404
│   ├── WrongMethod             405
│   │   └── NotANetworkProxy    405       in server/refusals.py
│   ├── BodyTooLarge            413   ├── EncodingUnsupported 415
│   ├── RequestTooSlow          408   ├── TargetTooLong 414      this row and the next two stand in server/refusals.py
│   ├── HeadTooLarge            431   └── WebSocketUnsupported 501
├── SettingsBroken              503: what the user has chosen is not known
├── NoUpstreamKey               503
│   └── UpstreamKeyNotRead      503: the keyring failed
├── ServerFault 500: our own bug  ├── TooManyConnections 503
└── UpstreamFailure             the upstream gave no usable answer
    ├── UpstreamUnreachable     502   ├── UpstreamDnsFailure 502   └── UpstreamTlsFailure 502
    ├── UpstreamTimeout 504     ├── ProxyStopped 503: it is not the upstream's fault that there is no answer
    ├── NetworkProxyUnreachable 502   ├── NetworkProxyRefused 502   ├── NetworkProxyAuth 502   in upstream/network.py
    └── UpstreamProtocolFailure 502   ├── UpstreamTruncated 502      ├── UpstreamInvalidResponse 502
                                      ├── UpstreamInvalidEvent 502   └── UpstreamUnexpectedStatus 502
"""

import json
from typing import ClassVar

from proxy.command import as_typed
from proxy.logs.redaction import redact


class ProxyError(Exception):
    """Say what happened (title, detail) and what to do now (hint), in HTTP's and OpenAI's terms."""

    title: ClassVar[str] = "The proxy failed"
    hint: ClassVar[str] = ""
    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "server_error"
    should_retry: ClassVar[bool | None] = None  # what x-should-retry tells the SDKs; None says nothing

    def __init__(self, detail: str = "", *, param: str | None = None) -> None:
        self.detail = redact(detail) if detail else ""  # maybe in the words of others
        self.param = param
        super().__init__(self.message)

    @property
    def message(self) -> str:
        """Title, detail and hint as the sentences a person reads."""
        what = f"{self.title}: {self.detail}" if self.detail else self.title
        sentences = filter(None, (what, as_typed(self.hint)))
        return " ".join(sentence if sentence[-1] in ".?!" else f"{sentence}." for sentence in sentences)

    def body(self) -> bytes:
        """Return the OpenAI error object, as JSON."""
        return error_body(self.message, type=self.type, code=self.code, param=self.param)

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers that belong to this error's answer."""
        headers = [("content-type", "application/json")]
        if self.should_retry is not None:
            headers.append(("x-should-retry", "true" if self.should_retry else "false"))
        return headers


def error_body(message: str, *, type: str, code: str | None, param: str | None = None) -> bytes:  # noqa: A002  the field's own name
    """Write the error object of the OpenAI API."""
    error = {"message": message, "type": type, "param": param, "code": code}
    return json.dumps({"error": error}, ensure_ascii=False).encode("utf-8", "backslashreplace")


class ConfigurationError(ProxyError):
    """Stop the start, with one line that says why."""

    title = "The proxy cannot start"
    type = "configuration_error"
    code = "configuration_error"


class SettingError(ConfigurationError):
    """Refuse a setting's value."""

    title = "A setting is wrong"
    field: str | None = None  # which one, and
    origin: str | None = None  # where its value comes from, where both are known


class PortTaken(ConfigurationError):
    """Say that another program listens on the port."""

    title = "The port is taken"
    hint = "Stop that program, or choose another port with --port or PROXY_PORT"


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


class BodyTooLarge(RequestRefused):
    """Refuse a body over the limit."""

    title = "The request body is too large"
    hint = "The limit is the setting PROXY_MAX_BODY_MB"
    status = 413
    code = "request_too_large"


class WebSocketUnsupported(RequestRefused):
    """Own up to a server under which no connection can leave HTTP."""

    title = "This server cannot carry a WebSocket"
    hint = "A plain WSGI server answers requests only; start the proxy with `openai-tray-proxy serve`"
    status = 501
    code = "websocket_unsupported"


class NoUpstreamKey(ProxyError):
    """Say where to put the upstream key."""

    title = "The proxy has no upstream API key yet"
    hint = "Store it with `openai-tray-proxy key set`, on the program's page, or in OPENAI_API_KEY"
    status = 503
    type = "configuration_error"
    code = "no_upstream_key"
    should_retry = False


class ServerFault(ProxyError):
    """Own up to a bug of ours; the stack stands in the log only."""

    title = "The proxy made a mistake"
    hint = "Its log tells more; please report it with the request id"


class UpstreamFailure(ProxyError):
    """Report that the upstream gave no usable answer."""

    title = "The upstream failed"
    status = 502
    type = "upstream_error"
    code = "upstream_error"


class UpstreamUnreachable(UpstreamFailure):
    """No connection could be made."""

    title = "The upstream cannot be reached"
    hint = "Check the network and OPENAI_BASE_URL"
    code = "upstream_unreachable"


class UpstreamDnsFailure(UpstreamFailure):
    """The upstream's name did not resolve."""

    title = "The upstream's name cannot be resolved"
    hint = "Check the network and the host in OPENAI_BASE_URL"
    code = "upstream_dns_error"


class UpstreamTlsFailure(UpstreamFailure):
    """No safe connection could be made; verification is never turned off."""

    title = "No safe connection to the upstream"
    hint = "If your network inspects TLS, name its certificate file in OPENAI_CA_FILE"
    code = "upstream_tls_error"
    should_retry = False


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
    hint = "Is there a captive portal or a wrong OPENAI_BASE_URL in between?"
    code = "upstream_invalid_response"


class UpstreamUnexpectedStatus(UpstreamFailure):
    """The upstream answered with a status the API does not have, such as a redirect."""

    title = "The upstream answered with an unexpected status"
    hint = "Redirects are not followed: they would carry your key elsewhere; correct OPENAI_BASE_URL"
    code = "upstream_unexpected_status"
    should_retry = False
