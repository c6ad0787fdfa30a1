"""The page on which the user says whether a tool may run."""

import re
from collections.abc import Iterator

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.shared_upstream import Fresh
from fakes.waiting_call import asked
from waiting import wait_for


@pytest.fixture
def hosted(upstream: Fresh) -> Iterator[Hosted]:
    with Hosted(openai_base_url=upstream.base_url) as running:
        yield running


def answer(browser: httpx2.Client, number: int, decision: str) -> str:
    token = form_token(browser.get("/approvals").text)
    return browser.post(f"/approvals/{number}", data={"form_token": token, "decision": decision}).text


def test_a_question_shows_the_tool_and_all_its_arguments_and_nothing_hidden(hosted: Hosted) -> None:
    with asked(hosted.services.tools.consent), hosted.enter() as browser:
        page, home = browser.get("/approvals").text, browser.get("/").text

    assert "write_file" in page
    assert "files" in page
    assert "Zed with &lt;gpt-5&gt;" in page
    assert "/home/me/&lt;b&gt;notes&lt;/b&gt;.txt" in page
    assert "a\\u202eb" in page
    assert "\u202e" not in page
    assert re.search(r"refused by itself in [1-6]?\d s", page)
    assert "A tool asks to run: write_file" in home


def test_the_page_looks_for_questions_by_itself_but_leaves_one_alone_that_is_read(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        waiting = browser.get("/approvals").text
        with asked(hosted.services.tools.consent):
            reading = browser.get("/approvals").text

    assert 'http-equiv="refresh"' in waiting
    assert 'http-equiv="refresh"' not in reading


@pytest.mark.parametrize(
    ("decision", "may_run", "said"),
    [("yes", True, "It runs."), ("no", False, "It does not run."), ("always", True, "will not ask again")],
)
def test_an_answer_reaches_the_call_that_waits(hosted: Hosted, decision: str, may_run: bool, said: str) -> None:
    consent = hosted.services.tools.consent
    with asked(consent) as outcome, hosted.enter() as browser:
        page = answer(browser, consent.questions[0].id, decision)

        wait_for(lambda: outcome() is not None, "the answer")
        assert outcome() is may_run
    assert said in page
    assert "No tool asks to run." in page
    kept = hosted.services.store.current.tool_consent
    assert kept == ({"write_file": "auto"} if decision == "always" else {})


def test_a_question_that_is_over_and_an_answer_that_is_none_are_told(hosted: Hosted) -> None:
    consent = hosted.services.tools.consent
    with asked(consent) as outcome, hosted.enter() as browser:
        over = answer(browser, 999, "yes")
        none = answer(browser, consent.questions[0].id, "perhaps")

        assert outcome() is None
    assert "The question is over" in over
    assert "Choose one of the three answers" in none


def test_nobody_answers_without_a_session_or_without_the_forms_token(hosted: Hosted) -> None:
    consent = hosted.services.tools.consent
    with asked(consent) as outcome, hosted.enter() as browser:
        url = f"/approvals/{consent.questions[0].id}"
        stranger = httpx2.post(
            hosted.root_url + hosted.dashboard.sessions.path + url, data={"decision": "yes"}, trust_env=False
        )
        forged = browser.post(url, data={"decision": "yes", "form_token": "made-up"})

        assert outcome() is None
    assert (stranger.status_code, forged.status_code) == (403, 403)


def test_a_link_may_lead_to_the_questions_and_nowhere_else(hosted: Hosted) -> None:
    places = ("approvals", "doctor", "", "//evil.example")
    links = [hosted.dashboard.link(hosted.root_url, to) for to in places]

    assert [hosted.http.get(link).headers["location"] for link in links] == [
        f"{hosted.dashboard.sessions.path}/{place}" for place in ("approvals", "doctor", "", "")
    ]
    astray = hosted.dashboard.link(hosted.root_url) + "&to=//evil.example"
    assert hosted.http.get(astray).headers["location"] == f"{hosted.dashboard.sessions.path}/"
