"""The real proxy, run inside the test's process: the same parts as the program, on a free port."""

from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import openai

from fakes.leaks import know
from fakes.memory_keychain import MemoryKeychain
from proxy.exchange.stage import KEEP_ALIVE_S
from proxy.hosting import server_for
from proxy.server.limits import Limits
from proxy.services import assemble


class RunningProxy:
    """Start with settings as the command line would give them; stop at the end of the `with` block."""

    def __init__(
        self,
        *,
        settings_file: Path | None = None,
        limits: Limits | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
        ledger_file: Path | None = None,
        **settings: Any,
    ) -> None:
        self.keychain = MemoryKeychain()
        self.services = assemble(
            {"proxy_port": 0, **settings},
            settings_file,
            lambda: self.keychain,
            keep_alive_s=keep_alive_s,
            # The proxy of a module starts before any test has a home of its own.
            ledger_file=ledger_file or (settings_file and settings_file.with_suffix(".sqlite3")),
        )
        know(*self.services.every_secret())
        try:
            self.server = server_for(self.services, limits=limits)
        except SystemError:  # CPython 3.11: two threads in ast.parse, which compiles the routes, collide
            self.server = server_for(self.services, limits=limits)

    def __enter__(self) -> "RunningProxy":
        host = self.services.store.current.proxy_host
        self.address = self.server.start(host, self.services.store.current.proxy_port)
        self.http = httpx2.Client(base_url=self.root_url, trust_env=False, timeout=20)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self.server.stop()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.address.port

    @property
    def base_url(self) -> str:
        """The URL tools are pointed at, ending in /v1."""
        return self.address.base_url

    @property
    def root_url(self) -> str:
        """The same without /v1."""
        return self.address.base_url.removesuffix("/v1")

    def sdk(self, **options: Any) -> openai.OpenAI:
        """Return the official client, pointed at the proxy; it does not retry unless asked to. Close it."""
        return openai.OpenAI(
            **{"base_url": self.base_url, "api_key": "any", "max_retries": 0, "timeout": 20, **options}
        )

    def async_sdk(self, **options: Any) -> openai.AsyncOpenAI:
        """Return the official asynchronous client likewise."""
        return openai.AsyncOpenAI(
            **{"base_url": self.base_url, "api_key": "any", "max_retries": 0, "timeout": 20, **options}
        )
