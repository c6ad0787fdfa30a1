"""The program in a company's network: its proxy's login is in nothing it prints, answers or writes."""

import json
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_socket

from fakes.asking import BODY, CHAT, FILES, MODELS
from fakes.http_proxy import WANTS_LOGIN, HttpProxy, answered
from fakes.leaks import files_below
from fakes.ports import free_port
from fakes.program import Program, run_python
from fakes.streaming import STREAM
from waiting import at_once

pytestmark = pytest.mark.timeout(180)  # several programs each

USER, PASSWORD = "corp-anna", "Win/ter @2026#x'?\"é"
TYPED = f"{USER}:{PASSWORD}"
ENCODED = f"{USER}:{quote(PASSWORD, safe='')}"
KEY = {"OPENAI_API_KEY": "sk-proj-0123456789abcdef", "OPENAI_MAX_RETRIES": "0"}
AWAY = {"OPENAI_BASE_URL": "https://upstream.invalid/v1", **KEY}
COMMANDS = (("doctor",), ("config",), ("key", "status"), ("page",), ("proxy-key", "list"), ("tools", "list"))


def spellings() -> list[str]:
    """Return user and password in every encoding somebody could meet them in."""
    pairs = [f"{USER}:{PASSWORD}".encode(form) for form in ("utf-8", "latin-1")]
    return [
        USER,
        PASSWORD,
        "Win/ter",
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        quote(PASSWORD, safe="").lower(),
        quote_plus(PASSWORD),
        repr(PASSWORD)[1:-1],
        ascii(PASSWORD)[1:-1],
        json.dumps(PASSWORD)[1:-1],
        *(b64encode(pair).decode().rstrip("=") for pair in pairs),
        b64encode(PASSWORD.encode()).decode().rstrip("="),
    ]


def check_says_nothing(text: str) -> None:
    """Fail where a text holds a part of the login."""
    for spelling in spellings():
        assert spelling not in text, (spelling, text)


def ask_everything(program: Program) -> str:
    """Ask the program in every way, and return all it answered."""
    told = []
    asked = [("POST", CHAT, BODY), ("POST", CHAT, STREAM), ("GET", MODELS, None), ("GET", "/v1/models/m", None)]
    asked += [("POST", FILES, b"x" * 400_000), ("POST", "/v1/embeddings", b'{"model":"m","input":"a"}')]
    for method, path, body in asked:
        with program.connect() as client:
            reply = client.ask(method, path, body, *(["Content-Type: application/json"] if body else []))
            assert reply.status == 502, reply
            told += [str(reply.headers), reply.body.decode()]
    with pytest.raises(InvalidStatus) as caught:
        connect_socket(f"ws://127.0.0.1:{program.port}/v1/realtime?model=m", proxy=None)
    told += [str(caught.value.response.headers), (caught.value.response.body or b"").decode()]
    return "\n".join(told)


def run(home: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command of the program to its end."""
    return run_python(home, "-m", "proxy", *words, **variables)


REFUSALS = {
    "wants a login": WANTS_LOGIN,
    "quotes the login": answered(403, f"No {USER}", f"http://{ENCODED}@proxy".encode()),
    "speaks no HTTP": f"http://{ENCODED}@proxy {b64encode(TYPED.encode()).decode()}\r\n\r\n".encode(),
    "closes": b"",
}


# Every command where the login comes back in an answer; the rest with the commands that ask the upstream.
@pytest.mark.parametrize(
    ("refused", "login", "commands"),
    [
        ("wants a login", TYPED, COMMANDS[:1]),
        ("wants a login", ENCODED, ()),
        ("quotes the login", TYPED, ()),
        ("quotes the login", ENCODED, COMMANDS),
        ("speaks no HTTP", TYPED, COMMANDS[:1]),
        ("speaks no HTTP", ENCODED, ()),
        ("closes", TYPED, COMMANDS[1:]),
        ("closes", ENCODED, COMMANDS[:1]),
    ],
)
def test_the_login_of_the_networks_proxy_is_nowhere(
    tmp_path: Path, refused: str, login: str, commands: tuple[tuple[str, ...], ...]
) -> None:
    answer = REFUSALS[refused]
    with HttpProxy(answer=answer) as network:
        variables = {**AWAY, "HTTPS_PROXY": network.url(login), "HTTP_PROXY": network.url(login)}
        with Program(tmp_path, "serve", "--port", "0", "--verbose", **variables) as program:
            told = ask_everything(program)
            checks = [("check", "--base-url", program.base_url)] if commands else []
            outcomes = at_once(partial(run, tmp_path, **variables), (*commands, *checks))
            program.process.terminate()
            program.ended()
            printed = program.printed
        targets = network.targets

    assert set(targets) == {"upstream.invalid:443"}  # `check` and `page` went past it
    assert "(HTTPS_PROXY)" in told
    assert "OPENAI_BASE_URL" not in told
    assert "The network's proxy" in printed
    said = [printed, told, *(outcome.stdout + outcome.stderr for outcome in outcomes)]
    written = [path.read_bytes().decode("utf-8", "replace") for path in files_below(tmp_path)]
    assert any("network's proxy" in text for text in written)  # the log is among them
    for text in (*said, *written):
        check_says_nothing(text)
        assert "Traceback" not in text


def text_of(file: Path) -> str:
    """Return a file's bytes as text, whatever they are."""
    return file.read_bytes().decode("utf-8", "replace")


NO_ADDRESSES = [
    f"http://{TYPED}@host:notaport",
    f"http://{TYPED}@",
    f"socks5://{TYPED}@",
    f"http://{TYPED}@ho st",
    f"{TYPED}@",
]


def test_a_value_that_is_no_address_stops_nothing_and_shows_nothing(tmp_path: Path) -> None:
    at_once(check_no_address, ((tmp_path / str(number), value) for number, value in enumerate(NO_ADDRESSES)))


def check_no_address(tmp_path: Path, value: str) -> None:
    """Run the program where the network's proxy has such an address, and look at all it says and writes."""
    variables = {**AWAY, "HTTPS_PROXY": value}
    tmp_path.mkdir()
    with Program(tmp_path, "serve", "--port", "0", **variables) as program, ThreadPoolExecutor(1) as pool:
        doctors = pool.submit(run, tmp_path, "doctor", **variables)
        told = ask_everything(program)
        doctor = doctors.result()
        printed = program.printed

    assert told.count("network_proxy_unreachable") >= 6
    assert "WRONG  Upstream: The network's proxy cannot be reached: HTTPS_PROXY" in doctor.stdout
    for text in (told, printed, doctor.stdout + doctor.stderr, *map(text_of, files_below(tmp_path))):
        check_says_nothing(str(text))
        assert "Traceback" not in str(text)


WITH_SECRETS = (
    f"https://{TYPED}@gateway.example/v1",
    f"https://gateway.example/v1?api-key={quote(PASSWORD)}&a={USER}x",
)


GIVEN_SECRETS: list[tuple[tuple[str, ...], str]] = [
    (("serve", "--port", "0"), WITH_SECRETS[0]),
    (("serve", "--port", "0"), WITH_SECRETS[1]),
    (("config",), WITH_SECRETS[0]),
    (("doctor",), WITH_SECRETS[1]),
    (("check",), WITH_SECRETS[0]),
    (("key", "status"), WITH_SECRETS[1]),
    (("page",), WITH_SECRETS[0]),
]


def test_a_base_url_with_a_secret_is_refused_without_it(tmp_path: Path) -> None:
    def run_given(words: tuple[str, ...], address: str) -> "subprocess.CompletedProcess[str]":
        return run(tmp_path, *words, OPENAI_BASE_URL=address)

    outcomes = at_once(run_given, GIVEN_SECRETS)

    for (words, _), outcome in zip(GIVEN_SECRETS, outcomes, strict=True):
        text = outcome.stdout + outcome.stderr
        # What looks for problems starts whatever is wrong, and says it.
        assert outcome.returncode == (0 if words in (("config",), ("key", "status")) else 1), words
        assert "OPENAI_BASE_URL is 'https://" in text
        assert "gateway.example" in text
        for spelling in set(spellings()) - {USER}:
            assert spelling not in text


@pytest.fixture(scope="module")
def networked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Program, HttpProxy, dict[str, str]]]:
    """Run the demo where every variable names a proxy of the network, which must never hear of it."""
    home = tmp_path_factory.mktemp("home")
    with HttpProxy(answer=answered(502, "Bad Gateway")) as network:
        names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        variables = {**dict.fromkeys(names, network.url(ENCODED)), "PROXY_PORT": str(free_port())}
        with Program(home, "serve", "--demo", **variables) as program:
            assert program.port
            yield program, network, variables


@pytest.mark.core
def test_the_demo_is_never_asked_through_it(networked: tuple[Program, HttpProxy, dict[str, str]]) -> None:
    program, network, _ = networked
    with program.connect() as client:
        for way, body in ((CHAT, BODY), (CHAT, STREAM), (MODELS, None)):
            assert client.ask("POST" if body else "GET", way, body, "Content-Type: application/json").status == 200
        assert b"The demo upstream does not have GET /v1/files" in client.ask("GET", FILES).body

    assert network.heads == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("check", "--stream"), 0, "All is well."),
        (("page",), 0, "/ui/enter?ticket="),
        (("serve",), 1, "The proxy runs already"),
    ],
)
def test_what_talks_to_the_running_program_goes_past_it(
    networked: tuple[Program, HttpProxy, dict[str, str]], words: tuple[str, ...], code: int, said: str
) -> None:
    program, network, variables = networked
    outcome = run_python(program.home, "-m", "proxy", *words, **variables)

    assert outcome.returncode == code, outcome
    assert said in outcome.stdout + outcome.stderr
    assert network.heads == []
