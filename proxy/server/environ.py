"""Write a request's head as the WSGI environment Flask reads (PEP 3333)."""

import sys
from functools import lru_cache
from typing import Any, NamedTuple

from proxy.http.request_reader import IncomingHead

WITHOUT_PREFIX = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}
MAX_NAME_BYTES = 64  # of a header whose key is remembered: strangers choose the names


class Endpoints(NamedTuple):
    """The two ends of a connection, as far as they have addresses."""

    scheme: str
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None


@lru_cache(maxsize=512)
def remembered_key(name: bytes) -> str:
    """Return the environment's key for a header, made once."""
    return made_key(name)


def made_key(name: bytes) -> str:
    """Return the environment's key for a header."""
    return WITHOUT_PREFIX.get(name) or "HTTP_" + name.decode("latin-1").upper().replace("-", "_")


def environ_for(head: IncomingHead, endpoints: Endpoints) -> dict[str, Any]:
    """Return the environment; the body is not in it: views do not read it, the exchange does."""
    host, port = endpoints.server or ("", None)
    query = head.query.decode("latin-1")
    path = head.path.decode("latin-1")
    client = endpoints.client
    environ: dict[str, Any] = {
        "REQUEST_METHOD": head.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "RAW_URI": f"{path}?{query}" if query else path,
        "QUERY_STRING": query,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{head.version}",
        "REMOTE_ADDR": client[0] if client else "",
        "REMOTE_PORT": str(client[1]) if client else "0",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": endpoints.scheme,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in head.headers:
        if b"_" in name:  # it would pass for the header with hyphens, and slip by what looks at that
            continue
        key = remembered_key(name) if len(name) <= MAX_NAME_BYTES else made_key(name)
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ
