"""Connections at rest: which are trusted again, by the clock of the wall and the one that counts."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fakes.asking import BODY, CHAT, MODELS, ask
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh, connect
from fakes.streaming import STREAM

pytest.importorskip("cryptography", reason="makes the certificate; it comes with the keyring, on Linux only")

from fakes.tls_upstream import TlsUpstream

Start = Callable[..., RunningProxy]
SetClocks = Callable[[float, float], None]


@pytest.fixture(scope="module")
def safe_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsUpstream]:
    with TlsUpstream(tmp_path_factory.mktemp("certificate")) as running:
        yield running


@pytest.fixture
def set_clocks(monkeypatch: pytest.MonkeyPatch) -> SetClocks:
    """Return a function that sets both clocks forward, or back: the one that counts, and that of the wall."""
    monotonic, wall = time.monotonic, time.time

    def set_both(counted_s: float, wall_s: float) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: monotonic() + counted_s)
        monkeypatch.setattr(time, "time", lambda: wall() + wall_s)

    return set_both


@pytest.mark.parametrize("way", [CHAT, MODELS])
@pytest.mark.parametrize(("rested_s", "connections"), [(1, 1), (28, 1), (31, 2), (3_600, 2)])
def test_a_connection_is_trusted_for_30_seconds(
    upstream: Fresh, set_clocks: SetClocks, start: Start, way: str, rested_s: float, connections: int
) -> None:
    proxy = start(upstream.base_url)
    ask(proxy, way)
    set_clocks(rested_s, rested_s)

    assert ask(proxy, way).status == 200
    assert upstream.accepted_connections == connections


@pytest.mark.parametrize(
    ("counted_s", "wall_s", "connections"),
    [
        (0, 3_600, 2),  # asleep, on a system whose counting clock sleeps too
        (0, 3, 2),
        (5, 600, 2),  # asleep, soon after the last request
        (0, -3_600, 2),  # set back
        (20, 0, 2),
        (0, 1, 1),  # corrected, as clocks are
        (0, -1, 1),
        (10, 10.5, 1),
    ],
)
def test_no_connection_is_trusted_after_a_jump_of_the_clock(
    upstream: Fresh, set_clocks: SetClocks, start: Start, counted_s: float, wall_s: float, connections: int
) -> None:
    proxy = start(upstream.base_url)
    ask(proxy)
    set_clocks(counted_s, wall_s)

    assert ask(proxy).status == 200
    assert upstream.accepted_connections == connections


@pytest.mark.parametrize(("counted_s", "wall_s"), [(31, 31), (0, 600), (0, -600)])
def test_all_connections_at_rest_are_closed_then(
    upstream: Fresh, set_clocks: SetClocks, start: Start, counted_s: float, wall_s: float
) -> None:
    upstream.provider.drop_connections()
    upstream.answer(Sse(completion_chunks("a"), gap_s=0.02))
    proxy = start(upstream.base_url)
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(proxy)) for _ in range(4)]
        for client in clients:
            client.send(client.request("POST", CHAT, STREAM, "Content-Type: application/json"))
        for client in clients:
            client.read_reply()
        upstream.provider.wait_for_open_connections(4)
        set_clocks(counted_s, wall_s)
        upstream.answer(Json(completion("Hello")))

        assert clients[0].post(CHAT, BODY).status == 200
        upstream.provider.wait_for_open_connections(1)


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [CHAT, MODELS])
def test_a_handshake_behind_a_rest_is_a_short_one(
    safe_upstream: TlsUpstream, set_clocks: SetClocks, start: Start, way: str
) -> None:
    before = len(safe_upstream.resumed)
    proxy = start(safe_upstream.base_url, openai_ca_file=str(safe_upstream.certificate))
    for rests in range(3):
        set_clocks(40 * rests, 40 * rests)
        assert ask(proxy, way).status == 200

    assert safe_upstream.resumed[before:] == [False, True, True]


def test_a_handshake_with_an_upstream_that_closes_each_time_is_a_short_one(
    safe_upstream: TlsUpstream, start: Start
) -> None:
    before = len(safe_upstream.resumed)
    proxy = start(safe_upstream.base_url, openai_ca_file=str(safe_upstream.certificate))
    for _ in range(3):
        assert ask(proxy, "/v1/once").status == 200

    assert safe_upstream.resumed[before:] == [False, True, True]


def test_a_session_is_nobody_elses(safe_upstream: TlsUpstream, start: Start) -> None:
    before = len(safe_upstream.resumed)
    for _ in range(2):
        ask(start(safe_upstream.base_url, openai_ca_file=str(safe_upstream.certificate)), "/v1/once")

    assert safe_upstream.resumed[before:] == [False, False]
