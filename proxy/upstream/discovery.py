"""Find model servers on this computer by their default ports; the shape of an answer says what one is. Blocks."""

import http.client
import json
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

LIMIT_S = 0.3  # for the connection, and for each read
MAX_BYTES = 262_144
HOST = "127.0.0.1"
# Ports that servers of models listen on by default: Ollama, LM Studio, llama.cpp, vLLM, Jan, and their usual seconds.
PORTS = (11434, 1234, 8080, 8000, 8001, 1337, 5001, 5000)
MODELS = "/v1/models"


@dataclass(frozen=True)
class Found:
    """A server of models that answered."""

    name: str  # as an upstream of ours would be called
    title: str
    base_url: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """How one program is known: by an answer at a path of its own, or by the models it lists."""

    name: str
    title: str
    path: str
    fits: Callable[[Any], bool]


def rows_of(value: Any) -> list[Mapping[str, Any]]:
    """Return the models of a list in the API's form; none where it is another form."""
    data = value.get("data") if isinstance(value, dict) else None
    return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []


def owned_by(*owners: str) -> Callable[[Any], bool]:
    """Return a check for a list whose models have one of these owners."""
    return lambda value: any(str(row.get("owned_by", "")).lower() in owners for row in rows_of(value))


def is_lm_studio(value: Any) -> bool:
    """Tell LM Studio's own list: it says of each model whether it is loaded, and how it is quantised."""
    rows = rows_of(value)
    return bool(rows) and all({"id", "state"} <= row.keys() and {"arch", "quantization"} & row.keys() for row in rows)


def is_llama_cpp(value: Any) -> bool:
    """Tell llama.cpp's properties: the settings with which it generates, and its chat template."""
    return isinstance(value, dict) and "default_generation_settings" in value


# Read from the top: the first that fits says what it is. Paths of a program's own come before the common list.
SHAPES = (
    Shape("ollama", "Ollama", "/api/version", lambda value: isinstance(value, dict) and set(value) == {"version"}),
    Shape("lm-studio", "LM Studio", "/api/v0/models", is_lm_studio),
    Shape("llama-cpp", "llama.cpp", "/props", is_llama_cpp),
    Shape("llama-cpp", "llama.cpp", MODELS, owned_by("llamacpp")),
    Shape("vllm", "vLLM", MODELS, owned_by("vllm")),
    Shape("jan", "Jan", MODELS, owned_by("jan", "cortex", "cortexso")),
)


def find(ports: Collection[int] | None = None, *, without: Collection[int] = ()) -> list[Found]:
    """Return the servers that answer, in the order of the ports; those in `without` are not asked: one is our own."""
    asked = [port for port in ports or PORTS if port not in without]
    with ThreadPoolExecutor(max_workers=max(1, len(asked)), thread_name_prefix="discovery") as workers:
        return [found for found in workers.map(identify, asked) if found is not None]


def identify(port: int) -> Found | None:
    """Return what listens on a port of this computer, None where it is no server of models."""
    listed = fetch(port, MODELS)
    models = tuple(str(row["id"]) for row in rows_of(listed) if isinstance(row.get("id"), str))
    if not isinstance(listed, dict) or not isinstance(listed.get("data"), list):
        return None
    for shape in SHAPES:
        if shape.fits(listed if shape.path == MODELS else fetch(port, shape.path)):
            return Found(shape.name, shape.title, f"http://{HOST}:{port}/v1", models)
    return None


def fetch(port: int, path: str) -> Any:
    """Return the JSON at a path, None where there is none; no key and no header of ours is sent."""
    connection = http.client.HTTPConnection(HOST, port, timeout=LIMIT_S)
    try:
        connection.request("GET", path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return json.loads(answer.read(MAX_BYTES)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return None
    finally:
        connection.close()
