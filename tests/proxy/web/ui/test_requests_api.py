"""The recent requests as the program's own pages read them: over real HTTP, from a real proxy and upstream."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.scripted_upstream import Json, Sse, Stall, completion, completion_chunks
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from waiting import wait_for

CHAT = "/v1/chat/completions"
BODY = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
}


@pytest.fixture
def hosted(upstream: Fresh) -> Iterator[Hosted]:
    with Hosted(openai_base_url=upstream.base_url, openai_api_key=UPSTREAM_KEY) as running:
        yield running


@pytest.fixture
def page(hosted: Hosted) -> Iterator[httpx2.Client]:
    with hosted.enter() as browser:
        browser.headers["X-Form-Token"] = form_token(browser.get("/").text)
        yield browser


def rows(page: httpx2.Client, query: str = "") -> list[dict[str, Any]]:
    answer = page.get("/api/requests", params={"q": query})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["requests"]
    return found


def details(page: httpx2.Client, request_id: str) -> dict[str, Any]:
    answer = page.get(f"/api/requests/{request_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@contextmanager
def asking(hosted: Hosted, body: dict[str, Any]) -> Iterator[list[httpx2.Response | Exception]]:
    """Ask in a thread of its own; what comes of it is in the list."""
    came: list[httpx2.Response | Exception] = []

    def ask() -> None:
        try:
            came.append(hosted.http.post(CHAT, json=body))
        except httpx2.HTTPError as error:
            came.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    yield came
    thread.join(10)


def test_a_request_is_a_row_with_the_names_of_the_documented_columns(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Json(completion("Hello")))
    hosted.http.post(CHAT, json=BODY, headers={"User-Agent": "zed/1.0"})

    [row] = rows(page)

    assert row["client"] == "zed/1.0"
    assert (row["model_asked"], row["model_sent"]) == ("gpt-4o-mini", "gpt-4o-mini")
    assert (row["status"], row["outcome"]) == (200, "whole")
    assert row["endpoint"] == "/chat/completions"
    assert row["is_captured"] is True
    assert row["first_byte_s"] is not None
    assert 0 <= row["duration_s"] < 10


def test_a_request_opens_to_its_conversation_with_the_answer_put_together(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo ", "you")))
    hosted.http.post(CHAT, json={**BODY, "stream": True})

    opened = details(page, rows(page)[0]["id"])

    assert [(each["role"], each["from"], each["parts"]) for each in opened["conversation"]["messages"]] == [
        ("system", "request", [{"type": "text", "text": "Be brief."}]),
        ("user", "request", [{"type": "text", "text": "Hi"}]),
        ("assistant", "answer", [{"type": "text", "text": "Hello you"}]),
    ]
    assert json.loads(opened["client"]["body"]) == {**BODY, "stream": True}
    sent = json.loads(opened["attempts"][0]["body"])
    assert sent["stream_options"] == {"include_usage": True}
    assert [(each["name"], each["kind"]) for each in opened["changes"]] == [("stream_options", "added")]
    assert "".join(each["text"] for each in opened["events"]).startswith("data: {")
    times = [each["at_s"] for each in opened["events"]]
    assert times == sorted(times)
    assert {each["what"] for each in opened["prompt"]} == {"system", "last"}


def test_a_running_request_is_a_row_and_can_be_cancelled_which_closes_the_upstream(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Sse(completion_chunks("Hel", finish=None), end=Stall(), done=False))
    with asking(hosted, {**BODY, "stream": True}) as came:
        [row] = wait_for(lambda: [each for each in rows(page, "status:running") if each["bytes_down"]], "the row")

        cancelled = page.post(f"/api/requests/{row['id']}/cancel")

        assert cancelled.json() == {"cancelled": True}
        upstream.wait_for_hangup()
    [answer] = came
    assert isinstance(answer, httpx2.Response)
    assert "request_cancelled" in answer.text
    [over] = rows(page)
    assert (over["outcome"], over["outcome_words"]) == ("cancelled", "cancelled by you")
    assert page.post(f"/api/requests/{row['id']}/cancel").status_code == 409


def read_events(page: httpx2.Client, came: list[tuple[str, Any, float]], until: threading.Event) -> None:
    with page.stream("GET", "/api/events") as answer:
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                came.append((name, json.loads(line.removeprefix("data: ")), time.monotonic()))
            if until.is_set():
                return


def test_an_open_page_hears_of_a_request_within_a_fifth_of_a_second(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Sse(completion_chunks(*"abcdefgh"), gap_s=0.1))
    came: list[tuple[str, Any, float]] = []
    until = threading.Event()
    reader = threading.Thread(target=read_events, args=(page, came, until))
    reader.start()
    wait_for(lambda: came, "the first event")

    began = time.monotonic()
    hosted.http.post(CHAT, json={**BODY, "stream": True})
    over = time.monotonic()
    wait_for(lambda: [each for each in came if each[0] == "ended"], "the end")
    until.set()
    hosted.http.get("/v1/models")  # another event, so that the reader looks
    reader.join(5)

    begun = next(each for each in came if each[0] == "begun")
    ended = next(each for each in came if each[0] == "ended")
    assert begun[2] - began < 0.2
    assert ended[2] - over < 0.2
    assert ended[1]["outcome"] == "whole"
    assert [each for each in came if each[0] == "progress"]
