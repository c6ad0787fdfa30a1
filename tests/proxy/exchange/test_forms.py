"""Forms go to the upstream of their model, at any size, and to the next of a chain where one fails."""

from collections.abc import Iterator
from typing import Any

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Answer, CloseBeforeHeaders, Json, ScriptedUpstream, SilentBeforeHeaders, Sse
from fakes.shared_upstream import Fresh
from fakes.two_upstreams import OTHERS_KEY, Desk, text

SPEECH = "/v1/audio/transcriptions"
MIB = 1_048_576
LARGE = 34 * MIB  # more than is held in memory
CHAINS = {"hear": ["default/w-1", "other/w-2"], "far": ["gone/w-0", "other/w-2"]}
GONE = {"name": "gone", "base_url": "http://127.0.0.1:9/v1", "auth": "none"}


def form(model: str, size: int = 4, *, is_last: bool = False) -> dict[str, Any]:
    """Return what sends a form with a file and a model."""
    file = b'--b0\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n' + bytes(size) + b"\r\n"
    field = f'--b0\r\nContent-Disposition: form-data; name="model"\r\n\r\n{model}\r\n'.encode()
    body = (file + field if is_last else field + file) + b"--b0--\r\n"
    return {"content": body, "headers": {"Content-Type": "multipart/form-data; boundary=b0"}}


def in_pieces(asked: dict[str, Any]) -> dict[str, Any]:
    """Return what sends the same without saying its length."""
    body = asked["content"]
    return {**asked, "content": (body[at : at + MIB] for at in range(0, len(body), MIB))}


@pytest.fixture(scope="module")
def running(
    provider: ScriptedUpstream, other_provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningProxy]:
    desk = Desk(Fresh(provider), Fresh(other_provider), tmp_path_factory.mktemp("desk"))
    rows = [{"name": "other", "base_url": desk.other.base_url}, GONE]
    with desk.run(proxy_upstreams=rows, proxy_aliases=CHAINS, openai_timeout=5.0) as proxy:
        yield proxy


@pytest.fixture
def proxy(desk: Desk, running: RunningProxy) -> RunningProxy:
    """Return a proxy before both that knows of no failure of theirs."""
    running.services.router.cooldown.forget(("default", "other", "gone"))
    return running


@pytest.mark.parametrize(
    ("size", "is_last", "says_length"),
    [
        *((LARGE, True, False), (LARGE, False, True)),
        *((2 * MIB, True, True), (2 * MIB, False, False), (4, False, True), (4, True, False)),
    ],
)
def test_a_form_of_any_size_goes_where_its_model_says(
    desk: Desk, proxy: RunningProxy, size: int, *, is_last: bool, says_length: bool
) -> None:
    asked = form("other/w-9", size, is_last=is_last)
    reply = proxy.http.post(SPEECH, **(asked if says_length else in_pieces(asked)))
    assert text(reply) == "of the other"
    assert reply.headers["x-proxy-upstream"] == "other"
    assert desk.other.request.body == form("w-9", size, is_last=is_last)["content"]
    assert desk.first.requests == []


FAILURES = [
    Json({"error": {"message": "down"}}, 503),
    Json({"error": {"message": "slow down"}}, 429, headers=(("Retry-After", "60"),)),
    CloseBeforeHeaders(),
    Sse([{"error": {"message": "overloaded"}}]),
]


@pytest.mark.parametrize("failing", FAILURES)
@pytest.mark.parametrize("path", [SPEECH, "/v1/images/edits", "/v1/audio/translations"])
def test_the_next_of_a_chain_is_asked(desk: Desk, proxy: RunningProxy, path: str, failing: Answer) -> None:
    desk.first.answer(failing)
    reply = proxy.http.post(path, **form("hear"))
    assert text(reply) == "of the other"
    assert {request.body for request in desk.first.requests} == {form("w-1")["content"]}
    assert desk.other.request.body == form("w-2")["content"]
    assert desk.other.request.header("Authorization") == f"Bearer {OTHERS_KEY}"


@pytest.mark.parametrize("is_last", [True, False])
@pytest.mark.parametrize("says_length", [True, False])
def test_what_is_held_is_sent_again_to_the_next(
    desk: Desk, proxy: RunningProxy, *, is_last: bool, says_length: bool
) -> None:
    desk.first.answer(FAILURES[0])
    asked = form("hear", 3 * MIB, is_last=is_last)
    assert text(proxy.http.post(SPEECH, **(asked if says_length else in_pieces(asked)))) == "of the other"
    assert desk.other.request.body == form("w-2", 3 * MIB, is_last=is_last)["content"]


def test_a_form_that_is_not_held_whole_goes_on_where_nothing_of_it_was_taken(desk: Desk, proxy: RunningProxy) -> None:
    assert text(proxy.http.post(SPEECH, **form("far", LARGE))) == "of the other"
    assert desk.other.request.body == form("w-2", LARGE)["content"]


def test_a_form_that_has_gone_up_and_is_not_held_is_sent_to_nobody_else(desk: Desk, proxy: RunningProxy) -> None:
    desk.first.answer(FAILURES[0])
    reply = proxy.http.post(SPEECH, **form("hear", LARGE))
    assert (reply.status_code, reply.json()["error"]["message"]) == (503, "down")
    assert desk.other.requests == []


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/images/generations", {"json": {"model": "hear", "prompt": "x"}}),
        ("/v1/audio/speech", {"json": {"model": "hear", "input": "x"}}),
        ("/v1/moderations", {"json": {"model": "hear", "input": "x" * MIB}}),
        ("/v1/rerank", {"json": {"model": "hear", "query": "x"}}),
    ],
)
def test_json_that_is_passed_on_falls_back_too(
    desk: Desk, proxy: RunningProxy, path: str, asked: dict[str, Any]
) -> None:
    desk.first.answer(FAILURES[0])
    assert text(proxy.http.post(path, **asked)) == "of the other"
    assert (desk.first.request.json()["model"], desk.other.request.json()["model"]) == ("w-1", "w-2")


@pytest.mark.parametrize(
    "path",
    ["/v1/files", "/v1/batches", "/v1/realtime/calls", "/v1/videos", "/v1/fine_tuning/jobs", "/v1/realtime/sessions"],
)
def test_what_the_upstream_keeps_stays_with_the_first(desk: Desk, proxy: RunningProxy, path: str) -> None:
    desk.first.answer(FAILURES[0])
    assert proxy.http.post(path, **form("hear")).status_code == 503
    assert proxy.http.post(path, json={"model": "hear"}).status_code == 503
    assert desk.other.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_a_refusal_of_a_form_is_the_answer(desk: Desk, proxy: RunningProxy, status: int) -> None:
    desk.first.answer(Json({"error": {"message": "no"}}, status))
    assert proxy.http.post(SPEECH, **form("hear")).status_code == status
    assert desk.other.requests == []


def test_a_callers_own_key_is_shown_to_the_first_alone(desk: Desk) -> None:
    desk.first.answer(FAILURES[0])
    with desk.run(proxy_aliases={"hear": CHAINS["hear"]}, proxy_forward_auth_header=True) as proxy:
        asked = form("hear")
        asked["headers"]["Authorization"] = "Bearer callers-own"
        assert proxy.http.post(SPEECH, **asked).status_code == 503
    assert desk.other.requests == []


def test_a_silent_upstream_is_left_for_the_next(desk: Desk) -> None:
    desk.first.answer(SilentBeforeHeaders())
    with desk.run(proxy_aliases={"hear": CHAINS["hear"]}, openai_timeout=0.3) as proxy:
        assert text(proxy.http.post(SPEECH, **form("hear", 2 * MIB))) == "of the other"


def test_files_without_a_model_are_passed_on_while_they_arrive(desk: Desk, proxy: RunningProxy) -> None:
    asked = form("", 3 * MIB)
    asked["content"] = asked["content"].replace(b'"model"', b'"purpose"')
    assert text(proxy.http.post("/v1/files", **asked)) == "of the first"
    assert desk.first.request.body == asked["content"]
