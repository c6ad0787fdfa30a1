"""The settings file edited by hand while the program runs, with and without an icon: nothing is restarted."""

import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.asking import BODY, CHAT
from fakes.ports import free_port
from fakes.program import BASE_URL, Program, run_python
from fakes.shared_upstream import Fresh
from fakes.wire_client import Reply, WireClient
from waiting import at_once, wait_for

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="a program is stopped by a signal here"),
    pytest.mark.timeout(180),  # several programs each
]

KEYS = {"OPENAI_API_KEY": "sk-of-one-provider-alone-0001", "PROXY_API_KEYS": "proxy-key-0002"}
CALLER = "Authorization: Bearer proxy-key-0002"
SERVE: tuple[tuple[str, ...], ...] = (("-m", "proxy", "serve"), ("-m", "tray_app", "--tray", "none"))


class Edited:
    """A running program whose port the settings file chooses, and the user who edits that file."""

    def __init__(self, home: Path, command: tuple[str, ...], upstream: Fresh) -> None:
        self.home, self.command, self.upstream, self.port = home, command, upstream, free_port()
        self.file = home / "xdg_config_home" / "openai-tray-proxy" / "settings.toml"
        self.file.parent.mkdir(parents=True)
        self.write()
        self.program = Program(home, command=command, **KEYS)

    def write(self, more: str = "") -> None:
        """Save the file as editors do: a new one takes the place of the old."""
        new = self.file.with_name("settings.toml.new")
        new.write_text(f'openai_base_url = "{self.upstream.base_url}"\nproxy_port = {self.port}\n{more}')
        new.replace(self.file)

    def chat(self, *lines: str) -> Reply:
        with WireClient(self.port) as client:
            return client.post(CHAT, BODY, *lines)

    def wait_for_status(self, status: int, *lines: str) -> None:
        wait_for(lambda: self.chat(*lines).status == status, f"status {status}")

    def log(self) -> str:
        return next(self.home.rglob("proxy.log")).read_text(encoding="utf-8")

    def wait_for_log(self, words: str) -> None:
        wait_for(lambda: words in self.log(), f"{words!r} in the log")


def with_each_program(check: Callable[[Edited], None]) -> Callable[[Path, Fresh], None]:
    """Return a test that makes a check of both programs at once: it waits for the most part."""

    def run(home: Path, command: tuple[str, ...], upstream: Fresh) -> None:
        edited = Edited(home, command, upstream)
        with edited.program as program:
            assert program.port == edited.port
            assert edited.chat().status == 200
            check(edited)
            program.send(signal.SIGTERM)
            assert program.ended() == 0
        assert "Traceback" not in program.printed + edited.log()

    def test(tmp_path: Path, upstream: Fresh) -> None:
        at_once(run, ((tmp_path / command[1], command, upstream) for command in SERVE))

    return test


@pytest.mark.core
@with_each_program
def test_a_parameter_rule_takes_effect(edited: Edited) -> None:
    edited.write("[openai_param_overrides]\ntemperature = 0.25\n")
    edited.wait_for_log("the settings file has changed; put in force: OPENAI_PARAM_OVERRIDES")

    edited.chat(f"X-Sent-Through: {edited.command[1]}")

    [request] = [each for each in edited.upstream.requests if each.header("X-Sent-Through") == edited.command[1]]
    assert request.json()["temperature"] == 0.25


@with_each_program
def test_a_required_key_is_asked_for_and_no_longer(edited: Edited) -> None:
    edited.write("proxy_require_api_key = true\n")
    edited.wait_for_status(401)
    assert edited.chat(CALLER).status == 200

    edited.write()
    edited.wait_for_status(200)


@with_each_program
def test_a_wrong_value_is_refused_with_its_line_and_the_old_ones_stay(edited: Edited) -> None:
    edited.write("proxy_require_api_key = true\n")
    edited.wait_for_status(401)
    edited.write('openai_timeout = "long"\n')  # and the line that asks for a key is gone
    said = f"{edited.file}, line 3: OPENAI_TIMEOUT is 'long'"

    edited.wait_for_log(said)
    wait_for(lambda: said in edited.program.printed, "the terminal tells of it")
    assert edited.chat().status == 401
    assert "The last good settings stay in force" in edited.program.printed
    found = run_python(edited.home, "-m", "proxy", "config", **KEYS).stdout
    assert said in found
    assert "last good settings" in found

    edited.write("openai_timeout = 5\n")
    edited.wait_for_status(200)
    edited.wait_for_log("the settings file is right again; put in force: OPENAI_TIMEOUT, PROXY_REQUIRE_API_KEY")
    assert edited.log().count(said) == 1


def test_a_file_that_was_wrong_from_the_start_is_relayed_with_once_it_is_mended(
    tmp_path: Path, upstream: Fresh
) -> None:
    edited = Edited(tmp_path, SERVE[0], upstream)
    edited.write("proxy_port = = 1\n")
    edited.program = Program(tmp_path, "--port", str(edited.port), command=SERVE[0], **KEYS)
    with edited.program as program:
        assert program.port == edited.port
        assert edited.chat().status == 503
        assert upstream.accepted_connections == 0

        edited.write("proxy_require_api_key = true\n")
        edited.wait_for_status(200, CALLER)

        assert edited.chat().status == 401
        wait_for(lambda: "The settings file is right again and in force." in program.printed, "it is told")


@with_each_program
def test_another_port_moves_the_server(edited: Edited) -> None:
    old, edited.port = edited.port, free_port()
    edited.write()

    edited.wait_for_log(f"listening on http://127.0.0.1:{edited.port}/v1")
    assert edited.chat().status == 200
    wait_for(lambda: not is_open(old), "nothing listens at the old port")
    if "serve" in edited.command:
        assert [found[1] for found in BASE_URL.finditer(edited.program.printed)] == [str(old), str(edited.port)]
    link = run_python(edited.home, "-m", "proxy", "page").stdout
    assert f"http://127.0.0.1:{edited.port}/ui/enter?ticket=" in link


@pytest.mark.skipif(sys.platform != "linux", reason="not every system has 127.0.0.2")
@with_each_program
def test_another_host_at_the_same_port_moves_the_server(edited: Edited) -> None:
    edited.write('proxy_host = "0.0.0.0"\nproxy_require_api_key = true\nproxy_allowed_hosts = ["127.0.0.2"]\n')
    edited.wait_for_log("listening on http://0.0.0.0:")

    assert edited.chat().status == 401
    with WireClient(edited.port, "127.0.0.2") as client:
        assert client.post(CHAT, BODY, CALLER).status == 200

    edited.write()
    edited.wait_for_status(200)
    wait_for(lambda: not is_open(edited.port, "127.0.0.2"), "nothing listens there any more")


@with_each_program
def test_a_taken_port_is_refused_with_its_line_and_the_server_stays(edited: Edited) -> None:
    old = edited.port
    with socket.create_server(("127.0.0.1", 0)) as other:
        edited.port = other.getsockname()[1]
        edited.write("openai_timeout = 5\n")
        said = f"{edited.file}, line 2: port {edited.port} is taken by "
        edited.wait_for_log(said)

    edited.port = old
    assert edited.chat().status == 200
    wait_for(lambda: said in edited.program.printed, "the terminal tells of it")
    assert "put in force" not in edited.log()
    edited.write("openai_timeout = 5\n")
    edited.wait_for_log("the settings file is right again; put in force: OPENAI_TIMEOUT")


def test_the_command_line_keeps_its_port(tmp_path: Path, upstream: Fresh) -> None:
    edited = Edited(tmp_path, SERVE[0], upstream)
    fixed = free_port()
    edited.program = Program(tmp_path, "--port", str(fixed), command=SERVE[0], **KEYS)
    with edited.program as program:
        assert program.port == fixed
        edited.port = free_port()
        edited.write("openai_timeout = 5\n")
        edited.wait_for_log("the settings file has changed; put in force: OPENAI_TIMEOUT")

        assert is_open(fixed)
        assert not is_open(edited.port)


def is_open(port: int, host: str = "127.0.0.1") -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True
