"""Why a server does not run, in one sentence."""

from mcp import MCPError

from proxy.logs.redaction import escape, redact

SAID_LIMIT = 300  # characters of an error


def innermost(error: BaseException | None) -> BaseException | None:
    """Return the error that tells: groups of errors hold it within."""
    while isinstance(getattr(error, "exceptions", None), tuple):
        error = error.exceptions[0]  # type: ignore[union-attr]  # Python 3.10 has no name for such groups
    return error


def is_end(error: BaseException) -> bool:
    """Tell whether an error says no more than that the connection ended."""
    return isinstance(error, MCPError) and "closed" in error.error.message.lower()


def described(error: BaseException) -> str:
    """Say what stopped a server."""
    return escape(redact(f"{type(error).__name__}: {str(error).partition(chr(10))[0][: SAID_LIMIT * 2]}"))[:SAID_LIMIT]
