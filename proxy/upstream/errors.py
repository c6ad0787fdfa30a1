"""Turn the SDK's errors, and those of its HTTP library, into ours, at the one border where they arise."""

from types import TracebackType

import httpx2
import openai

from proxy.errors.proxy_error import ProxyError
from proxy.errors.upstream import UpstreamFailure, UpstreamProtocolFailure, UpstreamTimeout, UpstreamUnreachable

# Read from the top: the first class that fits decides.
TABLE: tuple[tuple[type[BaseException], type[UpstreamFailure]], ...] = (
    (httpx2.InvalidURL, UpstreamUnreachable),
    (httpx2.TimeoutException, UpstreamTimeout),
    (httpx2.TransportError, UpstreamProtocolFailure),
    (openai.APITimeoutError, UpstreamTimeout),
    (openai.APIConnectionError, UpstreamUnreachable),
    (openai.OpenAIError, UpstreamProtocolFailure),
)
FOREIGN = tuple(foreign for foreign, _ in TABLE)


class ForeignErrors:
    """A context manager that re-raises foreign errors as ours; it holds no state and can be entered many times."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, FOREIGN):
            raise translate(error) from error


def translate(error: BaseException) -> ProxyError:
    """Return our error for a foreign one; where we raised it ourselves below the SDK, that one."""
    root = error
    while isinstance(root, FOREIGN) and root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, ProxyError):
        return root
    for cause in (root, error):
        for foreign, ours in TABLE:
            if isinstance(cause, foreign):
                return ours(str(root).partition("\n")[0] or type(cause).__name__)
    return UpstreamProtocolFailure(str(error).partition("\n")[0])


opening = ForeignErrors()
