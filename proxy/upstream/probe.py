"""Reach an upstream step by step, and time each step: name, connection, TLS, key and models. Blocks."""

import asyncio
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import TypeVar

from proxy.errors.proxy_error import ProxyError
from proxy.errors.upstream import UpstreamDnsFailure, UpstreamUnreachable
from proxy.upstream.client import origin_of
from proxy.upstream.dial import Dialer, Origin, connect, reason
from proxy.upstream.errors import opening
from proxy.upstream.key_test import LIMIT_S, KeyAnswer, list_models
from proxy.upstream.network_proxy import NetworkProxy, passed_over
from proxy.upstream.options import CONNECT_LIMIT_S, UpstreamOptions, naming
from proxy.upstream.steps import Probe, Step
from proxy.upstream.tls import failure_of, start_tls, tls_context

T = TypeVar("T")


class StepFailed(Exception):
    """A step has failed, and is noted."""


class Steps:
    """Take steps towards an upstream, and note how long each took."""

    def __init__(self, options: UpstreamOptions) -> None:
        self._options = options
        self.taken: list[Step] = []

    async def take(self, name: str, act: Callable[[], Awaitable[T]], limit_s: float) -> T:
        """Take a step; raises StepFailed."""
        began, problem = time.monotonic(), None
        try:
            with naming(self._options):
                return await asyncio.wait_for(act(), limit_s)
        except ProxyError as error:
            problem = str(error)
            raise StepFailed from error
        except (TimeoutError, asyncio.TimeoutError) as error:  # two classes before Python 3.11
            problem = f"no answer within {limit_s:.0f} s"
            raise StepFailed from error
        except (OSError, ValueError) as error:
            problem = reason(error)
            raise StepFailed from error
        finally:
            self.taken.append(Step(name, round((time.monotonic() - began) * 1000, 1), problem))


def probe(options: UpstreamOptions, key: str | None) -> Probe:
    """Reach an upstream; what fails stands in its step. Without a key nothing is asked there."""
    return asyncio.run(walk(replace(options, max_retries=0, timeout_s=min(options.timeout_s, LIMIT_S)), key))


async def walk(options: UpstreamOptions, key: str | None) -> Probe:
    """Take the steps one after the other."""
    steps, answer = Steps(options), KeyAnswer()
    try:
        await reach(steps, options)
        if key is not None:
            answer = await steps.take("key and models", lambda: list_models(options, key), LIMIT_S)
    except StepFailed:
        pass
    except ProxyError as error:
        steps.taken.append(Step("settings", 0.0, str(error)))
    if answer.refusal is not None:
        steps.taken[-1] = replace(steps.taken[-1], problem=answer.refusal)
    return Probe(tuple(steps.taken), answer.models, clock_ahead(answer.date))


async def reach(steps: Steps, options: UpstreamOptions) -> None:
    """Look up the name, connect and shake hands; raises StepFailed, UpstreamFailure."""
    with naming(options), opening:
        origin = origin_of(options.base_url)
    with naming(options):
        context = tls_context(options)
    if options.network_proxy is not None:
        dialer = Dialer(origin, context, NetworkProxy.of(options.network_proxy))
        (await steps.take("way through the network proxy", dialer.open, CONNECT_LIMIT_S + 1)).abort()
        return
    address = await steps.take("DNS", lambda: look_up(origin), CONNECT_LIMIT_S)
    transport = await steps.take("TCP", lambda: open_tcp(origin, address), CONNECT_LIMIT_S)
    try:
        if origin.is_tls:
            name = origin.host.rstrip(".")
            transport = await steps.take("TLS", lambda: shake_hands(transport, context, name), CONNECT_LIMIT_S)
    finally:
        transport.abort()


async def look_up(origin: Origin) -> str:
    """Return the first address of a name; raises UpstreamDnsFailure."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UpstreamDnsFailure(f"{origin}: {reason(error)}") from error
    return str(found[0][4][0])


async def open_tcp(origin: Origin, address: str) -> asyncio.Transport:
    """Return a connection to the address; to any of the name's where it has several. Raises UpstreamUnreachable."""
    try:
        return await connect(origin.host, origin.port)
    except (OSError, UnicodeError) as error:
        raise UpstreamUnreachable(f"{origin} ({address}): {reason(error)}{passed_over(origin.host)}") from error


async def shake_hands(transport: asyncio.Transport, context: ssl.SSLContext, name: str) -> asyncio.Transport:
    """Return TLS over a connection; raises UpstreamTlsFailure, OSError."""
    try:
        return await start_tls(transport, context, name)
    except ssl.SSLError as error:
        raise failure_of(error) from error


def clock_ahead(date: str | None) -> float | None:
    """Return how far this computer's clock is ahead of an answer's Date, None where it names none."""
    if date is None:
        return None
    try:
        return time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
