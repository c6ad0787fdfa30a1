"""The drill, limits, what is kept, switches of tools and a request's place in the history, in a real browser."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from fakes.dashboard import Hosted, hosted_below
from fakes.scripted.samples import completion
from fakes.scripted_upstream import Json, ScriptedUpstream
from fakes.watched_browser import Watched, ask, enter
from proxy.logs.lines import SafeFormatter
from proxy.logs.writer import LogQueue, RecentLines
from waiting import wait_for

CLIENT = "zed/1"
HOSTILE = {
    "html": "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>",
    "ansi and nulls": "\x1b[31mred\x1b[0m \x00 null \x07",
    "right to left": "\u202egnp.exe\u202c \u2066x\u2069 \u200f" * 5,
    "one long word": "W" * 20_000,
}
FITS = "document.documentElement.scrollWidth <= innerWidth"
USED = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.answer(Json({**completion("The answer."), "usage": USED}))
        yield running


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory, provider: ScriptedUpstream) -> Iterator[Hosted]:
    with hosted_below(tmp_path_factory.mktemp("limits"), openai_base_url=provider.base_url) as program:
        program.services.secrets.keep("key-of-the-pages")
        program.services.store.update(proxy_capture_days=3)
        ask(program, "A question?")
        wait_for(lambda: program.services.kept.files, "the request on the disk")
        yield program


def test_a_drill_breaks_one_answer_and_shows_it(browser: Watched, hosted: Hosted, provider: ScriptedUpstream) -> None:
    asked = len(provider.requests)
    enter(browser, hosted, "requests")
    browser.click(".drill .link")
    browser.until(f"document.querySelector('.drill input')?.value === {json.dumps(CLIENT)}")
    browser.until("document.querySelector('.drill select option[value=breaks-off]') !== null")
    browser.choose(".drill select", "429")
    browser.click(".drill form button")
    browser.until("document.querySelector('.drill .note')?.innerText.includes('zed/1 breaks (429), once')")

    ask(hosted, "A question that is not answered?")
    browser.until("document.querySelector('.drill .note')?.innerText.includes('was broken (429)')")
    assert len(provider.requests) == asked
    browser.click(".drill .note a")
    assert "429" in browser.until("document.querySelector('.detail .facts')?.innerText")


def test_an_armed_drill_is_taken_back(browser: Watched, hosted: Hosted, provider: ScriptedUpstream) -> None:
    asked = len(provider.requests)
    enter(browser, hosted, "requests")
    browser.click(".drill .link")
    browser.until("document.querySelectorAll('.drill select option').length > 3")
    browser.type(".drill input", "another-client")
    browser.click(".drill form button")
    browser.click(".drill .note button")
    browser.until("document.querySelector('.drill') && !document.querySelector('.drill .note button')")
    ask(hosted, "A question?", client="another-client/2")
    assert len(provider.requests) == asked + 1


@pytest.mark.parametrize(("share", "drawn"), [(0.01, "meter "), (0.9, "meter near"), (1.5, "meter full")])
def test_a_limit_shows_how_much_of_it_is_used(browser: Watched, hosted: Hosted, share: float, drawn: str) -> None:
    enter(browser, hosted, "usage")
    used = browser.until("fetch('api/limits').then(answer => answer.json()).then(found => found.today.tokens)")
    with limited(hosted, proxy_daily_limit_tokens=used / share):
        browser.open(browser.run("location.href"))
        assert browser.until("document.querySelector('.limit .meter')?.className") == drawn
        assert "All requests" in browser.until("document.querySelector('.limit')?.innerText")
        assert browser.run(FITS)


@contextmanager
def limited(hosted: Hosted, **settings: object) -> Iterator[None]:
    store = hosted.services.store
    store.update(**settings)
    yield
    store.update(**dict.fromkeys(settings))


def test_what_is_kept_on_the_disk_is_told_and_deleted(browser: Watched, hosted: Hosted) -> None:
    enter(browser, hosted, "settings")
    kept = "[...document.querySelectorAll('.sub')].find(at => at.innerText.startsWith('Kept on the disk'))"
    assert "request" in browser.until(f"{kept}?.innerText")
    browser.run("window.confirm = () => true")
    browser.run(f"{kept}.querySelector('button').click()")
    browser.until(f"{kept}?.innerText.includes('0 requests')")
    assert hosted.services.kept.files == 0


def test_a_tool_is_switched_off_for_everybody_and_for_one_client(browser: Watched, hosted: Hosted) -> None:
    store = hosted.services.store
    store.update(enable_tool_execution=True)
    enter(browser, hosted, "settings")
    browser.click("[data-tool=calculate] [role=switch]")
    browser.until("document.querySelector('[data-tool=calculate]')?.innerText.includes('off for everybody')")
    assert store.current.tool_off == {"*": ("calculate",)} or store.current.tool_off == {"*": ["calculate"]}
    browser.click("[data-tool=calculate] [role=switch]")
    browser.until("!document.querySelector('[data-tool=calculate]')?.innerText.includes('off for')")

    browser.click("[data-tool=calculate] .choice button:last-child")
    browser.type("#off-calculate", "aider")
    browser.click("[data-tool=calculate] form button.second")
    browser.until("document.querySelector('[data-tool=calculate] .chip')?.innerText.includes('aider')")
    assert list(store.current.tool_off) == ["aider"]
    browser.click("[data-tool=calculate] .chip button")
    browser.until("document.querySelector('[data-tool=calculate] .chip') === null")
    assert not store.current.tool_off


def test_a_switch_that_a_pattern_holds_says_why_and_goes_back(browser: Watched, hosted: Hosted) -> None:
    hosted.services.store.update(enable_tool_execution=True, tool_off={"*": ["calc*"]})
    enter(browser, hosted, "settings")
    browser.until("document.querySelector('[data-tool=calculate] [role=switch]')?.checked === false")
    browser.click("[data-tool=calculate] [role=switch]")
    assert "calc*" in browser.until("document.querySelector('#tools .trouble')?.innerText")
    browser.until("document.querySelector('[data-tool=calculate] [role=switch]').checked === false")
    hosted.services.store.update(tool_off=None)


def test_back_closes_a_request_and_forward_opens_it(browser: Watched, hosted: Hosted) -> None:
    enter(browser, hosted, "requests")
    browser.click(".row")
    browser.until("document.querySelector('.detail') !== null")
    opened = browser.run("document.querySelector('.row.open').dataset.id")
    browser.run("history.back()")
    browser.until("!document.querySelector('.detail') && !location.search")
    browser.until(f"document.activeElement.dataset.id === {json.dumps(opened)}")
    browser.run("history.forward()")
    browser.until("document.querySelector('.detail') !== null")
    browser.click(".detail-top button")
    browser.until("!document.querySelector('.detail') && location.pathname.endsWith('/requests')")


def test_a_request_is_sent_again_to_an_upstream_of_the_list(
    browser: Watched, hosted: Hosted, provider: ScriptedUpstream
) -> None:
    second = {"name": "second", "base_url": provider.base_url.replace("/v1", "/second/v1"), "auth": "none"}
    with limited(hosted, proxy_upstreams=[second]):
        ask(hosted, "Once more?")
        enter(browser, hosted, "requests")
        browser.click(".row")
        send = "[...document.querySelectorAll('.actions-row button')].find(at => at.innerText.startsWith('Send'))"
        browser.until(f"{send} && ({send}.click(), true)")
        browser.until("document.querySelectorAll('.again option').length > 2")
        browser.choose(".again select", "second")
        browser.click(".again button")
        browser.until("document.querySelectorAll('.answers .message').length === 2")
        assert provider.requests[-1].path.startswith("/second/v1/")


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_words_in_log_upstreams_and_doctor_are_words(
    browser: Watched, hosted: Hosted, provider: ScriptedUpstream, name: str
) -> None:
    text = HOSTILE[name]
    safe = text.replace("\x00", "").replace("\x1b", "")[:200]  # what a setting may hold
    second = {"name": "second", "base_url": "http://127.0.0.1:9/v1", "models": [safe], "auth": "none"}
    browser.dress(width=420)
    servers_file = hosted.services.tools.servers_path()
    servers_file.parent.mkdir(parents=True, exist_ok=True)
    servers_file.write_text(json.dumps({"mcpServers": {safe[:90]: {"command": f"/nowhere/{safe}"}}}))
    queue = LogQueue(SafeFormatter(), RecentLines())
    logging.getLogger().addHandler(queue)
    try:
        with limited(hosted, proxy_upstreams=[second], enable_tool_execution=True):
            logging.getLogger("proxy").warning("the upstream said: %s", text)
            provider.answer(Json({"error": {"message": text}}, status=500))
            for page in ("log", "upstreams", "doctor"):
                enter(browser, hosted, page)
                browser.until("document.querySelector('.log-line, main section') !== null")
                assert browser.run(FITS), page
                assert browser.run("document.querySelectorAll('main img, main script').length") == 0, page
                assert "taken" not in browser.run("document.title")
                assert name != "html" or "<script>" in browser.text, page
    finally:
        servers_file.unlink()
        logging.getLogger().removeHandler(queue)
        queue.close()
        provider.answer(Json({**completion("The answer."), "usage": USED}))
