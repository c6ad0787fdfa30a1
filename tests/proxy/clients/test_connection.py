"""Connecting a client by its settings file: exact before and after, and refused where something is odd."""

import os
import sys
from pathlib import Path

import pytest

from proxy.clients.client import Client, Target
from proxy.clients.connection import Connections
from proxy.clients.table import BY_NAME, CLIENTS
from proxy.errors.configuration import ClientFileRefused

TARGET = Target("http://127.0.0.1:8000/v1", "any", ("demo-chat",))
IN_FILES = [client for client in CLIENTS if client.file is not None]
HELD = {
    "continue": b"# mine\r\nname: Mine\r\nversion: 1.0.0\r\nschema: v1\r\nmodels:\r\n  - name: a # b\r\n    x: y\r\n",
    "zed": b'// mine\n{\n\t"theme": "One", // dark\n\t"language_models": {"openai": {"x": 1,}},\n}\n',
    "codex": b'model = "x" # mine\n\n[model_providers.other]\nname = "o"\n# end',
    "opencode": b'\xef\xbb\xbf{"theme":"x","provider":{"a":{}}}',
    "aider": b"# mine\nmodel: gpt-4o # good\nread:\n- a\n",
    "llm": b"- model_id: a # mine\n  model_name: b\n\n",
    "claude-code": b'{\n    "env": {\n        "A": "1"\n    }\n}\n',
    "shell": b"export A=1\n",
}


@pytest.fixture(autouse=True)
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    for name in ("CODEX_HOME", "LLM_USER_PATH", "CONTINUE_GLOBAL_DIR", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def connections(tmp_path: Path) -> Connections:
    return Connections(lambda: tmp_path / "state" / "clients")


def place(client: Client, content: bytes | None) -> Path:
    assert client.file is not None
    path = client.file.find()
    if content is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def connect(connections: Connections, client: Client, target: Target = TARGET) -> None:
    connections.connect(client, connections.plan(client, target))


def undo(connections: Connections, client: Client) -> tuple[str, ...]:
    plan = connections.undo_plan(client)
    assert plan is not None
    connections.undo(client, plan)
    return plan.kept


def everything_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("client", IN_FILES, ids=lambda client: client.name)
def test_a_file_is_byte_for_byte_as_before_after_undoing(connections: Connections, client: Client) -> None:
    path = place(client, HELD[client.name])
    path.chmod(0o640)

    connect(connections, client)
    assert b"127.0.0.1:8000" in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o640 or sys.platform == "win32"
    undo(connections, client)

    assert path.read_bytes() == HELD[client.name]
    assert connections.record(client) is None


@pytest.mark.parametrize("client", IN_FILES, ids=lambda client: client.name)
def test_a_file_and_folders_that_were_not_there_are_gone_after_undoing(
    connections: Connections, client: Client, empty_computer: Path
) -> None:
    before = everything_below(empty_computer)
    path = place(client, None)

    connect(connections, client)
    assert path.stat().st_mode & 0o777 == 0o600 or sys.platform == "win32"
    undo(connections, client)

    assert everything_below(empty_computer) == before


@pytest.mark.parametrize("client", IN_FILES, ids=lambda client: client.name)
def test_a_second_connection_takes_the_place_of_the_first(connections: Connections, client: Client) -> None:
    path = place(client, HELD[client.name])

    connect(connections, client)
    connect(connections, client, Target("http://127.0.0.1:9000/v1", "any", ("other",)))
    assert b"127.0.0.1:8000" not in path.read_bytes()
    assert b"127.0.0.1:9000" in path.read_bytes()
    undo(connections, client)

    assert path.read_bytes() == HELD[client.name]


def test_a_file_that_changed_meanwhile_is_left_alone(connections: Connections) -> None:
    client = BY_NAME["zed"]
    path = place(client, b"{}")
    plan = connections.plan(client, TARGET)
    path.write_bytes(b'{"a": 1}')

    with pytest.raises(ClientFileRefused, match="changed meanwhile"):
        connections.connect(client, plan)

    assert path.read_bytes() == b'{"a": 1}'
    assert connections.record(client) is None
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_file_that_changed_before_undoing_keeps_what_the_user_wrote(connections: Connections) -> None:
    client = BY_NAME["aider"]
    path = place(client, HELD["aider"])
    connect(connections, client)
    path.write_bytes(path.read_bytes().replace(b"# mine", b"# my own") + b"dark-mode: true\n")

    assert undo(connections, client) == ()

    assert path.read_bytes() == b'# my own\nmodel: "gpt-4o" # good\nread:\n- a\ndark-mode: true\n'


def test_a_value_of_ours_that_the_user_changed_stays_and_is_named(connections: Connections) -> None:
    client = BY_NAME["codex"]
    path = place(client, None)
    connect(connections, client)
    path.write_text(path.read_text().replace('model_provider = "openai_tray_proxy"', 'model_provider = "mine"'))

    assert undo(connections, client) == ("model_provider",)

    assert path.read_text() == 'model_provider = "mine"\n'


def test_a_file_that_was_deleted_stays_deleted(connections: Connections) -> None:
    client = BY_NAME["llm"]
    path = place(client, HELD["llm"])
    connect(connections, client)
    path.unlink()

    undo(connections, client)

    assert not path.exists()
    assert connections.record(client) is None


@pytest.mark.parametrize("content", [b'{"a": ', b"\xff\xfe\xff", b"[1]", b"{" * 3000, b'{"language_models": 1}'])
def test_a_broken_file_is_left_alone(connections: Connections, content: bytes) -> None:
    client = BY_NAME["zed"]
    path = place(client, content)

    with pytest.raises(ClientFileRefused):
        connect(connections, client)

    assert path.read_bytes() == content


def test_a_link_is_left_alone(connections: Connections, tmp_path: Path) -> None:
    client = BY_NAME["aider"]
    (tmp_path / "dotfiles").write_bytes(b"a: 1\n")
    place(client, None).symlink_to(tmp_path / "dotfiles")

    with pytest.raises(ClientFileRefused, match="is a link"):
        connect(connections, client)

    assert (tmp_path / "dotfiles").read_bytes() == b"a: 1\n"


def test_a_link_to_nowhere_is_left_alone(connections: Connections, tmp_path: Path) -> None:
    client = BY_NAME["aider"]
    place(client, None).symlink_to(tmp_path / "nowhere")

    with pytest.raises(ClientFileRefused, match="is a link"):
        connect(connections, client)


def test_a_read_only_file_is_left_alone(connections: Connections) -> None:
    client = BY_NAME["aider"]
    path = place(client, b"a: 1\n")
    path.chmod(0o400)

    with pytest.raises(ClientFileRefused, match="read-only"):
        connect(connections, client)


def test_a_folder_a_hard_link_and_a_huge_file_are_left_alone(connections: Connections, tmp_path: Path) -> None:
    client = BY_NAME["aider"]
    path = place(client, None)
    path.mkdir()
    with pytest.raises(ClientFileRefused, match="is no file"):
        connect(connections, client)
    path.rmdir()
    path.write_bytes(b"a: 1\n")
    os.link(path, tmp_path / "second")
    with pytest.raises(ClientFileRefused, match="another name"):
        connect(connections, client)
    (tmp_path / "second").unlink()
    path.write_bytes(b"#" * 2_000_000)
    with pytest.raises(ClientFileRefused, match="bytes"):
        connect(connections, client)


def test_what_is_kept_is_private_and_names_no_key_in_a_traceback(connections: Connections, tmp_path: Path) -> None:
    client = BY_NAME["codex"]
    place(client, b'a = "someone-elses-word"\n')
    connect(connections, client, Target("http://127.0.0.1:8000/v1", "our-own-word", ("m",)))

    kept = tmp_path / "state" / "clients" / "codex.json"
    assert kept.stat().st_mode & 0o777 == 0o600 or sys.platform == "win32"
    shown = repr(connections.record(client)) + repr(connections.undo_plan(client)) + repr(TARGET)
    assert "word" not in shown


def test_a_damaged_before_image_changes_nothing(connections: Connections, tmp_path: Path) -> None:
    client = BY_NAME["codex"]
    path = place(client, None)
    connect(connections, client)
    written = path.read_bytes()
    (tmp_path / "state" / "clients" / "codex.json").write_text("{}")

    with pytest.raises(ClientFileRefused):
        connections.undo_plan(client)

    assert path.read_bytes() == written


def test_a_client_that_needs_a_model_is_not_written_without(connections: Connections) -> None:
    with pytest.raises(ClientFileRefused, match="needs the name of a model"):
        connections.plan(BY_NAME["zed"], Target("http://127.0.0.1:8000/v1"))


def test_a_shell_that_is_not_known_gets_no_file(connections: Connections, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/dash")

    with pytest.raises(ClientFileRefused, match="dash"):
        connections.plan(BY_NAME["shell"], TARGET)
