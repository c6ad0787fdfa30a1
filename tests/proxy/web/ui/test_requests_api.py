"""The recent requests as the program's own pages read them: over real HTTP, from a real proxy and upstream."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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


def captured(hosted: Hosted, page: httpx2.Client, body: dict[str, Any], **headers: str) -> str:
    """Ask, and return the id of the request."""
    hosted.http.post(CHAT, json=body, headers=headers)
    request_id: str = rows(page)[0]["id"]
    return request_id


def test_a_request_is_sent_again_with_another_model_as_a_request_of_its_own(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Json(completion("Hello")))
    first = captured(hosted, page, {**BODY, "temperature": 0.5}, **{"User-Agent": "zed/1.0"})

    answer = page.post(f"/api/requests/{first}/again", json={"model": "another-model"})

    assert answer.status_code == 202
    again = wait_for(
        lambda: [each for each in rows(page, "outcome:whole") if each["id"] == answer.json()["id"]], "the second"
    )[0]
    assert (again["client"], again["model_sent"], again["status"]) == ("dashboard", "another-model", 200)
    sent = upstream.requests[-1]
    assert sent.json() == {**BODY, "temperature": 0.5, "model": "another-model"}
    assert sent.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    assert details(page, again["id"])["conversation"]["messages"][-1]["parts"] == [{"type": "text", "text": "Hello"}]


def test_a_request_goes_again_to_another_upstream(upstream: Fresh, page_with_two: tuple[Hosted, httpx2.Client]) -> None:
    hosted, page = page_with_two
    upstream.answer(Json(completion("Hello")))
    first = captured(hosted, page, BODY)

    answer = page.post(f"/api/requests/{first}/again", json={"upstream": "other"})

    again = wait_for(
        lambda: [each for each in rows(page, "outcome:whole") if each["id"] == answer.json()["id"]], "the second"
    )[0]
    assert again["upstream"] == "other"
    assert (again["cost_usd"], again["price_source"]) == (0, "local")
    assert upstream.requests[-1].path.startswith("/v1/other/")


@pytest.fixture
def page_with_two(upstream: Fresh) -> Iterator[tuple[Hosted, httpx2.Client]]:
    other = {"name": "other", "base_url": f"{upstream.base_url}/other", "auth": "none"}
    settings = {"openai_base_url": upstream.base_url, "openai_api_key": UPSTREAM_KEY}
    with Hosted(**settings, proxy_upstreams=json.dumps([other])) as hosted, hosted.enter() as browser:
        browser.headers["X-Form-Token"] = form_token(browser.get("/").text)
        yield hosted, browser


@pytest.mark.parametrize("wanted", [{"model": 5}, {"upstream": ["a"]}, {"model": {"a": 1}}])
def test_what_is_no_name_is_sent_nowhere(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, wanted: dict[str, Any]
) -> None:
    upstream.answer(Json(completion("Hello")))
    first = captured(hosted, page, BODY)

    assert page.post(f"/api/requests/{first}/again", json=wanted).status_code == 400
    assert len(upstream.requests) == 1


def test_what_is_not_held_can_be_neither_sent_again_nor_cancelled_nor_saved(page: httpx2.Client) -> None:
    for action in ("again", "cancel"):
        assert page.post(f"/api/requests/proxy-none-1/{action}", json={}).status_code in (404, 409)
    for form in (".har", ".json", "/curl", "/python", "/media/0", ""):
        assert page.get(f"/api/requests/proxy-none-1{form}").status_code == 404


@pytest.mark.parametrize("path", ["requests/x/cancel", "requests/x/again", "capture/pause"])
@pytest.mark.parametrize("token", [None, "", "made-up", "ü"])
def test_every_change_needs_the_forms_token(hosted: Hosted, path: str, token: str | None) -> None:
    with hosted.enter() as browser:
        headers = {} if token is None else {"X-Form-Token": token.encode()}
        assert browser.post(f"/api/{path}", json={}, headers=headers).status_code == 403
        assert hosted.services.capture.is_paused is False


def test_the_api_is_below_the_secret_path_and_behind_the_session(hosted: Hosted, page: httpx2.Client) -> None:
    root = hosted.root_url + hosted.dashboard.sessions.path
    for path in ("requests", "events", "capture", "filters", "requests/x", "requests/x.har", "requests/x/curl"):
        assert httpx2.get(f"{root}/api/{path}", trust_env=False).status_code == 403
        assert page.get(f"{hosted.root_url}/ui/api/{path}").status_code == 403
        strange = page.get(f"/api/{path}", headers={"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"})
        assert strange.status_code == 403


KEYS = ("op-not-a-real-key-but-one-in-shape-000000000000", "sk-another-of-somebody-000", UPSTREAM_KEY)


def test_no_key_is_in_any_answer(page_with_two: tuple[Hosted, httpx2.Client], upstream: Fresh) -> None:
    hosted, page = page_with_two
    said = f'My keys: {" ".join(KEYS)} and "{UPSTREAM_KEY}\\'
    answer = completion(f"I was told {UPSTREAM_KEY}")
    upstream.answer(Json(answer, headers=[("Set-Cookie", "session=secret-cookie"), ("X-Api-Key", UPSTREAM_KEY)]))
    headers = {"Authorization": f"Bearer {KEYS[1]}", "X-My-Token": "secret-token", "X-Other": UPSTREAM_KEY}
    hosted.http.post(
        f"{CHAT}?api_key=secret-query&x=1",
        json={**BODY, "messages": [{"role": "user", "content": said}], UPSTREAM_KEY: 1},
        headers={**headers, "X-Title": f"client {UPSTREAM_KEY}"},
    )
    request_id = rows(page)[0]["id"]

    paths = [f"requests/{request_id}{form}" for form in ("", ".har", ".json", "/curl", "/python")]
    for path in ("requests", "filters", "capture", *paths):
        text = page.get(f"/api/{path}").text
        for secret in (*KEYS, "secret-cookie", "secret-token", "secret-query"):
            assert secret not in text, path
    assert "My keys" in page.get(f"/api/requests/{request_id}").text


def test_no_key_is_in_an_event(hosted: Hosted, page: httpx2.Client, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    came: list[tuple[str, Any, float]] = []
    until = threading.Event()
    reader = threading.Thread(target=read_events, args=(page, came, until))
    reader.start()
    wait_for(lambda: came, "the first event")
    hosted.http.post(CHAT, json={**BODY, "model": f"model-{UPSTREAM_KEY}"}, headers={"X-Title": UPSTREAM_KEY})
    wait_for(lambda: [each for each in came if each[0] == "ended"], "the end")
    until.set()
    hosted.http.get("/v1/models")
    reader.join(5)

    assert UPSTREAM_KEY not in json.dumps([each[1] for each in came])


def test_pausing_holds_no_bodies_and_hears_no_chunks(hosted: Hosted, page: httpx2.Client, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo")))
    assert page.post("/api/capture/pause", json={"paused": True}).json()["is_paused"] is True
    paused = captured(hosted, page, {**BODY, "stream": True})

    assert hosted.services.observers.hears_chunks is False
    assert hosted.services.capture.held_bytes == 0
    assert rows(page)[0]["is_captured"] is False
    assert details(page, paused)["conversation"] is None

    page.post("/api/capture/pause", json={"paused": False})
    held = captured(hosted, page, {**BODY, "stream": True})
    assert details(page, held)["conversation"]["messages"][-1]["parts"] == [{"type": "text", "text": "Hello"}]


def test_the_setting_turns_it_off_and_on_while_it_runs(hosted: Hosted, page: httpx2.Client, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    hosted.services.store.update(proxy_capture=False)
    captured(hosted, page, BODY)

    assert rows(page)[0]["is_captured"] is False
    assert hosted.services.observers.hears_chunks is False
    assert page.get("/api/capture").json()["is_on"] is False
    hosted.services.store.update(proxy_capture=True)
    captured(hosted, page, BODY)
    assert rows(page)[0]["is_captured"] is True


def test_bodies_go_when_there_is_no_room_and_rows_when_there_are_too_many(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Json(completion("Hello")))
    hosted.services.store.update(proxy_capture_mb=1, proxy_capture_requests=5)
    large = {**BODY, "messages": [{"role": "user", "content": "x" * 300_000}]}
    ids = [captured(hosted, page, large) for _ in range(7)]

    state = page.get("/api/capture").json()
    assert 300_000 < state["held_bytes"] <= state["budget_bytes"] == 1_048_576
    assert state["requests"] == 3
    assert len(hosted.services.capture.all()) == 5
    assert details(page, ids[-1])["conversation"] is not None
    assert details(page, ids[2])["conversation"] is None
    assert len(wait_for(lambda: found if len(found := rows(page)) == 7 else None, "the ledger's rows")) == 7


def test_a_body_larger_than_the_whole_budget_is_not_held(hosted: Hosted, page: httpx2.Client, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    hosted.services.store.update(proxy_capture_mb=1)
    request_id = captured(hosted, page, {**BODY, "messages": [{"role": "user", "content": "x" * 1_200_000}]})

    assert details(page, request_id)["conversation"] is None
    assert hosted.services.capture.held_bytes == 0


def test_bodies_that_went_as_they_came_are_held_once(hosted: Hosted, page: httpx2.Client, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    captured(hosted, page, {**BODY, "messages": [{"role": "user", "content": "x" * 100_000}]})

    [record] = hosted.services.capture.all()
    assert record.attempts[0].body is record.body
    assert record.size_bytes < 110_000


def test_a_page_that_does_not_read_holds_nobody_up_and_is_told_to_fetch_anew(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Json(completion("Hello")))
    with page.stream("GET", "/api/events") as stream:
        lines = stream.iter_lines()
        next(lines)
        for number in range(900):  # each is told in three events of some hundred bytes
            hosted.http.post(CHAT, json={**BODY, "model": f"model-{number}-{'x' * 3000}"})
        last = time.monotonic()
        hosted.http.post(CHAT, json=BODY)
        assert time.monotonic() - last < 1
        assert hosted.services.capture.feed.waiting() <= 500
        names = []
        while "lost" not in names:
            line = next(lines)
            if line.startswith("event: "):
                names.append(line.removeprefix("event: "))
    wait_for(lambda: hosted.services.capture.feed.pages == 0, "the page's end")


def test_only_so_many_pages_may_listen(hosted: Hosted, page: httpx2.Client) -> None:
    with ExitStack() as stack:
        for _ in range(16):
            assert stack.enter_context(page.stream("GET", "/api/events")).status_code == 200
        assert page.get("/api/events").status_code == 503
        assert page.get("/api/requests").status_code == 200
    wait_for(lambda: hosted.services.capture.feed.pages == 0, "the end of all pages")
    with page.stream("GET", "/api/events") as stream:
        assert stream.status_code == 200


def test_an_open_page_does_not_hold_up_the_end_of_the_program(upstream: Fresh) -> None:
    hosted = Hosted(openai_base_url=upstream.base_url, openai_api_key=UPSTREAM_KEY)
    with hosted, hosted.enter() as browser, browser.stream("GET", "/api/events") as stream:
        next(stream.iter_lines())
        began = time.monotonic()
        hosted.server.stop()
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("query", ["nonsense:1", "tokens>x", 'text:"', "status:", "model>5", "a " * 60])
def test_a_wrong_filter_is_said_in_words(page: httpx2.Client, query: str) -> None:
    answer = page.get("/api/requests", params={"q": query})

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("The filter is wrong: ")


def test_rows_are_filtered_by_their_columns_and_by_what_was_said(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answers(
        [Sse(completion_chunks("the quick ", "brown fox")), Json({"error": {"message": "no"}}, status=400)]
    )
    whole = captured(hosted, page, {**BODY, "stream": True}, **{"User-Agent": "zed/1.0"})
    refused = captured(hosted, page, {**BODY, "model": "gpt-5-mini"}, **{"User-Agent": "aider/2"})

    def found(query: str) -> list[str]:
        return [row["id"] for row in rows(page, query)]

    assert found("status:whole") == [whole]
    assert found("model:gpt-5*") == found("client:aider") == found("status:400") == found("-client:zed*") == [refused]
    assert found('text:"quick brown"') == [whole]
    assert found("text:brief") == [refused, whole]
    assert found("status:400 client:zed") == []
    assert page.get("/api/filters").json()["values"]["client"] == ["aider/2", "zed/1.0"]


def test_images_are_told_by_number_and_given_out_as_images_alone(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Json(completion("Hello")))
    png, svg = "data:image/png;base64,iVBORw0KGgo=", "data:image/svg+xml;base64,PHN2Zz4="
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in (png, svg, "https://a.example/cat.png")]
    request_id = captured(hosted, page, {**BODY, "messages": [{"role": "user", "content": parts}]})

    shown = details(page, request_id)["conversation"]["messages"][0]["parts"]

    assert [part.get("media") for part in shown] == [0, 1, None]
    assert shown[2]["url"] == "https://a.example/cat.png"
    image = page.get(f"/api/requests/{request_id}/media/0")
    assert (image.headers["content-type"], image.content) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert image.headers["x-content-type-options"] == "nosniff"
    risky = page.get(f"/api/requests/{request_id}/media/1")
    assert risky.headers["content-type"] == "application/octet-stream"
    assert page.get(f"/api/requests/{request_id}/media/2").status_code == 404


def test_a_request_is_saved_whole_as_json(hosted: Hosted, page: httpx2.Client, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    url = "data:image/png;base64," + "A" * 4000
    body = {**BODY, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}
    request_id = captured(hosted, page, body)

    saved = page.get(f"/api/requests/{request_id}.json")

    assert json.loads(saved.json()["client"]["body"]) == body
    assert saved.headers["content-disposition"] == f'attachment; filename="{request_id}.json"'
    assert "[4,000 characters of base64]" in details(page, request_id)["client"]["body"]
