"""The commands `connect` and `run`."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.program import Program, run_python
from proxy import paths
from proxy.cli.main import cli
from proxy.clients.table import BY_NAME
from proxy.errors.configuration import ClientFileRefused, ClientUnknown

SHOW = "import os, json; print(json.dumps(dict(os.environ)))"
posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot replace a process")


def call(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


@pytest.fixture
def demo(empty_computer: Path) -> Iterator[Program]:
    with Program(empty_computer, "serve", "--demo", "--port", "0") as running:
        assert running.port
        yield running


@pytest.mark.parametrize("name", BY_NAME)
def test_each_client_has_lines_to_show(name: str, empty_computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    before = sorted(empty_computer.rglob("*"))

    said = call("connect", name, "--model", "some-model")

    assert said.exit_code == 0, said.output
    assert "http://127.0.0.1:8000" in said.output
    assert sorted(path for path in empty_computer.rglob("*") if "tray" not in str(path)) == before


@pytest.mark.parametrize(
    ("name", "words"), [("cursor", "Cursor's servers"), ("CURSOR", "servers"), ("nothing", "is none of")]
)
def test_what_cannot_be_connected_is_said(name: str, words: str) -> None:
    said = call("connect", name)

    assert isinstance(said.exception, ClientUnknown)
    assert words in str(said.exception)


@pytest.mark.parametrize("name", ["cline", "jetbrains", "python"])
def test_a_client_without_a_file_is_not_written(name: str) -> None:
    assert isinstance(call("connect", name, "--write", "--model", "m").exception, ClientFileRefused)


def test_a_client_is_written_and_undone_and_both_twice(empty_computer: Path) -> None:
    file = empty_computer / ".aider.conf.yml"
    file.write_bytes(b"# mine\n")

    for _ in range(2):
        said = call("connect", "aider", "--write", "--model", "m")
        assert said.exit_code == 0, said.output
    assert "Nothing changes." in said.output
    assert call("connect", "aider", "--undo").exit_code == 0
    assert "is not connected" in call("connect", "aider", "--undo").output

    assert file.read_bytes() == b"# mine\n"
    assert not paths.connected_clients_dir().exists()


def test_without_a_model_and_a_proxy_nothing_is_written(empty_computer: Path) -> None:
    assert isinstance(call("connect", "aider", "--write").exception, ClientFileRefused)
    assert not (empty_computer / ".aider.conf.yml").exists()


def test_the_models_are_those_of_the_running_proxy(demo: Program, empty_computer: Path) -> None:
    done = run_python(empty_computer, "-m", "proxy", "connect", "opencode", "--write")

    assert done.returncode == 0, done.stderr
    written = json.loads((empty_computer / "xdg_config_home" / "opencode" / "opencode.json").read_text())
    provider = written["provider"]["openai-tray-proxy"]
    assert provider["options"]["baseURL"] == demo.base_url
    assert "demo-chat" in provider["models"]
    assert not any("embed" in model for model in provider["models"])


def test_uninstalling_takes_the_lines_out_of_clients(empty_computer: Path) -> None:
    file = empty_computer / ".aider.conf.yml"
    file.write_bytes(b"# mine\n")
    call("connect", "aider", "--write", "--model", "m")
    file.write_bytes(file.read_bytes() + b"dark-mode: true\n")

    said = call("uninstall", "--yes", "--keep-data")

    assert "lines in the settings of aider" in said.output
    assert file.read_bytes() == b"# mine\ndark-mode: true\n"


def test_uninstalling_stops_where_a_clients_file_is_broken(empty_computer: Path) -> None:
    file = empty_computer / ".aider.conf.yml"
    call("connect", "aider", "--write", "--model", "m")
    file.write_bytes(b"a: [")

    said = call("uninstall", "--yes")

    assert said.exit_code == 1
    assert "aider: " in said.output
    assert (paths.connected_clients_dir() / "aider.json").exists()


@posix
def test_a_command_is_pointed_at_the_proxy_and_nothing_else_of_it_is_told(demo: Program, empty_computer: Path) -> None:
    done = run_python(
        empty_computer,
        *("-m", "proxy", "run", "--", sys.executable, "-c", SHOW),
        OPENAI_API_KEY="the-upstreams-own",
        ANTHROPIC_AUTH_TOKEN="another",
        PROXY_API_KEYS="a-word-for-callers",
        OPENAI_ORG_ID="kept",
        NO_PROXY="a.example",
    )

    told = json.loads(done.stdout)
    assert told["OPENAI_BASE_URL"] == told["OPENAI_API_BASE"] == demo.base_url
    assert told["OPENAI_API_KEY"] == told["ANTHROPIC_API_KEY"] == "any"
    assert told["ANTHROPIC_BASE_URL"] == demo.base_url.removesuffix("/v1")
    assert told["NO_PROXY"].startswith("a.example,127.0.0.1")
    assert told["OPENAI_ORG_ID"] == "kept"
    assert not {"PROXY_API_KEYS", "ANTHROPIC_AUTH_TOKEN", "START_COMMAND"} & set(told)
    assert "the-upstreams-own" not in done.stdout


@posix
@pytest.mark.parametrize("code", [0, 3, 77])
def test_the_commands_exit_code_is_passed_on(demo: Program, empty_computer: Path, code: int) -> None:
    words = ("-m", "proxy", "run", "--", sys.executable, "-c", f"raise SystemExit({code})")

    assert run_python(empty_computer, *words).returncode == code


@posix
def test_a_command_that_is_not_there_is_named(demo: Program, empty_computer: Path) -> None:
    done = run_python(empty_computer, "-m", "proxy", "run", "--", "no-such-program")

    assert done.returncode == 127
    assert "no-such-program cannot be started" in done.stderr


def test_without_a_proxy_no_command_is_run(empty_computer: Path) -> None:
    done = run_python(empty_computer, "-m", "proxy", "run", "--", sys.executable, "-c", "print('it ran')")

    assert done.returncode == 1
    assert "it ran" not in done.stdout


@posix
def test_codex_gets_a_provider_as_arguments(demo: Program, empty_computer: Path) -> None:
    script = empty_computer / "codex"
    script.write_text(f"#!{sys.executable}\nimport sys, json; print(json.dumps(sys.argv[1:]))\n")
    script.chmod(0o755)

    done = run_python(empty_computer, "-m", "proxy", "run", "--", str(script), "exec", "hello")

    words = json.loads(done.stdout)
    assert words[-2:] == ["exec", "hello"]
    assert f'base_url = "{demo.base_url}"' in words[1]
    assert words[3] == 'model_provider="openai_tray_proxy"'
