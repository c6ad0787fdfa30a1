"""Find the endpoint that a path means in any spelling: parameter rules apply wherever an upstream would serve it.

Some upstreams ignore case (ASP.NET), drop the text after a semicolon (Java) or an extension (Rails), take a backslash
for a slash (Windows), or have a gateway in front that decodes once more.
"""

import posixpath
import re
from urllib.parse import parse_qsl, unquote

from proxy.settings.parsing import fold_name

# Those with rules of their own, below /v1; some upstreams name the model before them, in the address.
JSON_ENDPOINTS = (
    *("/chat/completions", "/completions", "/responses", "/embeddings"),
    *("/messages/count_tokens", "/messages"),  # Claude's API
)
ENDPOINT = re.compile(
    rf"(?:/v1)*(?P<named>/(?:engines|deployments)/.+?)?(?P<endpoint>{'|'.join(JSON_ENDPOINTS)})(?:\.\w*)?"
)
# Those that take files; what is sent there is passed on as it arrives, and never held in memory.
UPLOADS = re.compile(
    r"/files|/uploads/[^/]+/parts|/audio/(?:transcriptions|translations|voices)|/images/(?:edits|variations)"
    r"|/videos(?:/[^/]+)*|/containers/[^/]+/files|/skills(?:/[^/]+/versions)?"
)
# Where what is sent belongs to no model, as files do.
WITHOUT_MODEL = re.compile(r"/(?:files|uploads|containers|skills|batches|vector_stores)(?:/.*)?")
# Whose answer any provider can give: nothing of it is kept for a later request.
STATELESS = re.compile(
    r"/audio/(?:transcriptions|translations|speech)|/images/(?:generations|edits|variations)|/moderations"
    r"|(?:/v\d+)?/(?:rerank|ocr|score|classify)"
)
ENDS = re.compile(r"[?#\0]")  # where the path ends for those who decode before they look
MAX_DECODINGS = 3


def json_endpoint(path: str) -> str | None:
    """Return the endpoint with parameter rules that a path means, else None; `/v1` may be left out of the path."""
    match = ENDPOINT.fullmatch(plain(path))
    return match["endpoint"] if match else None


def takes_files(path: str) -> bool:
    """Return whether files are uploaded to a path below /v1."""
    return UPLOADS.fullmatch(path.rstrip("/")) is not None


def names_no_model(path: str) -> bool:
    """Return whether what is sent to a path below /v1 is known to belong to no model."""
    return WITHOUT_MODEL.fullmatch(path) is not None


def is_stateless(path: str) -> bool:
    """Return whether a request that is only passed on can be answered by any provider of its model."""
    return STATELESS.fullmatch(path.rstrip("/")) is not None


def names_model(path: str, query: str) -> bool:
    """Return whether the path or query of an endpoint with rules names a model; LiteLLM accepts both."""
    match = ENDPOINT.fullmatch(plain(path))
    if match and match["named"]:
        return True
    return any(fold_name(name) == "model" for name, _ in parse_qsl(query.replace(";", "&"), keep_blank_values=True))


def plain(path: str) -> str:
    """Return the path as a lenient upstream could read it: decoded, in lower case, without parameters and dots."""
    for _ in range(MAX_DECODINGS):
        path = unquote(path)
    path = ENDS.split(path.casefold().replace("\\", "/"), maxsplit=1)[0]
    segments = (segment.partition(";")[0].strip() for segment in path.split("/"))
    return posixpath.normpath("/" + "/".join(segments).lstrip("/"))
