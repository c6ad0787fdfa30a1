"""Correct the ways in which clients misspell our addresses, before routing and without redirects."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes

from proxy.policy.endpoints import JSON_ENDPOINTS, MAX_DECODINGS, json_endpoint
from proxy.settings.parsing import PASTED_ENDPOINTS

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

WsgiApp = Callable[["WSGIEnvironment", "StartResponse"], Iterable[bytes]]

# First segments of the API. A client whose base URL lacks /v1 asks for these at the root.
API_ROOTS = frozenset(
    (
        "assistants", "audio", "batches", "chat", "completions", "containers", "conversations", "edits",
        "embeddings", "engines", "evals", "files", "fim", "fine_tuning", "health", "images", "messages", "models",
        "moderations", "organization", "realtime", "rerank", "responses", "score", "threads", "tokenize",
        "uploads", "vector_stores", "videos",
    )
)  # fmt: skip
DOUBLE_SLASH = re.compile(r"/{2,}")
# The version, however often and in whatever case, behind what other services put before it.
VERSION = re.compile(r"^(?:(?:/openai|/api)*/v1)+(?=/|$)", re.IGNORECASE)
ENCODED_OR_DOTTED = re.compile(r"[%.\\]")
SEPARATOR = re.compile(rb"[/\\]")
ENDS_SEGMENT = re.compile(rb"[;?#\0]")  # for servers that know parameters in a path, or decode before they look
OVERLONG = ((b"\xc0\xae", b"."), (b"\xc0\xaf", b"/"), (b"\xc1\x9c", b"\\"))  # not UTF-8, yet read by some
EXACT = frozenset(f"/v1{endpoint}" for endpoint in JSON_ENDPOINTS)
SAFE_IN_PATH = "/!$&'()*+,;=:@-._~"


def one_address(raw_path: str) -> str:
    """Return the path a client means, still percent-encoded."""
    path = DOUBLE_SLASH.sub("/", raw_path)
    if len(path) > 1:
        path = path.rstrip("/")
    path = VERSION.sub("/v1", path)
    rest = path.removeprefix("/v1") if path.startswith("/v1/") else path
    if rest.lstrip("/").partition("/")[0] not in API_ROOTS:
        return path
    while (tail := without_pasted(rest)) is not None:
        rest = tail
    return f"/v1{rest}"


def without_pasted(path: str) -> str | None:
    """Return the path after a pasted endpoint, None if the path does not begin with one."""
    for endpoint in PASTED_ENDPOINTS:
        tail = path.removeprefix(endpoint)
        if tail != path and tail.startswith("/") and tail[1:].partition("/")[0] in API_ROOTS:
            return tail
    tail = path.removeprefix("/models")  # what follows may be a model's name: it must be an endpoint, whole
    return tail if tail != path and tail in (*PASTED_ENDPOINTS, "/models") else None


def leaves_its_folder(raw_path: str) -> bool:
    """Return whether a path has `..` segments, plain or encoded, which would leave the upstream's base URL."""
    if ENCODED_OR_DOTTED.search(raw_path) is None:
        return False
    path = raw_path.encode("utf-8", "surrogateescape")
    for _ in range(MAX_DECODINGS + 1):
        if any(ENDS_SEGMENT.split(segment)[0].strip() in (b".", b"..") for segment in SEPARATOR.split(path)):
            return True
        path = unquote_to_bytes(path)
        for written, meant in OVERLONG:
            path = path.replace(written, meant)
    return False


class OneAddress:
    """A WSGI layer that corrects the path of each request; `RAW_URI` holds it as the client encoded it."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        """Serve a request at its corrected address."""
        raw_path, query = split_target(environ)
        path = one_address(raw_path)
        environ["RAW_URI"] = f"{path}?{query}" if query else path
        environ["PATH_INFO"] = routed(path)
        return self._app(environ, start_response)


def routed(path: str) -> str:
    """Return the path for routing: decoded, or the endpoint with parameter rules that an upstream could take it for."""
    # It holds no line breaks: `<path:rest>` stops at one, and no address of ours has any.
    decoded = unquote_to_bytes(path).decode("latin-1").replace("\n", " ") if "%" in path else path
    if decoded in EXACT:
        return decoded
    endpoint = json_endpoint(path) if decoded.startswith("/v1/") else None
    return f"/v1{endpoint}" if endpoint else decoded


def split_target(environ: dict[str, Any]) -> tuple[str, str]:
    """Return the path and the query of a request, both still percent-encoded."""
    query = environ.get("QUERY_STRING", "")
    target: str = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    path = target.partition("?")[0]
    if not path.startswith("/"):
        path = quote(environ.get("PATH_INFO", "/").encode("latin-1"), safe=SAFE_IN_PATH)
    return path, query
