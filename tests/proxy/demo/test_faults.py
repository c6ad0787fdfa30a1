"""The demo's models that fail as real upstreams do."""

import json
from collections.abc import Iterator

import httpx2
import pytest

from proxy.demo import faults
from proxy.demo.faults import FAULTS
from waiting import at_once

ENDPOINTS = {
    "/chat/completions": {"messages": [{"role": "user", "content": "Hello you"}]},
    "/responses": {"input": "Hello you"},
}


@pytest.fixture
def http(demo_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx2.Client]:
    for name in ("SLOW_S", "SLOW_PACE_S"):
        monkeypatch.setattr(faults, name, 0.05)
    with httpx2.Client(base_url=demo_url, trust_env=False, timeout=1) as client:
        yield client


def body(path: str, model: str, *, stream: bool = True) -> dict[str, object]:
    return {"model": model, "stream": stream, **ENDPOINTS[path]}


def test_the_faults_are_listed_among_the_models(http: httpx2.Client) -> None:
    names = [model["id"] for model in http.get("/models").json()["data"]]
    assert [name for name in names if name in FAULTS] == list(FAULTS)
    assert len(FAULTS) == 6


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("stream", [True, False])
def test_an_answer_breaks_off(http: httpx2.Client, path: str, stream: bool) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        http.post(path, json=body(path, "demo-breaks-off", stream=stream))


def test_an_answer_begins_and_stalls(http: httpx2.Client) -> None:
    at_once(check_stalls, ((http, path, stream) for path in ENDPOINTS for stream in (True, False)), at_most=8)


def check_stalls(http: httpx2.Client, path: str, stream: bool) -> None:
    """Ask for an answer that begins and then says nothing more."""
    with http.stream("POST", path, json=body(path, "demo-stalls", stream=stream)) as answer:
        assert answer.status_code == 200
        with pytest.raises(httpx2.ReadTimeout):
            answer.read()


@pytest.mark.parametrize(("path", "last"), [("/chat/completions", b"[DONE]"), ("/responses", b"response.completed")])
def test_a_stream_ends_without_its_last_event(http: httpx2.Client, path: str, last: bytes) -> None:
    whole = http.post(path, json=body(path, "demo-chat")).content
    cut = http.post(path, json=body(path, "demo-no-done")).content

    assert last in whole
    assert last not in cut
    assert cut.count(b"\n\n") == whole.count(b"\n\n") - 1


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize("stream", [True, False])
def test_an_error_comes_with_status_200(http: httpx2.Client, path: str, stream: bool) -> None:
    answer = http.post(path, json=body(path, "demo-error-200", stream=stream))

    assert answer.status_code == 200
    last = answer.text.strip().rpartition("data: ")[2]
    assert json.loads(last)["error"]["code"] == "demo_error"


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_rate_limit_says_when_to_come_again(http: httpx2.Client, path: str) -> None:
    answer = http.post(path, json=body(path, "demo-429"))

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.json()["error"]["code"] == "rate_limit_exceeded"


def test_a_slow_answer_is_whole_in_the_end(http: httpx2.Client) -> None:
    at_once(check_slow, ((http, path, stream) for path in ENDPOINTS for stream in (True, False)), at_most=8)


def check_slow(http: httpx2.Client, path: str, stream: bool) -> None:
    """Ask for a slow answer, and for the same at the usual pace."""
    answer = http.post(path, json=body(path, "demo-slow", stream=stream), timeout=20)
    usual = http.post(path, json=body(path, "demo-chat", stream=stream))

    assert (answer.status_code, answer.text.count("\n\n")) == (200, usual.text.count("\n\n"))
