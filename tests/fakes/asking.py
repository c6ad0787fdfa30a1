"""Ask a proxy once, in each of the three ways a request can take to the upstream."""

from concurrent.futures import ThreadPoolExecutor

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json
from fakes.shared_upstream import connect
from fakes.wire_client import Reply

CHAT = "/v1/chat/completions"
MODELS = "/v1/models"
FILES = "/v1/files"
WAYS = [CHAT, MODELS, FILES]  # a JSON body, the SDK's own call, anything else
BODY = b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}'
NEVER = ("X-Should-Retry", "false")
SOON = ("Retry-After-Ms", "20")


def ask(proxy: RunningProxy, way: str = CHAT, *lines: str, limit_s: float = 15) -> Reply:
    """Ask the proxy once, in one of the ways."""
    with connect(proxy, limit_s=limit_s) as client:
        return client.post(way, BODY, *lines) if way == CHAT else client.ask("GET", way, None, *lines)


def ask_at_once(proxy: RunningProxy, ways: list[str]) -> list[Reply]:
    """Ask in several ways at the same time."""
    with ThreadPoolExecutor(len(ways)) as pool:
        return list(pool.map(lambda way: ask(proxy, way), ways))


def refusal(status: int, *headers: tuple[str, str], message: str = "scripted", code: str | None = "own") -> Json:
    """Return an error of the API."""
    error = {"message": message, "type": "own_type", "param": "p", "code": code}
    return Json({"error": error}, status=status, headers=headers)


def body_of(size: int) -> bytes:
    """Return a chat of that size."""
    return BODY.replace(b"Hi", b"Hi" + b"x" * (size - len(BODY)))
