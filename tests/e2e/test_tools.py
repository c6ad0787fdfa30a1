"""The program with its tools on: before the demo upstream, with functions and an MCP server from the config folder."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import openai
import psutil
import pytest

from fakes.dashboard import form_token
from fakes.program import Program, run_python
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh
from fakes.terminal import TerminalProgram
from fakes.tool_turns import called
from waiting import wait_for

SERVER = str(Path(__file__).parents[1] / "fakes" / "mcp_server.py")
TOOLS = '''
def shout(word: str) -> str:
    """Say a word loudly."""
    return word.upper() + "!"

def keys() -> str:
    """Say which variables that may hold a key are seen here and in a child."""
    import os, subprocess, sys
    show = "import os; print(*sorted(name for name in os.environ if 'API_KEY' in name))"
    child = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split()
    return f"here {sorted(name for name in os.environ if 'API_KEY' in name)}, in a child {child}"
'''
KEYS = {
    "OPENAI_API_KEY": "the-first-upstreams",
    "OPENAI_API_KEY_SPARE": "another-upstreams",
    "PROXY_API_KEYS": "a-callers,another-callers",
    "PROXY_API_KEY": "a-callers",
}
ON = {"ENABLE_TOOL_EXECUTION": "true"}
CONFIG = Path("xdg_config_home") / "openai-tray-proxy"

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals of this kind")


def furnish(home: Path) -> Path:
    """Put a file of functions and one of MCP servers where the program looks for them."""
    folder = home / CONFIG
    folder.mkdir(parents=True, mode=0o700)
    (folder / "function_tools.py").write_text(TOOLS, encoding="utf-8")
    servers = {"own": {"command": sys.executable, "args": [SERVER]}}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": servers}), encoding="utf-8")
    return home


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    home = furnish(tmp_path_factory.mktemp("home"))
    with Program(home, "serve", "--demo", "--port", "0", **ON, **KEYS) as program:
        wait_for(lambda: "MCP server own offers" in log_of(home), "the server to come up", 40)
        yield program


def log_of(home: Path) -> str:
    """Return what the program has logged."""
    logs = list((home / "xdg_state_home").rglob("proxy.log"))
    return logs[0].read_text(encoding="utf-8") if logs else ""


@pytest.fixture
def sdk(demo: Program) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=demo.base_url, api_key="any", max_retries=0, timeout=20) as client:
        yield client


def asking(words: str) -> Any:
    return [{"role": "user", "content": words}]


QUESTIONS = {
    "a function": ("Please shout hello", "HELLO!"),
    "a shipped tool": ("Please calculate 42", "42"),
    "a tool of a server": ("Please call own__add", "2"),
    "what sees our keys": ("Please call keys", "here [], in a child []"),
    "two at once": ("Please shout hello and calculate 7", "HELLO!” and “7"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_demo_calls_a_tool_and_tells_its_result(sdk: openai.OpenAI, question: str) -> None:
    words, told = QUESTIONS[question]

    answer = sdk.chat.completions.create(model="demo-chat", messages=asking(words))
    stream = sdk.chat.completions.create(model="demo-chat", messages=asking(words), stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    response = sdk.responses.create(model="demo-chat", input=words)

    assert told in str(answer.choices[0].message.content)
    assert answer.choices[0].finish_reason == "stop"
    assert told in text
    assert told in response.output_text


def test_a_tool_of_a_server_that_may_write_is_refused_where_nobody_can_be_asked(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="demo-chat", messages=asking("Please call own__environment HOME"))

    assert "The user did not allow this call" in str(answer.choices[0].message.content)


def test_the_log_has_a_line_for_each_call_and_nothing_of_what_was_said(demo: Program, sdk: openai.OpenAI) -> None:
    sdk.chat.completions.create(model="demo-chat", messages=asking("Please shout confidential"))

    wait_for(lambda: "tool 'shout' ok" in log_of(demo.home), "the line of the call")
    assert "confidential" not in log_of(demo.home).lower()


@posix_only
def test_the_end_of_the_program_is_the_end_of_its_servers(tmp_path: Path) -> None:
    home = furnish(tmp_path / "home")
    with Program(home, "serve", "--demo", "--port", "0", **ON) as program:
        wait_for(lambda: "MCP server own offers" in log_of(home), "the server to come up", 40)
        children = psutil.Process(program.process.pid).children(recursive=True)
        program.send(signal.SIGTERM)
        code = program.ended()

    assert code == 0
    assert children
    wait_for(lambda: not any(child.is_running() for child in children), "the end of the servers")


def test_the_command_line_lists_and_calls_tools_of_servers(tmp_path: Path) -> None:
    home = furnish(tmp_path / "home")

    listed = run(home, "list")
    called = run(home, "call", "own__add", '{"a": 40, "b": 2}')

    assert "own__add" in listed.stdout
    assert "shout" in listed.stdout
    assert (called.returncode, called.stdout) == (0, "42\n")


def test_a_tool_that_is_tried_sees_no_key_but_those_the_user_hands_to_a_server(tmp_path: Path) -> None:
    home = furnish(tmp_path / "home")
    handed = {"OWN": "${OPENAI_API_KEY}", "SPARE": "${env:OPENAI_API_KEY_SPARE}"}
    server = {"command": sys.executable, "args": [SERVER], "env": handed}
    (home / CONFIG / "mcp.json").write_text(json.dumps({"mcpServers": {"own": server}}), encoding="utf-8")

    tried = run(home, "call", "keys", "{}", **KEYS)
    asked = json.dumps({"name": " ".join((*handed, *KEYS))})
    seen = run(home, "call", "own__environment", asked, **KEYS)

    assert tried.stdout == "here [], in a child []\n"
    assert seen.stdout.splitlines() == [
        *(KEYS["OPENAI_API_KEY"], KEYS["OPENAI_API_KEY_SPARE"]),
        *["not set"] * len(KEYS),
    ]


def run(home: Path, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the program to its end."""
    return run_python(home, "-m", "proxy", "tools", *arguments, **variables)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no terminals of this kind")
def test_a_tool_that_asks_is_told_in_the_terminal_and_answered_on_the_page(tmp_path: Path, upstream: Fresh) -> None:
    furnish(tmp_path)
    upstream.answers([Json(called(("call_1", "shout", '{"word": "hey"}'))), Json(completion("Loud."))])
    told = ON | {"TOOL_CONSENT": '{"shout": "ask"}', "OPENAI_BASE_URL": upstream.base_url, "OPENAI_API_KEY": "k"}
    with TerminalProgram(tmp_path, "serve", "--port", "0", **told) as program, ThreadPoolExecutor(1) as worker:
        asked = worker.submit(chat, program.base_url)
        found = wait_for(
            lambda: re.search(r"shout asks to run; answer within a minute: (\S+)", program.printed), "a link"
        )
        with httpx2.Client(follow_redirects=True, trust_env=False) as browser:
            page = browser.get(found[1])
            decision = {"form_token": form_token(page.text), "decision": "yes"}
            browser.post(f"{page.url}/1", data=decision)

        assert asked.result(20) == "Loud."
    assert upstream.requests[-1].json()["messages"][-1]["content"] == "HEY!"


def chat(base_url: str) -> str | None:
    """Return the text of an answer."""
    with openai.OpenAI(base_url=base_url, api_key="any", max_retries=0, timeout=30) as client:
        completed = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello!"}])
        return completed.choices[0].message.content
