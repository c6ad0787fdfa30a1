"""How a program of the same user reaches a running proxy: a private file says where, and both prove they read it.

A web page can read no file. Another user can neither read this one nor write one that is believed. Whoever took the
port of a proxy that ended is not told the token, and cannot answer without it.
"""

import hmac
import json
import os
import secrets
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from proxy.errors.configuration import NoProxyRuns, RunsAlready
from proxy.files import is_private, write_private

ASK_LIMIT_S = 2.0
ASK_AGAIN_S = 0.1
END_LIMIT_S = 10.0
LONGEST_ANSWER = {"activate": 1000, "link": 1000, "upstreams": 262_144, "report": 1_000_000}  # bytes
NONCE_HEADER = "X-Tray-Nonce"
PROOF_HEADER = "X-Tray-Proof"

Wish = Literal["activate", "link", "upstreams", "report"]


@dataclass(frozen=True)
class InstanceInfo:
    """How to reach a running proxy; who knows the token could read the user's private files."""

    pid: int
    url: str
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.pid, int) or not isinstance(self.token, str) or not str(self.url).startswith("http://"):
            raise ValueError("this does not say how to reach an instance")

    @property
    def port(self) -> int | None:
        """The port it serves at."""
        return urlsplit(self.url).port


def publish(file: Path, info: InstanceInfo) -> None:
    """Say how to reach a proxy; raises OSError."""
    write_private(file, json.dumps(asdict(info)).encode())


@contextmanager
def published(file: Path, info: InstanceInfo) -> Iterator[None]:
    """Say how to reach a proxy until the block ends; raises OSError."""
    publish(file, info)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read(file: Path) -> InstanceInfo | None:
    """Return what a file says, None where it says nothing or others could have written or read it."""
    try:
        with file.open("rb") as opened:
            is_believed = is_private(os.fstat(opened.fileno()))
            return InstanceInfo(**json.loads(opened.read())) if is_believed else None
    except (OSError, ValueError, TypeError):
        return None


def found(folder: Path) -> list[InstanceInfo]:
    """Return the proxies that have published themselves in a folder; one that was killed may still be among them."""
    return [info for file in sorted(folder.glob("*.json")) if (info := read(file)) is not None]


def fresh_link(folder: Path, usual_port: int, port: int | None = None) -> str:
    """Return a link to the page of a running proxy, at this port or preferably at the usual one; raises NoProxyRuns."""
    running = [info for info in found(folder) if port in (None, info.port)]
    for info in sorted(running, key=lambda info: info.port != usual_port):
        if link := ask(info, "link"):
            return link
    raise NoProxyRuns("" if port is None else f"at port {port}")


def proven(folder: Path, usual_port: int) -> InstanceInfo | None:
    """Return a running proxy that proves itself, preferably at the usual port; None where there is none."""
    running = sorted(found(folder), key=lambda info: info.port != usual_port)
    return next((info for info in running if ask(info, "link")), None)


def upstream_states(folder: Path, usual_port: int) -> dict[str, str]:
    """Return in words how each upstream of a running proxy is doing; nothing where none runs."""
    for info in sorted(found(folder), key=lambda info: info.port != usual_port):
        if (said := ask(info, "upstreams")) is not None:
            states = json.loads(said)  # proven to be ours
            return states if isinstance(states, dict) else {}
    return {}


def check_own(folder: Path, port: int) -> None:
    """Raise RunsAlready where a taken port is a proxy's of the same user."""
    if any(info.port == port and ask(info, "link") for info in found(folder)):
        raise RunsAlready(f"a proxy of yours has port {port}")


def end_all(folder: Path) -> list[InstanceInfo]:
    """Ask the running proxies of a folder to end, and return those that still run after some seconds.

    Only one that proves itself is ended: the process of another may have its number by now.
    """
    running = [info for info in found(folder) if ask(info, "link")]
    for info in running:
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            os.kill(info.pid, signal.SIGTERM)
    deadline = time.monotonic() + END_LIMIT_S
    while running and time.monotonic() < deadline:
        time.sleep(ASK_AGAIN_S)
        running = [info for info in running if ask(info, "link")]
    return running


def proof(token: str, *words: str) -> str:
    """Return what only somebody who knows the token can say about these words."""
    return hmac.new(token.encode(), json.dumps(words).encode(), "sha256").hexdigest()


def is_proof(offered: str | None, token: str, *words: str) -> bool:
    """Tell whether it was said by somebody who knows the token."""
    return hmac.compare_digest(proof(token, *words).encode(), (offered or "").encode("utf-8", "replace"))


def ask(info: InstanceInfo, wish: Wish) -> str | None:
    """Ask a running proxy to come to the front, for a link to its page, or what it says of its upstreams or of itself.

    None for no answer in two seconds.
    """
    nonce = secrets.token_hex(16)
    headers = {NONCE_HEADER: nonce, PROOF_HEADER: proof(info.token, wish, urlsplit(info.url).netloc, nonce)}
    request = urllib.request.Request(  # noqa: S310  see InstanceInfo
        f"{info.url}/_tray/{wish}", data=b"", headers=headers, method="POST"
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through HTTP_PROXY
    try:
        with opener.open(request, timeout=ASK_LIMIT_S) as answer:
            said = str(answer.read(LONGEST_ANSWER[wish]).decode("utf-8", "replace"))
            return said if is_proof(answer.headers.get(PROOF_HEADER), info.token, nonce, said) else None
    except urllib.error.HTTPError as error:
        error.close()
    except (OSError, ValueError, HTTPException):
        pass
    return None
