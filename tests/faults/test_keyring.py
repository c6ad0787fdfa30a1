"""Keys in a real keyring, and a running proxy that follows what the command line does with them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.asking import MODELS
from fakes.leaks import know
from fakes.program import Program, run_python
from fakes.scripted_upstream import Json
from fakes.secret_service import SecretSession
from fakes.shared_upstream import Fresh
from fakes.wire_client import Reply
from proxy.keys.proxy_keys import FIRST_NAME
from waiting import wait_for

LIST = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}
FIRST_KEY, SECOND_KEY = "sk-the-first-upstream-key", "sk-the-second-upstream-key"

Command = Callable[..., str]


@pytest.fixture
def session(empty_computer: Path) -> Iterator[SecretSession]:
    with SecretSession() as running:
        yield running


@pytest.fixture
def command(session: SecretSession, tmp_path: Path) -> Command:
    """Return a function that runs a command of the program and returns what it prints."""

    def run(*words: str, typed: str = "") -> str:
        know(*typed.split("'"), typed.strip())
        done = run_python(tmp_path, "-m", "proxy", *words, typed=typed, **bus(session))
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def bus(session: SecretSession) -> dict[str, str]:
    return {"DBUS_SESSION_BUS_ADDRESS": session.environment["DBUS_SESSION_BUS_ADDRESS"]}


def serve(session: SecretSession, tmp_path: Path, upstream: Fresh, **settings: str) -> Program:
    upstream.answer(Json(LIST))
    variables = {"OPENAI_BASE_URL": upstream.base_url, **settings, **bus(session)}
    return Program(tmp_path, "serve", "--port", "0", **variables)


def ask(program: Program, key: str = "any") -> Reply:
    with program.connect() as client:
        return client.ask("GET", MODELS, None, f"Authorization: Bearer {key}")


def test_a_key_set_by_the_command_line_is_in_force_without_a_restart(
    session: SecretSession, command: Command, tmp_path: Path, upstream: Fresh
) -> None:
    with serve(session, tmp_path, upstream) as program:
        refused = ask(program)
        assert refused.status == 200  # an upstream on this computer needs no key
        assert upstream.requests[-1].header("authorization") is None
        for key in (FIRST_KEY, SECOND_KEY):
            assert f"ends in {key[-4:]}, from the keyring" in command("key", "set", "--stdin", typed=f" '{key}'\n")
            wait_for(lambda: ask(program).status == 200 and is_last_key(upstream, key), "the new key is in force")  # noqa: B023
        assert "ends in" in command("key", "status")
        command("key", "delete")
        wait_for(lambda: ask(program).status == 200 and shows_no_key(upstream), "the deleted key is out of force")


def shows_no_key(upstream: Fresh) -> bool:
    return upstream.requests[-1].header("authorization") is None


def is_last_key(upstream: Fresh, key: str) -> bool:
    return upstream.requests[-1].header("authorization") == f"Bearer {key}"


def test_a_proxy_key_made_and_revoked_by_the_command_line_counts_without_a_restart(
    session: SecretSession, command: Command, tmp_path: Path, upstream: Fresh
) -> None:
    with serve(session, tmp_path, upstream, OPENAI_API_KEY=FIRST_KEY, PROXY_REQUIRE_API_KEY="true") as program:
        assert ask(program).status == 401
        key = command("proxy-key", "new", "laptop").strip()
        wait_for(lambda: ask(program, key).status == 200, "the new proxy key opens the proxy")
        assert "laptop" in command("proxy-key", "list")
        log = tmp_path / "xdg_state_home" / "openai-tray-proxy" / "log" / "proxy.log"
        wait_for(lambda: "[laptop] GET /models" in log.read_text(), "the log's row shows the key's name")
        command("proxy-key", "revoke", "laptop")
        wait_for(lambda: ask(program, key).status == 401, "the revoked proxy key opens nothing")


def test_the_first_run_makes_a_proxy_key_called_this_computer(
    session: SecretSession, command: Command, tmp_path: Path, upstream: Fresh
) -> None:
    with serve(session, tmp_path, upstream) as program:
        assert ask(program).status == 200
        wait_for(lambda: FIRST_NAME in command("proxy-key", "list"), "the first proxy key is there", limit_s=20)


# --- keyring locked, absent, hanging ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "words"), [("locked", "is locked"), ("hanging", "does not answer")])
def test_a_keyring_locked_or_hanging_leaves_the_proxy_serving_and_requests_get_503(
    session: SecretSession, command: Command, tmp_path: Path, upstream: Fresh, state: str, words: str
) -> None:
    command("key", "set", "--stdin", typed=f"{FIRST_KEY}\n")
    session.lock() if state == "locked" else session.freeze()
    with serve(session, tmp_path, upstream) as program, program.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200
        replies = [client.ask("GET", MODELS) for _ in range(3)]
        log = tmp_path / "xdg_state_home" / "openai-tray-proxy" / "log" / "proxy.log"
        wait_for(lambda: log.read_text().count(" GET /models ") == 3, "the log has the three requests")

    for reply in replies:
        assert (reply.status, reply.error["code"]) == (503, "no_upstream_key")
        assert reply.header("x-should-retry") == "false"
        assert words in reply.error["message"]
        assert "this session" in reply.error["message"] or "OPENAI_API_KEY" in reply.error["message"]
    assert upstream.requests == []
    assert log.read_text().count(" ERROR ") == 1


def test_a_key_may_be_used_for_this_session_though_the_keyring_is_absent(tmp_path: Path) -> None:
    variables = {"OPENAI_BASE_URL": "https://gateway.example/v1", "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    with Program(tmp_path, "serve", "--port", "0", **variables) as program:
        refused = ask(program)

    assert (refused.status, refused.error["code"]) == (503, "no_upstream_key")
    assert "on the program's page, for this session only" in refused.error["message"]
