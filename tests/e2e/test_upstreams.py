"""Several upstreams behind one address, as a user has them: four of them, the official SDKs, tray, terminal and log."""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import anthropic
import openai
import pytest
from click.testing import CliRunner

from fakes.environment import clean_environment
from fakes.memory_keychain import MemoryKeychain
from fakes.scripted_upstream import Answer, Json, ScriptedUpstream, Sse, completion
from fakes.shared_upstream import Fresh
from proxy import paths
from proxy.cli.main import cli
from proxy.hosting import demo_upstream
from proxy.running import InstanceInfo, published
from proxy.services import assemble
from tray_app.commands import Commands
from tray_app.controller import ProxyController
from tray_app.menu import walk
from tray_app.state import read_state
from tray_app.view import look

ASK: Any = [{"role": "user", "content": "Hello"}]
CLAUDE_KEY, LOCAL_MODEL = "key-for-claude", "gemma-local"
REFUSED = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
}
CLAUDE_EVENTS: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude-x",
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 3, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]


class Picky(Answer):
    """Refuse `max_tokens`, as newer models do."""

    def script(self, request: Any) -> Any:
        """Return the refusal, or a chat."""
        is_refused = "max_tokens" in request.json()
        return (Json(REFUSED, 400) if is_refused else Json(completion("from llama.cpp"))).script(request)


def claude_stream(*, cut: bool = False) -> Sse:
    """Return Claude's stream, whole or broken off after its first words."""
    events = CLAUDE_EVENTS[:3] if cut else CLAUDE_EVENTS
    return Sse(
        [b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in events], done=False
    )


class Desk:
    """The tray's program without a screen, before the demo under two names, Claude's API and a llama.cpp."""

    def __init__(self, stack: ExitStack, claude: Fresh, local: Fresh) -> None:
        self.claude, self.local = claude, local
        self.demos = ExitStack()
        first = self.demos.enter_context(demo_upstream())
        second = stack.enter_context(demo_upstream())
        stack.callback(self.demos.close)
        services = assemble(
            {"proxy_port": 0, "openai_api_key": "demo"},
            keychain=lambda: keychain,
        )
        keychain = MemoryKeychain()
        services.store.update(
            openai_base_url=first["openai_base_url"],
            proxy_upstreams=[
                {"name": "second", "base_url": second["openai_base_url"], "models": ["second-*"]},
                {"name": "claude", "base_url": claude.base_url, "auth": "x-api-key", "models": ["claude-*"]},
                {"name": "llama-cpp", "base_url": local.base_url},
            ],
            proxy_aliases={"fast": "llama-cpp/small", "smart": ["default/gpt-demo", "second/gpt-demo"]},
            openai_max_retries=0,
        )
        services.upstream_keys.of(services.store.current.upstreams[2]).keep(CLAUDE_KEY)
        self.services = services
        self.controller = ProxyController(services, lambda: None)
        self.commands = Commands(self.controller, lambda title, text: None, lambda: None)
        stack.callback(self.controller.close)
        stack.callback(self.commands.close)
        self.controller.start()
        info = InstanceInfo(os.getpid(), self.controller.root_url(), self.controller.dashboard.token)
        stack.enter_context(published(paths.runtime_dir() / "tray.json", info))

    def sdk(self) -> openai.OpenAI:
        """Return the official SDK, which asks once."""
        return openai.OpenAI(base_url=self.controller.base_url, api_key="any", max_retries=0, timeout=20)

    def claude_sdk(self) -> anthropic.Anthropic:
        """Return Claude's official SDK likewise."""
        return anthropic.Anthropic(base_url=self.controller.root_url(), api_key="any", max_retries=0, timeout=20)

    def asked(self, model: str, **fields: Any) -> tuple[str, str]:
        """Ask for a chat; return the upstream that answered, and what it said."""
        with self.sdk() as client:
            answer = client.chat.completions.with_raw_response.create(model=model, messages=ASK, **fields)
            return answer.headers["x-proxy-upstream"], answer.parse().choices[0].message.content or ""

    def radios(self) -> dict[str, bool]:
        """Return the tray's radio lines: the text of each, and whether it is chosen."""
        lines = walk(look(read_state(self.controller, None, None, is_working=False)).lines)
        return {line.label: line.checked for line in lines if line.kind == "radio"}

    def status(self) -> str:
        """Return the tray's status line."""
        return look(read_state(self.controller, None, None, is_working=False)).status


@pytest.fixture(scope="module")
def claude_provider() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as provider:
        yield provider


@pytest.fixture
def desk(provider: ScriptedUpstream, claude_provider: ScriptedUpstream) -> Iterator[Desk]:
    claude, local = Fresh(claude_provider), Fresh(provider)
    claude.answer(claude_stream())
    local.answer(Picky())
    with clean_environment(), ExitStack() as stack:
        yield Desk(stack, claude, local)


def test_one_address_reaches_all_of_them(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    first = desk.asked("gpt-demo")[0]  # nobody has named it: the answer says where it is

    # by alias, and a refused parameter is mended the first time and costs no second round the next
    assert desk.asked("fast", max_tokens=5) == ("llama-cpp", "from llama.cpp")
    assert [sorted(each.json()) for each in desk.local.requests] == [
        ["max_tokens", "messages", "model"],
        ["max_completion_tokens", "messages", "model"],
    ]
    assert desk.asked("fast", max_tokens=5) == ("llama-cpp", "from llama.cpp")
    assert len(desk.local.requests) == 3
    assert {each.json()["model"] for each in desk.local.requests} == {"small"}
    assert {each.header("authorization") for each in desk.local.requests} == {None}

    # by pattern, by prefix, by the tray
    assert desk.asked("second-best")[0] == "second"
    assert desk.asked("second/gpt-demo")[0] == "second"
    desk.commands.run("use-upstream llama-cpp")
    assert desk.commands.problem is None
    assert desk.asked(LOCAL_MODEL) == ("llama-cpp", "from llama.cpp")
    assert desk.status().endswith(", via llama-cpp")
    assert desk.radios() == {
        "default: healthy": False,
        "second: healthy": False,
        "claude: healthy": False,
        "llama-cpp: healthy": True,
    }

    # the first of a chain is killed: no client hears of it before a first byte
    assert desk.asked("smart")[0] == first
    desk.demos.close()
    assert desk.asked("smart")[0] == "second"
    with desk.sdk() as client:
        stream = client.chat.completions.create(model="smart", messages=ASK, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert next(label for label in desk.radios() if label.startswith("default: cooling down until "))

    # all of it shows
    listed = CliRunner().invoke(cli, ["upstream", "list"]).output
    rows = {line[2:].split()[0]: line for line in listed.splitlines()}
    assert "cooling down until " in rows["default"]
    assert rows["second"].endswith("healthy")
    assert rows["llama-cpp"].startswith("* ")
    assert "alias of default/gpt-demo, then second/gpt-demo" in rows["smart"]
    assert "max_tokens sent as max_completion_tokens for small at llama-cpp" in listed
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "fell back from default to second" in told
    assert "max_tokens sent as max_completion_tokens" in told
    assert "model fast sent as small" in told
    assert "upstream llama-cpp" in told


def test_claudes_sdk_streams_is_cut_and_is_told(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ask: Any = {"model": "claude-x", "max_tokens": 9, "messages": ASK}
    with desk.claude_sdk() as client:
        with client.messages.stream(**ask) as events:
            assert "".join(events.text_stream) == "Grüße"
        assert desk.claude.request.header("x-api-key") == CLAUDE_KEY
        assert desk.claude.request.header("anthropic-version")

        desk.claude.answer(claude_stream(cut=True))
        seen: list[str] = []
        with pytest.raises(anthropic.APIStatusError) as caught, client.messages.stream(**ask) as events:
            seen.extend(events.text_stream)
    assert seen == ["Grüße"]
    assert "broke off" in str(caught.value)
    assert next(label for label in desk.radios() if label.startswith("claude: failing: "))
    assert "claude" in CliRunner().invoke(cli, ["upstream", "list"]).output
    told = "\n".join(record.getMessage() for record in caplog.records)
    assert "upstream claude" in told
    assert "cut by the upstream" in told
