"""Log in to servers elsewhere with OAuth, by the SDK; its tokens are kept in the keyring, and renewed from there."""

import asyncio
import hashlib
import html
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import (
    AuthorizationCodeResult,
    OAuthClientInformationFull,
    OAuthClientMetadata,
    OAuthMetadata,
    OAuthToken,
    ProtectedResourceMetadata,
)
from pydantic import AnyUrl, BaseModel, ValidationError

from proxy.errors.keyring import KeyringFailure
from proxy.tools.tool import JsonObject

WAIT_S = 300.0  # for the user to log in
MAX_REQUEST_BYTES = 16_384
CALLBACK = "/callback"
DONE = "You are logged in. This page can be closed."
REFUSED = "The login did not work: {}. This page can be closed."

log = logging.getLogger(__name__)

Model = TypeVar("Model", bound=BaseModel)
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class Vault(Protocol):
    """Where secrets are kept. Both methods may block for some seconds and raise KeyringFailure."""

    def read(self, name: str) -> str | None:
        """Return what is kept under a name."""

    def write(self, name: str, secret: str) -> None:
        """Keep a secret under a name."""


class LoginNeeded(Exception):
    """Say that nobody is there to log in."""


class LoginFailed(Exception):
    """Say why a login did not work."""


class Login:
    """The login at one server, as the SDK's TokenStorage."""

    def __init__(self, url: str, vault: Vault, in_thread: InThread) -> None:
        self._url = url
        self._vault = vault
        self._in_thread = in_thread
        self._entry = f"mcp-{hashlib.sha256(url.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"
        self._kept: JsonObject = {}
        self._provider: OAuthClientProvider | None = None

    async def stored(self) -> OAuthClientProvider | None:
        """Return what sends the tokens and renews them, None where there are none. It opens no page."""
        try:
            text = await self._in_thread(lambda: self._vault.read(self._entry))
            kept = json.loads(text) if text else {}
            self._kept = kept if isinstance(kept, dict) else {}
            if "tokens" not in self._kept:
                return None
            provider = self._made("http://127.0.0.1/callback", refuse, never)
            context = provider.context
            # The SDK keeps these for one run alone, and without them finds neither the end of a token nor its renewal.
            context.token_expiry_time = self._kept.get("expires")
            if "server" in self._kept:
                context.oauth_metadata = OAuthMetadata.model_validate(self._kept["server"])
            if "resource" in self._kept:
                context.protected_resource_metadata = ProtectedResourceMetadata.model_validate(self._kept["resource"])
            context.auth_server_url = self._kept.get("issuer")
        except (KeyringFailure, ValueError) as error:  # pydantic's errors are ValueErrors
            log.warning("the login at an MCP server cannot be read: %s", type(error).__name__)
            return None
        return provider

    def new(
        self, port: int, show: Callable[[str], Awaitable[None]], wait: Callable[[], Awaitable[AuthorizationCodeResult]]
    ) -> OAuthClientProvider:
        """Return what logs in anew: `show` is given the page to open, `wait` returns what comes back from it."""
        self._kept = {}
        return self._made(f"http://127.0.0.1:{port}{CALLBACK}", show, wait)

    def _made(
        self, back: str, show: Callable[[str], Awaitable[None]], wait: Callable[[], Awaitable[AuthorizationCodeResult]]
    ) -> OAuthClientProvider:
        about = OAuthClientMetadata(client_name="OpenAI Tray Proxy", redirect_uris=[AnyUrl(back)])
        self._provider = OAuthClientProvider(self._url, about, self, show, wait)
        return self._provider

    async def get_tokens(self) -> OAuthToken | None:
        """Return the tokens."""
        return read_as(OAuthToken, self._kept.get("tokens"))

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        """Return what the server knows us as."""
        return read_as(OAuthClientInformationFull, self._kept.get("client"))

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        """Keep what the server knows us as; it is written with the tokens."""
        self._kept["client"] = client_info.model_dump(mode="json", exclude_none=True)

    async def set_tokens(self, tokens: OAuthToken) -> None:
        """Keep the tokens, and what it takes to renew them; raises KeyringFailure."""
        self._kept["tokens"] = tokens.model_dump(mode="json", exclude_none=True)
        if self._provider is not None:
            context = self._provider.context
            self._kept["expires"] = context.token_expiry_time
            self._kept["issuer"] = context.auth_server_url
            for name, value in (("server", context.oauth_metadata), ("resource", context.protected_resource_metadata)):
                if value is not None:
                    self._kept[name] = value.model_dump(mode="json", exclude_none=True)
        text = json.dumps(self._kept)
        await self._in_thread(lambda: self._vault.write(self._entry, text))


class Callback:
    """A page on this computer that a login comes back to, once."""

    def __init__(self) -> None:
        self._came: asyncio.Future[AuthorizationCodeResult] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> "Callback":
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0, limit=MAX_REQUEST_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        self._came.cancel()

    async def wait(self) -> AuthorizationCodeResult:
        """Return what came back; raises LoginFailed."""
        try:
            return await asyncio.wait_for(asyncio.shield(self._came), WAIT_S)
        except asyncio.TimeoutError as error:
            raise LoginFailed(f"nobody logged in within {WAIT_S:g} s") from error

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            method, _, rest = head.decode("latin-1").partition(" ")
            address = urlsplit(rest.partition(" ")[0])
            given = {name: values[0] for name, values in parse_qs(address.query).items()}
            status, text = "404 Not Found", "Nothing is here."
            if method == "GET" and address.path == CALLBACK and not self._came.done():
                status, text = "200 OK", self._take(given)
            body = f"<!doctype html><meta charset=utf-8><title>Login</title><p>{html.escape(text)}".encode()
            fields = "Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nConnection: close"
            writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.TimeoutError, ValueError):
            log.debug("a login's page was asked for badly")
        finally:
            writer.close()

    def _take(self, given: dict[str, str]) -> str:
        if "code" in given:
            came = AuthorizationCodeResult(code=given["code"], state=given.get("state"), iss=given.get("iss"))
            self._came.set_result(came)
            return DONE
        why = given.get("error_description") or given.get("error") or "nothing came back"
        self._came.set_exception(LoginFailed(why[:200]))
        return REFUSED.format(why[:200])


def read_as(kind: type[Model], value: object) -> Model | None:
    """Return a value that was kept, None where it is none."""
    try:
        return kind.model_validate(value) if value is not None else None
    except ValidationError:
        return None


async def refuse(url: str) -> None:  # noqa: ARG001  as the SDK has it
    """Open no page: nobody has asked for it."""
    raise LoginNeeded


async def never() -> AuthorizationCodeResult:
    """Wait for nothing."""
    raise LoginNeeded
