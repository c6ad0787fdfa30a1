"""POST /v1/embeddings: unit vectors made from a hash, the same for the same text."""

import base64
import hashlib
import math
from array import array

from proxy.demo.body import JsonObject, Refusal, read_count, read_model
from proxy.demo.prompt_cache import PromptCache
from proxy.demo.texts import count_tokens

DIMENSIONS = 256
MAX_DIMENSIONS = 3072
MAX_INPUTS = 128


def create_embeddings(body: JsonObject, _: PromptCache) -> JsonObject:
    """Embed one text or several; the numbers come as a list, or as base64, which the SDK prefers."""
    model = read_model(body)
    texts = _read_input(body.get("input"))
    dimensions = read_count(body, "dimensions", MAX_DIMENSIONS) or DIMENSIONS
    data: list[JsonObject] = []
    for index, text in enumerate(texts):
        vector = embed(text, dimensions)
        as_base64 = body.get("encoding_format") == "base64"
        numbers = base64.b64encode(vector.tobytes()).decode() if as_base64 else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": numbers})
    tokens = sum(map(count_tokens, texts))
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


def embed(text: str, dimensions: int) -> "array[float]":
    """Return the unit vector of a text, in single precision as the API has it."""
    digest = hashlib.shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    numbers = [value - 32767.5 for value in memoryview(digest).cast("H")]
    length = math.hypot(*numbers)
    return array("f", (number / length for number in numbers))


def _read_input(value: object) -> list[str]:
    # Texts may come as token numbers too: a list of them is one text, a list of lists several.
    several = value if isinstance(value, list) and not _is_tokens(value) else [value]
    if not 0 < len(several) <= MAX_INPUTS or not all(isinstance(text, str) or _is_tokens(text) for text in several):
        wanted = f"a string, token numbers, or a list of at most {MAX_INPUTS} of either"
        raise Refusal(f"Invalid 'input': expected {wanted}.", param="input")
    return [str(text) for text in several]


def _is_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, int) for item in value)
