"""The pages that a script draws, in a real browser: live requests, one in full, usage, settings, log."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.dashboard import Hosted, fill_ledger
from fakes.scripted.samples import completion, completion_chunks
from fakes.scripted_upstream import Json, Sse
from fakes.shared_upstream import Fresh
from fakes.watched_browser import Watched, ask, enter
from proxy.usage import summaries
from waiting import wait_for

LIMIT_S = 10.0
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>\u202e\x1b[31m\x00"


@pytest.fixture
def hosted(tmp_path: Path, upstream: Fresh) -> Iterator[Hosted]:
    with Hosted(settings_file=tmp_path / "settings.toml", openai_base_url=upstream.base_url) as program:
        program.services.secrets.keep("key-of-the-pages")
        yield program


def rows(browser: Watched) -> list[str]:
    return list(browser.run("[...document.querySelectorAll('.row')].map(row => row.innerText)"))


def test_a_row_appears_during_a_stream_and_is_cancelled(browser: Watched, hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks(*["so ", "slow "] * 200), gap_s=0.05))
    enter(browser, hosted, "requests")
    assert "Nothing has been asked yet" in browser.until("document.querySelector('.empty')?.innerText")
    browser.until("document.querySelector('.dot.on') !== null")

    asking = threading.Thread(target=ask, args=(hosted, "Hello"), kwargs={"stream": True})
    asking.start()
    browser.until("document.querySelector('.row .outcome.running') !== null")
    browser.click(".row")
    browser.until("document.querySelector('.message.answer')?.innerText.includes('so slow')")
    browser.click(".row .c-action button, .actions-row button")
    asking.join(LIMIT_S)

    assert not asking.is_alive()
    browser.until("document.querySelector('.detail .outcome')?.innerText === 'cancelled by you'")
    upstream.wait_for_hangup()


def test_the_filter_is_kept_in_the_address_and_takes_rows_in(browser: Watched, hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Here.")))
    for model, client in (("gpt-4o-mini", "zed/1"), ("gpt-4o", "cline/1"), ("o3", "zed/1")):
        ask(hosted, "Hello", model, client=client)
    enter(browser, hosted, "requests")
    browser.until("document.querySelectorAll('.row').length === 3")

    browser.type("#filter", "client:zed model:gpt*")
    browser.until("document.querySelectorAll('.row').length === 1")
    assert browser.run("new URLSearchParams(location.search).get('q')") == "client:zed model:gpt*"
    browser.open(browser.run("location.href"))
    browser.until("document.querySelectorAll('.row').length === 1")
    assert "gpt-4o-mini" in rows(browser)[0]

    ask(hosted, "Hello", "gpt-5")  # one that fits comes in by itself
    browser.until("document.querySelectorAll('.row').length === 2")
    browser.type("#filter", "colour:red")
    assert "filter is wrong" in browser.until("document.querySelector('.trouble')?.innerText")


def test_a_request_shows_what_was_changed_and_is_sent_again(browser: Watched, hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(completion("The answer.")))
    hosted.services.store.update(openai_param_overrides={"temperature": 0.5})
    ask(hosted, "A question?")
    enter(browser, hosted, "requests")
    browser.click(".row")
    browser.until("document.querySelector('.message.user')?.innerText.includes('A question?')")
    assert "The answer." in browser.until("document.querySelector('.message.answer')?.innerText")

    browser.click("[data-tab=sent]")
    assert "temperature" in browser.until("document.querySelector('.changes')?.innerText")
    browser.until("[...document.querySelectorAll('.line.added')].some(at => at.innerText.includes('temperature'))")

    browser.run(
        "[...document.querySelectorAll('.actions-row button')].find(at => at.innerText.startsWith('Send')).click()"
    )
    browser.type(".again input", "another-model")
    browser.click(".again button")
    browser.until("document.querySelectorAll('.answers .message').length === 2")
    assert [each.json()["model"] for each in upstream.requests] == ["gpt-4o-mini", "another-model"]


def test_hostile_text_is_shown_as_text(browser: Watched, hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(completion(HOSTILE + "W" * 1_000_000)))
    ask(hosted, HOSTILE, HOSTILE, client="<script>document.title='taken'</script>")
    enter(browser, hosted, "requests")
    browser.click(".row")
    browser.until("document.querySelector('.message.answer')?.innerText.includes('<script>')")
    for tab in ("sent", "prompt", "headers", "events", "attempts"):
        browser.click(f"[data-tab={tab}]")
        browser.until("document.querySelector('.tab-body').innerText.length > 10")

    assert browser.run("document.querySelectorAll('main img, main script').length") == 0
    assert "taken" not in browser.run("document.title")


def test_a_setting_is_checked_saved_and_holds_from_the_next_request(
    browser: Watched, hosted: Hosted, upstream: Fresh
) -> None:
    upstream.answer(Json(completion("Here.")))
    enter(browser, hosted, "settings")
    field = "#set-openai_param_overrides"
    browser.type(field, '{"temperature": ')
    browser.click("[data-setting=openai_param_overrides] .choice button")
    browser.until("document.querySelector('.setting .trouble')?.innerText.includes('no JSON')")
    browser.type(field, '{"temperature": 0.25}')
    browser.click("[data-setting=openai_param_overrides] .choice button")
    browser.until("document.querySelector('.setting .saved') !== null")
    ask(hosted, "Hello")
    assert upstream.request.json()["temperature"] == 0.25

    browser.click("[data-setting=enable_tool_execution] input")
    browser.until("document.querySelector('[data-setting=enable_tool_execution] .saved') !== null")
    assert hosted.services.store.current.enable_tool_execution
    assert browser.run("document.querySelector('#set-openai_base_url').disabled")  # the command line fixes it

    browser.type("#set-proxy_max_body_mb", "-3")
    browser.click("[data-setting=proxy_max_body_mb] .choice button")
    browser.until("document.querySelector('[data-setting=proxy_max_body_mb] .trouble') !== null")


def test_usage_and_log_show_what_happened(browser: Watched, hosted: Hosted, upstream: Fresh) -> None:
    enter(browser, hosted, "usage")
    assert "Nothing was asked" in browser.until("document.querySelector('.empty')?.innerText")
    upstream.answer(Json(completion("Here.")))
    ask(hosted, "Hello")
    wait_for(lambda: summaries.totals(hosted.services.ledger.file, 0, time.time() + 1)["requests"] == 1, "the row")
    browser.open(browser.run("location.href"))
    assert "gpt-4o-mini" in browser.until("document.querySelector('.cards ~ .cards')?.innerText")
    browser.until("document.querySelector('.plot canvas') !== null")
    browser.open(browser.run("location.href.replace(/usage.*/, 'log')"))
    browser.until("document.querySelector('.log, .empty') !== null")


def test_ten_thousand_rows_scroll_with_few_in_the_page(browser: Watched, hosted: Hosted) -> None:
    fill_ledger(hosted, 10_000, time.time())
    enter(browser, hosted, "requests")
    browser.until("document.querySelector('.state')?.innerText.includes('10,000')")
    for place in (0.5, 1.0):
        browser.run(f"(at => at.scrollTop = at.scrollHeight * {place})(document.querySelector('.scroll'))")
        browser.until(f"[...document.querySelectorAll('.row')].some(row => row.ariaRowIndex > {int(place * 9_900)})")
        assert browser.run("document.querySelectorAll('.row').length") < 80

    # The elements are used again: new ones for each step would be garbage of many megabytes.
    browser.run(
        "window.before = [...document.querySelectorAll('.row')]; document.querySelector('.scroll').scrollTop = 0"
    )
    browser.until("[...document.querySelectorAll('.row')].some(row => row.ariaRowIndex === '2')")
    assert browser.run("[...document.querySelectorAll('.row')].every(row => before.includes(row))")
    # The focus stays with its row, though the element shows another one.
    browser.run("document.querySelector('.row[data-id=r3]').focus(); document.querySelector('.scroll').scrollTop = 1e5")
    browser.until("document.querySelector('[data-id=r3]') === null")
    browser.until("document.activeElement.className === 'scroll'")
    browser.press("ArrowDown", 40)
    browser.until("document.activeElement.dataset.id === 'r4'")

    browser.run("document.querySelector('.row:last-child').focus()")
    browser.press("Home", 36)
    browser.until("document.activeElement.dataset.id === 'r0'")
    browser.press("Enter", 13)
    browser.until("document.querySelector('.detail') !== null")
    browser.press("Escape", 27)
    browser.until("document.querySelector('.detail') === null")


def test_a_page_that_is_open_all_day_holds_no_more_than_its_last_rows(browser: Watched, hosted: Hosted) -> None:
    enter(browser, hosted, "requests")
    held = browser.run(
        """import(document.querySelector("script[type=module]").src.replace("requests.js", "live.js")).then(live => {
            const list = []
            for (let at = 0; at < live.MAX_ROWS + 50; at += 1) live.put(list, { id: `r${at}`, started: at })
            live.put(list, { id: "r60", started: 60, outcome: "whole" })  // ends long after others began
            live.put(list, { id: `r${live.MAX_ROWS + 49}`, started: live.MAX_ROWS + 49, outcome: "cut" })
            live.put(list, { id: "late", started: 70.5 })
            const sorted = list.every((row, at) => at === 0 || row.started <= list[at - 1].started)
            return [list.length === live.MAX_ROWS, sorted, new Set(list.map(row => row.id)).size === list.length,
                list[0].outcome, list.find(row => row.id === "r60").outcome, list.some(row => row.id === "late")]
        })"""
    )
    assert held == [True, True, True, "cut", "whole", True]
