"""A request as the stages pass it on."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from proxy.exchange.arriving import has_passed
from proxy.http.headers import Headers
from proxy.policy.access import Caller
from proxy.policy.params import ParameterRules
from proxy.settings.model import Settings
from proxy.stream.keep_alive import KeepAlive
from proxy.upstream.routing import Target

if TYPE_CHECKING:
    from proxy.upstream.client import UpstreamClient  # which brings the SDK

Kind = Literal["json", "relay", "websocket"]  # a body with rules; any request, as it came; a handshake


class RequestBody(Protocol):
    """The body of a request, which may still be arriving."""

    length: int | None  # bytes, where the client said so; 0 when there is none
    whole: bytes | None  # all of it, where it has come together with the head

    async def read(self, limit_bytes: int) -> bytes:
        """Return all of it; raises BodyTooLarge or MalformedRequest."""

    def pieces(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield it as it arrives; raises as `read`."""


@dataclass(frozen=True)
class RequestHead:
    """What a view has read of a request and let in: all but its body."""

    kind: Kind
    method: str
    path: str  # below the base URL, as the client encoded it
    query: str
    headers: Headers  # those that may go upstream
    caller: Caller
    encoding: str = ""  # of the body, as its header names it
    client: str | None = None  # the calling program
    upstream: str | None = None  # the name of the one it asks for
    received: Headers = field(default_factory=Headers, repr=False)  # all the client sent; who shows it hides secrets
    wants_json: bool = False  # this endpoint answers with JSON (or, streamed, with events) and nothing else


@dataclass(frozen=True)
class StreamOptions:
    """What a request for a stream says about it."""

    asked_usage: bool = False  # the client asked for the usage chunk
    hides_usage: bool = False  # the proxy asked for it, and takes it out again


@dataclass(slots=True)
class Request:
    """A request on its way to an upstream. The stages fill it in; what they send on changed is a copy."""

    head: RequestHead
    headers: Headers  # those of the head, as they go upstream
    settings: Settings  # those in force when it came
    incoming: RequestBody
    keep_alive: KeepAlive
    body: bytes | AsyncIterable[bytes] | None = None  # as it goes upstream; None: there is none
    length: int | None = None  # in bytes, where it is known
    fields: dict[str, Any] = field(default_factory=dict)  # the client's JSON object, read
    is_outline: bool = False  # of which only its outline is kept: the body is large
    rules: ParameterRules | None = None  # the user's, where there are any
    stream: StreamOptions | None = None  # given where the client asked for a stream of events
    target: Target | None = None  # the upstream that was chosen for it
    upstream: "UpstreamClient | None" = None  # the client of that one, and
    upstream_key: str = field(default="", repr=False)  # the key it is asked with

    @property
    def upstream_address(self) -> str:
        """Return the base URL of the upstream that was chosen."""
        return self.target.upstream.base_url if self.target else self.settings.openai_base_url

    @property
    def is_repeatable(self) -> bool:
        """Tell whether it can be sent again."""
        body = self.body
        return self.head.kind != "websocket" and (body is None or isinstance(body, bytes) or not has_passed(body))
