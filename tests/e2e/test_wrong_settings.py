"""A settings file that went wrong between two starts of the program: one provider's key and prompts stay with it."""

import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.asking import BODY, CHAT, MODELS
from fakes.program import Program, run_python
from fakes.shared_upstream import Fresh
from fakes.wire_client import Reply
from waiting import at_once, wait_for

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="a program is stopped by a signal here"),
    pytest.mark.timeout(180),  # several programs each
]

KEYS = {"OPENAI_API_KEY": "sk-of-one-provider-alone-0001", "PROXY_API_KEYS": "proxy-key-0002"}
CALLER = "Authorization: Bearer proxy-key-0002"
SERVE: tuple[tuple[str, ...], ...] = (("-m", "proxy", "serve"), ("-m", "tray_app", "--tray", "none"))

Change = Callable[[str], str]


def misspelt(text: str) -> str:
    return text + "enable_tool_exection = true\n"


def without_quote(text: str) -> str:
    return text.replace('/v1"\n', "/v1\n")


def with_a_wrong_value(text: str) -> str:
    return text + 'openai_timeout = "long"\n'


BREAKS = {
    misspelt: "line 3: enable_tool_exection is no setting; is it enable_tool_execution?",
    without_quote: "line 1: this is not valid TOML",
    with_a_wrong_value: "line 3: OPENAI_TIMEOUT is 'long'",
}

STARTS = list(zip((SERVE[0], SERVE[1], SERVE[0]), BREAKS, strict=True))


@pytest.fixture
def file(tmp_path: Path, upstream: Fresh) -> Path:
    """Return the user's settings file."""
    return settings_file(tmp_path, upstream)


def settings_file(home: Path, upstream: Fresh) -> Path:
    """Write a user's settings file: a provider, and a required key."""
    path = home / "xdg_config_home" / "openai-tray-proxy" / "settings.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'openai_base_url = "{upstream.base_url}"\nproxy_require_api_key = true\n')
    return path


def started(home: Path, command: tuple[str, ...] = SERVE[0]) -> Program:
    return Program(home, "--port", "0", command=command, **KEYS)


def run_once(home: Path, command: tuple[str, ...]) -> None:
    """Start the program, and stop it as the end of a session does."""
    with started(home, command) as program, program.connect() as client:
        assert client.post(CHAT, BODY, CALLER).status == 200
        assert client.post(CHAT, BODY).status == 401
        program.send(signal.SIGTERM)
        assert program.ended() == 0


def ask(program: Program, *lines: str) -> list[Reply]:
    with program.connect() as client:
        return [client.post(CHAT, BODY, *lines), client.ask("GET", MODELS, None, *lines)]


def run(home: Path, *words: str) -> str:
    """Return what a command of the program prints."""
    return run_python(home, "-m", "proxy", *words, **KEYS).stdout


def refused(reply: Reply) -> bool:
    return (reply.status, reply.error["code"]) == (503, "settings_broken")


def test_the_provider_and_the_required_key_stay_after_a_restart(tmp_path: Path, upstream: Fresh) -> None:
    at_once(check_stays, ((tmp_path / break_it.__name__, upstream, command, break_it) for command, break_it in STARTS))

    assert len(upstream.requests) == 3 * len(STARTS)
    assert {request.header("authorization") for request in upstream.requests} == {f"Bearer {KEYS['OPENAI_API_KEY']}"}


def check_stays(tmp_path: Path, upstream: Fresh, command: tuple[str, ...], break_it: Change) -> None:
    """Break the file between two starts of a program, which then goes by the last good settings."""
    file = settings_file(tmp_path, upstream)
    run_once(tmp_path, command)
    file.write_text(break_it(file.read_text()))
    content = file.read_bytes()

    with started(tmp_path, command) as program:
        assert [reply.status for reply in ask(program)] == [401, 401]
        assert [reply.status for reply in ask(program, CALLER)] == [200, 200]
        wait_for(lambda: BREAKS[break_it] in program.printed, "the terminal tells of it")

    assert "The last good settings stay in force" in program.printed
    assert f"{file}, {BREAKS[break_it]}" in log_of(tmp_path)
    assert file.read_bytes() == content
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_nothing_is_relayed_where_the_program_has_never_seen_a_good_file(tmp_path: Path, upstream: Fresh) -> None:
    at_once(check_relays_nothing, ((tmp_path / each[1].__name__, upstream, *each) for each in STARTS))

    assert upstream.accepted_connections == 0


def check_relays_nothing(tmp_path: Path, upstream: Fresh, command: tuple[str, ...], break_it: Change) -> None:
    """Start a program whose file has always been broken."""
    file = settings_file(tmp_path, upstream)
    file.write_text(break_it(file.read_text()))

    with started(tmp_path, command) as program:
        replies = ask(program) + ask(program, CALLER)
        with program.connect() as client:
            assert client.ask("GET", "/v1/health").status == 200
        wait_for(lambda: BREAKS[break_it] in program.printed, "the terminal tells of it")

    assert all(map(refused, replies))
    assert {reply.header("x-should-retry") for reply in replies} == {"false"}
    assert all(BREAKS[break_it] in reply.error["message"] for reply in replies)
    assert "Nothing is relayed" in program.printed


def test_config_and_doctor_show_what_holds_and_why(tmp_path: Path, upstream: Fresh) -> None:
    at_once(check_shown, ((tmp_path / break_it.__name__, upstream, break_it) for break_it in BREAKS))


def check_shown(tmp_path: Path, upstream: Fresh, break_it: Change) -> None:
    """Break the file after the program has seen a good one, and look at what its commands show."""
    file = settings_file(tmp_path, upstream)
    assert upstream.base_url in run(tmp_path, "config")
    file.write_text(break_it(file.read_text()))

    shown, found = at_once(run, [(tmp_path, "config"), (tmp_path, "doctor")])

    assert f"OPENAI_BASE_URL                 {upstream.base_url}" in shown
    assert "last good settings" in shown
    assert "api.openai.com" not in shown + found
    for text in (shown, found):
        assert f"{file}, {BREAKS[break_it]}" in text
    assert "The last good settings stay in force" in found


def test_config_and_doctor_say_that_nothing_is_known(tmp_path: Path, upstream: Fresh) -> None:
    at_once(check_nothing_is_known, ((tmp_path / break_it.__name__, upstream, break_it) for break_it in BREAKS))

    assert upstream.accepted_connections == 0


def check_nothing_is_known(tmp_path: Path, upstream: Fresh, break_it: Change) -> None:
    """Break the file before the program has seen it, and look at what its commands show."""
    file = settings_file(tmp_path, upstream)
    file.write_text(break_it(file.read_text()))

    shown, found = at_once(run, [(tmp_path, "config"), (tmp_path, "doctor")])

    assert "OPENAI_BASE_URL                 ?                               not known" in shown
    assert "OPENAI_API_KEY                  set, ends in 0001               environment" in shown
    assert "api.openai.com" not in shown + found
    for text in (shown, found):
        assert f"{file}, {BREAKS[break_it]}" in text
        assert "Nothing is relayed" in text


def test_the_demo_is_no_exception(tmp_path: Path, file: Path) -> None:
    file.write_text(without_quote(file.read_text()))

    with Program(tmp_path, "serve", "--demo", "--port", "0") as program:
        assert all(map(refused, ask(program)))


def test_a_tool_is_not_tried_with_settings_nobody_has_chosen(tmp_path: Path, file: Path) -> None:
    file.write_text(without_quote(file.read_text()))

    outcome = run_python(tmp_path, "-m", "proxy", "tools", "call", "current_time")

    assert outcome.returncode == 1
    assert "its settings file is wrong" in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_a_proxy_key_is_not_shown_to_whoever_has_the_default_port(tmp_path: Path, file: Path, upstream: Fresh) -> None:
    file.write_text(without_quote(file.read_text()))
    key = {"PROXY_API_KEY": "proxy-key-0002", "PROXY_PORT": upstream.base_url.split(":")[2].removesuffix("/v1")}

    outcome = run_python(tmp_path, "-m", "proxy", "check", **key)

    assert outcome.returncode == 1
    assert "its settings file is wrong" in outcome.stderr
    assert upstream.accepted_connections == 0


def test_a_mended_file_is_in_force_after_a_restart(tmp_path: Path, file: Path, upstream: Fresh) -> None:
    good = file.read_text()
    file.write_text(without_quote(good))
    with started(tmp_path) as program:
        assert all(map(refused, ask(program)))
    file.write_text(good)

    with started(tmp_path) as program:
        assert [reply.status for reply in ask(program, CALLER)] == [200, 200]

    assert "settings file is wrong" not in program.printed


def test_a_state_folder_that_cannot_be_written_keeps_nobody_from_serving(tmp_path: Path, file: Path) -> None:
    (tmp_path / "xdg_state_home").mkdir()
    (tmp_path / "xdg_state_home" / "openai-tray-proxy").write_text("a file where the folder should be")

    with started(tmp_path) as program:
        assert [reply.status for reply in ask(program, CALLER)] == [200, 200]


def test_what_is_wrong_in_the_environment_stops_the_start_as_ever(tmp_path: Path, file: Path) -> None:
    file.write_text(without_quote(file.read_text()))

    outcome = run_python(tmp_path, "-m", "proxy", "serve", "--port", "0", OPENAI_TIMEOUT="long")

    assert outcome.returncode == 1
    assert "OPENAI_TIMEOUT is 'long' (from the environment)" in outcome.stderr


def test_the_copy_of_the_settings_is_private_and_holds_no_key(tmp_path: Path, file: Path) -> None:
    run_once(tmp_path, SERVE[0])

    [copy] = (tmp_path / "xdg_state_home" / "openai-tray-proxy").glob("good-settings-*.toml")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    assert not any(key in copy.read_text() for key in KEYS.values())
    assert copy.read_text().endswith(file.read_text())


def log_of(home: Path) -> str:
    [log] = home.rglob("proxy.log")
    return log.read_text(encoding="utf-8")
