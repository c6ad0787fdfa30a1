"""Where clients are tried: a scripted upstream, a proxy before it, and every client, direct and through."""

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from clients.node_sdks import NodeSdks, why_not
from clients.outcome import Outcome
from clients.python_sdks import run_async, run_sync
from clients.scenario import Same, Scenario
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import ScriptedUpstream, Sse
from fakes.shared_upstream import proxy_before

PYTHON_SDKS = ("openai-python", "openai-python async")
NODE_SDKS = ("openai-node", "AI SDK")
SILENCE_S = 0.5  # how long the proxy waits for an upstream whose answer is broken
PATIENCE_S = 20.0  # how long it waits for one whose answer is whole, on a computer that is busy
KEEP_ALIVE_S = 0.05  # how long one leaves a client without a word, where the answer is slow
CLIENT_WAITS_S = 25.0  # longer, so that the client hears of it
CLIENT_WAITS_DIRECT_S = 0.7  # nobody tells it of a silence

FINISHED = {"choices": [{"index": 0, "text": "a", "delta": {"content": "a"}, "finish_reason": "stop"}]}

Run = Callable[..., Outcome]


@dataclass(frozen=True)
class Pair:
    """What one client made of an answer, without the proxy and with it."""

    direct: Outcome
    proxied: Outcome

    def complaint(self, scenario: Scenario) -> str | None:
        """Say what is wrong with what came through the proxy, None where nothing is."""
        return scenario.expected.complaint(self.direct, self.proxied)


def takes(sdk: str, scenario: Scenario) -> bool:
    """Tell whether a client has this call: the AI SDK's OpenAI-compatible provider knows no responses."""
    return sdk != "AI SDK" or not scenario.call.startswith("responses")


class Bench:
    """Try scenarios, from `with` to the end of its block."""

    def __init__(self, sdks: tuple[str, ...]) -> None:
        self.sdks = sdks

    def __enter__(self) -> "Bench":
        with ExitStack() as stack:
            self._upstream = stack.enter_context(ScriptedUpstream())
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))

            def start(limit_s: float, **options: float) -> RunningProxy:
                settings = {"openai_timeout": limit_s, "openai_max_retries": 0, **options}
                return stack.enter_context(proxy_before(self._upstream.base_url, folder, **settings))

            self._patient, self._impatient = start(PATIENCE_S), start(SILENCE_S)
            self._lively = start(PATIENCE_S, keep_alive_s=KEEP_ALIVE_S)
            self._finish_once()
            self._runs: dict[str, Run] = {"openai-python": run_sync, "openai-python async": run_async}
            if any(sdk in NODE_SDKS for sdk in self.sdks):
                node = stack.enter_context(NodeSdks())
                self._runs |= {sdk: partial(node.run, sdk) for sdk in NODE_SDKS}
            self._pool = stack.enter_context(ThreadPoolExecutor(2 * len(self.sdks)))
            self._stack = stack.pop_all()
        return self

    def _finish_once(self) -> None:
        """Have the model end streams with a finish_reason, as it always has: one that never does is another case."""
        self._upstream.answer(Sse([FINISHED]))
        for proxy in (self._patient, self._impatient, self._lively):
            for path in ("/v1/chat/completions", "/v1/completions"):
                proxy.http.post(path, json={"model": "m", "messages": [], "prompt": "", "stream": True})

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def try_out(self, scenario: Scenario) -> dict[str, Pair]:
        """Return what each client made of the answer; all of them ask at the same time."""
        self._upstream.answer(scenario.answer)
        is_same = isinstance(scenario.expected, Same)
        proxy = self._lively if scenario.is_slow else self._patient if is_same else self._impatient
        direct_s = CLIENT_WAITS_S if is_same or scenario.is_slow else CLIENT_WAITS_DIRECT_S
        asked = {
            sdk: (
                self._ask(sdk, scenario, self._upstream.base_url, direct_s),
                self._ask(sdk, scenario, proxy.base_url, CLIENT_WAITS_S),
            )
            for sdk in self.sdks
            if takes(sdk, scenario)
        }
        return {sdk: Pair(direct.result(), proxied.result()) for sdk, (direct, proxied) in asked.items()}

    def _ask(self, sdk: str, scenario: Scenario, base_url: str, timeout_s: float):
        run = self._runs[sdk]
        return self._pool.submit(run, base_url, scenario.call, asks_usage=scenario.asks_usage, timeout_s=timeout_s)


def available_sdks() -> tuple[str, ...]:
    """Return the clients that can run here."""
    return PYTHON_SDKS if why_not() else PYTHON_SDKS + NODE_SDKS
