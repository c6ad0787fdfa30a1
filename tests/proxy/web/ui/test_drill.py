"""The fault drill: the next answer of one client breaks, once, and no other; only the page can have that."""

import json
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.environment import clean_environment
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy.demo.faults import FAULTS as DEMO_FAULTS
from proxy.exchange.drills import FAULTS

CHAT = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "Hi, how are you today?"}]}
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": {"model": "gpt-4o", "stream": True, "input": "Hi, how are you today?"},
    "/v1/messages": {**CHAT, "max_tokens": 200},
}
PATHS = tuple(ASKED)
QUICK = ("breaks-off", "no-done", "error-200", "429")  # the others take seconds


@pytest.fixture(scope="module")
def drilled(provider: ScriptedUpstream) -> Iterator[Hosted]:
    with clean_environment(), Hosted(openai_base_url=provider.base_url, openai_api_key=UPSTREAM_KEY) as hosted:
        yield hosted


@pytest.fixture(scope="module")
def page(drilled: Hosted) -> Iterator[httpx2.Client]:
    with drilled.enter() as browser:
        browser.headers["X-Form-Token"] = form_token(browser.get("/").text)
        yield browser


def arm(page: httpx2.Client, client: str, fault: str | None) -> httpx2.Response:
    return page.post("/api/drill", json={"client": client, "fault": fault})


def ask(hosted: Hosted, path: str = PATHS[0], agent: str = "zed/1.0") -> tuple[int, str]:
    """Return the status, and what came as far as it came."""
    with hosted.http.stream("POST", path, json=ASKED[path], headers={"User-Agent": agent}) as answer:
        came = []
        try:
            came += answer.iter_text()
        except httpx2.HTTPError:
            came.append("(cut)")
        return answer.status_code, "".join(came)


def test_each_fault_is_one_of_the_demos(page: httpx2.Client) -> None:
    told = [row["name"] for row in page.get("/api/drill").json()["faults"]]
    assert told == list(FAULTS)
    assert {f"demo-{name}" for name in told} == set(DEMO_FAULTS)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("fault", QUICK)
def test_the_next_answer_breaks_once_and_no_upstream_is_asked_for_it(
    drilled: Hosted, page: httpx2.Client, upstream: Fresh, fault: str, path: str
) -> None:
    upstream.answer(Json({"error": {"message": "none"}}, status=418))
    assert arm(page, "zed/1.0", fault).status_code == 200

    status, said = ask(drilled, path)

    assert upstream.requests == []
    state = page.get("/api/drill").json()
    assert state["armed"] == []
    assert (state["last"]["client"], state["last"]["fault"]) == ("zed/1.0", fault)
    if fault == "429":
        assert (status, json.loads(said)["error"]["message"]) == (429, "Rate limit reached for the demo.")
    elif fault == "breaks-off":
        assert "upstream_truncated" in said or "(cut)" in said or "error" in said
        assert "[DONE]" not in said
    elif fault == "error-200":
        assert "asked to" in said
    else:
        assert status == 200
    ask(drilled, path)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("armed", ["zed", "ZED", "zed/1.0", " zed "])
def test_a_client_is_found_by_its_name_with_or_without_its_version(
    drilled: Hosted, page: httpx2.Client, upstream: Fresh, armed: str
) -> None:
    arm(page, armed, "429")
    assert ask(drilled)[0] == 429
    assert upstream.requests == []


@pytest.mark.parametrize("agent", ["zedd/1.0", "aider", "ze"])
def test_other_clients_are_left_alone(drilled: Hosted, page: httpx2.Client, upstream: Fresh, agent: str) -> None:
    upstream.answer(Json(completion("Hello")))
    arm(page, "zed", "429")
    assert ask(drilled, agent=agent)[0] == 200
    assert [row["client"] for row in page.get("/api/drill").json()["armed"]] == ["zed"]
    assert arm(page, "zed", None).json()["armed"] == []
    assert ask(drilled)[0] == 200


def test_what_is_no_answer_of_a_model_is_left_alone(drilled: Hosted, page: httpx2.Client, upstream: Fresh) -> None:
    arm(page, "zed", "429")
    for path in ("/v1/models", "/v1/files"):
        assert drilled.http.get(path, headers={"User-Agent": "zed/1.0"}).status_code == 200
    drilled.http.post("/v1/embeddings", json={"model": "m", "input": "Hi"}, headers={"User-Agent": "zed/1.0"})
    assert len(page.get("/api/drill").json()["armed"]) == 1
    arm(page, "zed", None)


def test_a_drill_says_nothing_of_the_upstream(drilled: Hosted, page: httpx2.Client) -> None:
    for fault in ("breaks-off", "429", "breaks-off", "breaks-off"):
        arm(page, "zed", fault)
        ask(drilled)
    assert drilled.services.health.current.kind == "healthy"


@pytest.mark.parametrize(
    "asked",
    [
        {"client": "zed", "fault": "burns"},
        {"client": "", "fault": "429"},
        {"client": None, "fault": "429"},
        {"client": "zed", "fault": 429},
        {"client": "zed", "fault": "demo-429"},
        {},
        [],
    ],
    ids=str,
)
def test_what_cannot_be_broken_is_refused(page: httpx2.Client, asked: Any) -> None:
    answer = page.post("/api/drill", json=asked)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert page.get("/api/drill").json()["armed"] == []


def test_nobody_without_the_pages_session_and_token_can_break_an_answer(
    drilled: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Json(completion("Hello")))
    wanted = {"client": "zed", "fault": "429"}
    path = f"{page.base_url.path}api/drill"
    without_token = page.post("/api/drill", json=wanted, headers={"X-Form-Token": ""})
    foreign = page.post("/api/drill", json=wanted, headers={"Origin": "https://foreign.example"})
    stranger = drilled.http.post(path, json=wanted)
    by_header = drilled.http.post(path, json=wanted, headers={"X-Form-Token": page.headers["X-Form-Token"]})
    assert {answer.status_code for answer in (without_token, foreign, stranger, by_header)} == {403}
    assert ask(drilled)[0] == 200


def test_a_client_cannot_ask_for_it_by_a_models_name(drilled: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    body = {"model": "fault-drill/demo-429", "messages": CHAT["messages"]}
    assert drilled.http.post(PATHS[0], json=body).status_code == 200
    assert upstream.request.json()["model"] == "fault-drill/demo-429"
