"""The first minute on the page, and the parts of the settings that act, in a real browser."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.dashboard import Hosted
from fakes.scripted.samples import completion_chunks
from fakes.scripted_upstream import Answer, Json, Reset, Sse
from fakes.shared_upstream import Fresh
from fakes.watched_browser import Watched, enter

KEY = "a-key-of-the-first-minute"
MODELS = {"object": "list", "data": [{"id": "model-one", "object": "model", "created": 1, "owned_by": "x"}]}


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    with Hosted(settings_file=tmp_path / "settings.toml") as program:
        yield program


@pytest.fixture
def browser(watched_browser: Watched) -> Iterator[Watched]:
    watched_browser.forget()
    yield watched_browser
    assert [each for each in watched_browser.troubles if "409" not in str(each)] == []
    watched_browser.forget()


def test_from_no_key_to_an_answer_that_streams_into_the_page(browser: Watched, hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json({"error": {"message": "no"}}, status=401))
    enter(browser, hosted, "")
    assert "Choose your provider" in browser.until("document.querySelector('.steps')?.innerText")
    browser.click("input[name=provider][value=other]")
    browser.type("#first-url", upstream.base_url)
    browser.type("#first-key", KEY)
    browser.click(".chooser button")
    assert "refuses this key" in browser.until("document.querySelector('.chooser .trouble')?.innerText")
    assert hosted.keychain.kept == {}

    upstream.answer(Json(MODELS))
    browser.click(".chooser button")
    assert "accepts the key" in browser.until("document.querySelector('.steps .success')?.innerText")
    browser.until("document.querySelector('#test-model')?.value === 'model-one'")
    upstream.answer(Sse(completion_chunks("Hello", " from", " the", " upstream"), gap_s=0.05))
    browser.click(".test button")
    browser.until("document.querySelector('.answer-box')?.innerText.includes('Hello')")
    browser.until("document.querySelector('.answer-box')?.innerText.includes('Hello from the upstream')")
    assert "First word after" in browser.until("document.querySelector('.test .hint')?.innerText")
    assert browser.until("document.querySelector(\"a.button[href$='/connect']\")?.innerText") == "Connect a tool"
    assert KEY not in browser.run("document.documentElement.outerHTML")
    assert KEY in hosted.keychain.kept.values()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Json({"error": {"message": "You have no credit left."}}, status=402), "no credit left"),
        (Json({"error": {"message": "Slow down."}}, status=429), "Slow down"),
        (Sse(completion_chunks("Half", " of it")[:2], done=False, end=Reset()), "broke off"),
    ],
)
def test_a_test_request_that_fails_says_why(
    browser: Watched, hosted: Hosted, upstream: Fresh, answer: Answer, words: str
) -> None:
    hosted.services.store.update(proxy_upstreams=[{"name": "x", "base_url": upstream.base_url}], proxy_upstream="x")
    upstream.answer(answer)
    enter(browser, hosted, "")
    browser.type("#test-model", "model-one")
    browser.click(".test button")
    assert words in browser.until("document.querySelector('.test .trouble')?.innerText")
    browser.troubles.clear()  # the refusal is an error of the network, too


def test_a_proxy_key_is_shown_once_and_a_tool_is_ruled_and_tried(browser: Watched, hosted: Hosted) -> None:
    hosted.services.store.update(enable_tool_execution=True)
    enter(browser, hosted, "settings")
    browser.type("#new-proxy-key", "laptop")
    browser.click("#keys form:last-of-type button")
    key = browser.until("document.querySelector('.made code')?.innerText")
    assert [each.key for each in hosted.services.proxy_keys.current] == [key]
    assert "laptop" in browser.until("document.querySelector('#keys .lines:nth-of-type(2)')?.innerText")

    browser.until("document.querySelector('[data-tool=calculate] select') !== null")
    browser.run(
        "(at => { at.value = 'never'; at.dispatchEvent(new Event('change')); })"
        "(document.querySelector('[data-tool=calculate] select'))"
    )
    browser.until("document.querySelector('[data-tool=calculate] select').innerText.includes('never')")
    browser.click("[data-tool=calculate] button")
    browser.type("#try-calculate", '{"expression": "6*7"}')
    browser.click("[data-tool=calculate] form button")
    assert "42" in browser.until("document.querySelector('[data-tool=calculate] pre')?.innerText")
    browser.open(browser.run("location.href.split('#')[0]"))
    browser.until("document.querySelector('#keys .lines') !== null")
    assert key not in browser.run("document.documentElement.outerHTML")
    assert hosted.services.store.current.tool_consent == {"calculate": "never"}


def test_a_tools_first_request_shows_on_the_page_as_it_comes(browser: Watched, hosted: Hosted, upstream: Fresh) -> None:
    hosted.services.store.update(proxy_upstreams=[{"name": "x", "base_url": upstream.base_url}], proxy_upstream="x")
    upstream.answer(Json(MODELS))
    enter(browser, hosted, "connect")
    assert not browser.run("document.querySelector('#zed .seen')")
    hosted.http.get("/v1/models", headers={"User-Agent": "Zed/1.0"})
    assert "✓ asked for models" in browser.until("document.querySelector('#zed .seen')?.innerText")
    assert "Zed: asked for models" in browser.run("document.querySelector('#first-seen').innerText")


def test_the_first_steps_are_taken_with_the_keyboard_alone(browser: Watched, hosted: Hosted) -> None:
    enter(browser, hosted, "")
    browser.until("document.querySelector('.chooser') !== null")
    browser.run("document.querySelector('.skip').focus()")
    passed: list[str] = []
    while "Try and keep the key" not in passed:
        browser.press("Tab", 9)
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        passed.append(browser.run("(at => at.id || at.value || at.innerText)(document.activeElement)").strip())
    assert passed[-5:] == ["openai", "first-key", "platform.openai.com/api-keys", "on", "Try and keep the key"]
    browser.run("document.querySelector('[name=provider][value=openai]').focus()")
    for expected in ("openrouter", "anthropic"):
        browser.press("ArrowDown", 40)
        assert browser.until("document.querySelector('[name=provider]:checked').value") == expected
