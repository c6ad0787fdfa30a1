"""POST /v1/embeddings: unit vectors made from a hash, the same for the same text."""

import base64
import hashlib
import math
from array import array

from proxy.upstream.demo.asgi import Reply, Request
from proxy.upstream.demo.body import JsonObject, json_document, read_count, read_model, read_object
from proxy.upstream.demo.problems import DemoRefusal
from proxy.upstream.demo.texts import count_tokens

DIMENSIONS = 256
DIMENSIONS_LIMIT = 3072
# The vectors are made on the event loop, so a request may not ask for seconds of work.
INPUTS_LIMIT = 128


def create_embeddings(request: Request) -> Reply:
    """Embed one text or several; the numbers come as a list, or as base64, which the SDK prefers."""
    body = read_object(request)
    model = read_model(body)
    texts = _read_input(body.get("input"))
    dimensions = read_count(body, "dimensions", default=DIMENSIONS, most=DIMENSIONS_LIMIT)
    as_base64 = body.get("encoding_format") == "base64"
    data = [_embedding(index, embed(text, dimensions), as_base64=as_base64) for index, text in enumerate(texts)]
    tokens = sum(count_tokens(text) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_document({"object": "list", "data": data, "model": model, "usage": usage})


def embed(text: str, dimensions: int) -> "array[float]":
    """Return the unit vector of a text, in single precision as the API has it."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    numbers = [value - 32767.5 for value in memoryview(digest).cast("H")]
    length = math.hypot(*numbers)
    return array("f", (number / length for number in numbers))


def _embedding(index: int, vector: "array[float]", *, as_base64: bool) -> JsonObject:
    value = base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist()
    return {"object": "embedding", "index": index, "embedding": value}


def _read_input(value: object) -> list[str]:
    # Texts may come as token numbers too: a list of them is one text, a list of lists several.
    several = value if isinstance(value, list) and not _is_tokens(value) else [value]
    if not several or not all(isinstance(text, str) or _is_tokens(text) for text in several):
        raise DemoRefusal("Invalid 'input': expected a string, a list of strings, or token numbers.", param="input")
    if len(several) > INPUTS_LIMIT:
        raise DemoRefusal(f"Invalid 'input': the demo embeds at most {INPUTS_LIMIT} texts at once.", param="input")
    return [str(text) for text in several]


def _is_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, int) for item in value)
