"""The pages for whoever reads them: no barrier that axe finds, in both themes; hostile words; many rows; any locale."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.dashboard import Hosted, fill_ledger, hosted_below
from fakes.scripted.samples import completion
from fakes.scripted_upstream import Json, ScriptedUpstream
from fakes.waiting_call import asked
from fakes.watched_browser import Watched, ask, enter

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
FOUND = """axe.run(document, {resultTypes: ["violations"]}).then(found => found.violations.map(
each => [each.id, ...each.nodes.slice(0, 3).map(node => node.target.join(" "))].join("  ")))"""
PAGES = ("", "requests", "usage", "settings", "connect", "upstreams", "approvals", "doctor", "log")
IS_DRAWN = "document.querySelector('#app, main section, .empty') && !document.body.innerText.includes('Loading …')"
TABS = ("conversation", "sent", "prompt", "headers", "events", "attempts")
HOSTILE = {
    "html": "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>",
    "ansi and nulls": "\x1b[31mred\x1b[0m \x00 null \x07",
    "right to left": "\u202egnp.exe\u202c \u2066x\u2069 \u200f" * 5,
    "one long word": "W" * 1_000_000,
    "many marks": "e" + "\u0301" * 2_000,
}
MANY = 10_000
MAX_HEAP_BYTES = 40_000_000  # 10,000 rows were 6 MB, in a process of 49 MB of its own, and 110 MB while it scrolled


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as running:
        running.answer(Json(completion("The answer.")))
        yield running


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory, provider: ScriptedUpstream) -> Iterator[Hosted]:
    with hosted_below(tmp_path_factory.mktemp("pages"), openai_base_url=provider.base_url) as program:
        program.services.secrets.keep("key-of-the-pages")
        program.services.store.update(openai_param_overrides={"temperature": 0.5}, enable_tool_execution=True)
        program.http.get("/v1/models", headers={"Origin": "https://refused.example"})
        ask(program, "A question?")
        yield program


def barriers(browser: Watched) -> list[str]:
    browser.run(AXE)
    return list(browser.run(FOUND))


def page_url(hosted: Hosted, page: str) -> str:
    return f"{hosted.root_url}{hosted.dashboard.sessions.path}/{page}"


@pytest.mark.parametrize(("width", "is_dark"), [(1280, False), (420, True)])
def test_axe_finds_no_barrier_on_any_page(browser: Watched, hosted: Hosted, width: int, is_dark: bool) -> None:
    browser.dress(width=width, is_dark=is_dark)
    enter(browser, hosted, "")
    for page in PAGES:
        browser.open(page_url(hosted, page))
        browser.until(IS_DRAWN)
        assert barriers(browser) == [], page
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), page


@pytest.mark.parametrize("is_dark", [False, True])
def test_axe_finds_no_barrier_in_a_request(browser: Watched, hosted: Hosted, is_dark: bool) -> None:
    browser.dress(is_dark=is_dark)
    enter(browser, hosted, "requests")
    browser.click(".row")
    for tab in TABS:
        browser.click(f"[data-tab={tab}]")
        browser.until(f"document.querySelector('[data-tab={tab}]').ariaSelected === 'true'")
        assert barriers(browser) == [], tab


@pytest.mark.parametrize("width", [320, 1280])
def test_an_open_question_shows_on_every_page_and_goes_away_by_itself(
    browser: Watched, hosted: Hosted, width: int
) -> None:
    browser.dress(width=width)
    consent = hosted.services.tools.consent
    with asked(consent, "t" * 60, json.dumps({"text": HOSTILE["html"] + "W" * 100_000})):
        for page in ("settings?q=tool", "approvals"):
            enter(browser, hosted, "")
            browser.open(page_url(hosted, page))
            browser.until(IS_DRAWN)
            browser.until("[...document.querySelectorAll('.waiting')].some(at => at.innerText === '1')")
            assert barriers(browser) == [], page
            assert browser.run("document.documentElement.scrollWidth <= innerWidth"), page
        browser.until("document.querySelector('.countdown')?.innerText.match(/in [0-9]+ s/)")
        consent.answer(consent.questions[0].id, "no")
        browser.until("document.querySelector('.empty')?.innerText.includes('No tool asks')")
    assert "taken" not in browser.run("document.title")


@pytest.mark.parametrize("width", [420, 900, 1280])
def test_every_page_is_reached_at_every_width(browser: Watched, hosted: Hosted, width: int) -> None:
    browser.dress(width=width)
    enter(browser, hosted, "doctor")
    if width == 420:
        browser.click(".menu summary")
    seen = browser.run(
        "[...document.querySelectorAll('.top nav a')].filter(at => at.checkVisibility())"
        ".map(at => { const box = at.getBoundingClientRect(); return box.left >= 0 && box.right <= innerWidth; })"
    )
    assert seen == [True] * len(PAGES)


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_words_are_words_and_break_no_page(
    browser: Watched, hosted: Hosted, provider: ScriptedUpstream, name: str
) -> None:
    text = HOSTILE[name]
    provider.answer(Json(completion(text)))
    ask(hosted, text, text[:5_000], client=re.sub(r"[^ -~]", "?", text)[:200])
    browser.dress(width=900)
    for page in ("requests", "usage", ""):
        enter(browser, hosted, page)
        browser.until(IS_DRAWN)
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), page
    enter(browser, hosted, "requests")
    browser.click(".row")
    for tab in TABS:
        browser.click(f"[data-tab={tab}]")
        browser.until("document.querySelector('.tab-body').innerText.length > 3")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), tab
    assert browser.run("document.querySelectorAll('main img, main script').length") == 0
    assert "taken" not in browser.run("document.title")
    provider.answer(Json(completion("The answer.")))


def test_names_of_the_filter_are_completed(browser: Watched, hosted: Hosted) -> None:
    enter(browser, hosted, "requests")
    browser.until("document.querySelector('.row')")
    for written, offered in (("mod", "model:"), ("status:c", "status:cut"), ("status:cut client:z", "client:zed/1")):
        browser.type("#filter", written)
        option = f"at => at.value.includes({json.dumps(offered)})"
        browser.until(f"[...document.querySelectorAll('#completions option')].some({option})")


def test_hostile_words_of_tools_servers_and_keys_break_no_settings(browser: Watched, hosted: Hosted) -> None:
    words = HOSTILE["html"] + HOSTILE["right to left"] + "W" * 5_000
    body = f"import sys; sys.exit({words!r})"
    servers = {HOSTILE["html"][:50]: {"command": "python3", "args": ["-c", body]}}
    tools = hosted.services.tools
    for path, text in (
        (tools.servers_path(), json.dumps({"mcpServers": servers})),
        (tools.file_path(), f"def look(text: str) -> str:\n    {words!r}\n    return {words!r}\n"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    hosted.services.proxy_keys.new(HOSTILE["html"][:40])
    for width in (1280, 420):
        browser.dress(width=width)
        enter(browser, hosted, "settings")
        browser.until("document.querySelector('[data-tool=look]') !== null")
        browser.until("document.querySelector('#tools .outcome.bad') !== null")
        browser.click("[data-tool=look] button")
        browser.type("#try-look", '{"text": ""}')
        browser.click("[data-tool=look] form button")
        assert "<script>" in browser.until("document.querySelector('[data-tool=look] pre')?.innerText")
        browser.run("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth"), width
    assert barriers(browser) == []
    assert browser.run("document.querySelectorAll('main img, main script').length") == 0
    assert "taken" not in browser.run("document.title")


def test_ten_thousand_rows_are_light_and_numbers_are_the_readers_own(browser: Watched, hosted: Hosted) -> None:
    told = {"model_asked": "gpt-5-mini", "client": "zed/1", "upstream": "api.openai.com", "cost_usd": 1.5}
    fill_ledger(hosted, MANY, 1e9, **told)
    browser.dress(locale="de-DE")
    enter(browser, hosted, "requests")
    browser.until("document.querySelector('.state')?.innerText.includes('10.000')")
    for place in (0.3, 0.6, 1.0, 0.0):
        browser.run(f"(at => at.scrollTop = at.scrollHeight * {place})(document.querySelector('.scroll'))")
        browser.until(f"[...document.querySelectorAll('.row')].some(row => row.ariaRowIndex > {int(place * 9_900)})")
    browser.run("document.querySelector('.scroll').scrollTop = 1e9")
    assert "1,50" in browser.until("document.querySelector('.row:last-child .c-cost')?.innerText")
    assert browser.run("document.querySelectorAll('.row').length") < 80
    assert browser.heap_bytes() < MAX_HEAP_BYTES
