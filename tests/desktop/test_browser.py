"""What a page in a real browser can do: the program's own everything, a foreign one nothing."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fakes.browser import Browser
from fakes.dashboard import Hosted
from fakes.shared_upstream import Fresh

FOREIGN = "page.example"  # a name of somebody else's, which resolves to this computer: so does rebinding
KEY = "sk-typed-in-a-browser-0001"
TRIES = """
(async () => {
  const proxy = %(proxy)s, seen = {};
  const body = JSON.stringify({model: "m", messages: []});
  const tries = {
    "plain": () => fetch(proxy + "/v1/chat/completions", {method: "POST", body, mode: "no-cors"}),
    "json": () => fetch(proxy + "/v1/chat/completions",
                        {method: "POST", body, headers: {"Content-Type": "application/json"}}),
    "read": () => fetch(proxy + "/v1/models"),
    "own page": () => fetch(proxy + %(home)s, {credentials: "include"}),
    "form": () => new Promise(done => {
      document.body.insertAdjacentHTML("beforeend", `<iframe name=f></iframe>
        <form id=a target=f method=post enctype="text/plain"
        action="${proxy}/v1/chat/completions"><input name='{"model":"m","a":"' value='"}'></form>`);
      document.querySelector("iframe").onload = () => done({type: "loaded"});
      document.querySelector("#a").submit();
    }),
    "image": () => new Promise(done => {
      const image = new Image();
      image.onerror = image.onload = () => done({type: "image"});
      image.src = proxy + "/v1/models";
    }),
    "socket": () => new Promise(done => {
      const socket = new WebSocket(proxy.replace("http", "ws") + "/v1/realtime");
      socket.onopen = () => done({type: "open"});
      socket.onerror = () => done({type: "refused"});
    }),
  };
  for (const [name, attempt] of Object.entries(tries)) {
    try { const got = await attempt(); seen[name] = got.status ? "status " + got.status : got.type; }
    catch (error) { seen[name] = "blocked"; }
  }
  return JSON.stringify(seen);
})()
"""


def tries(hosted: Hosted, address: str = "") -> str:
    """Return a script that tries all of it: its author even knows the pages' path."""
    home = f"{hosted.dashboard.sessions.path}/"
    return TRIES % {"proxy": json.dumps(address or hosted.root_url), "home": json.dumps(home)}


@pytest.fixture
def hosted(upstream: Fresh) -> Iterator[Hosted]:
    with Hosted(openai_base_url=upstream.base_url) as running:
        running.services.secrets.keep(KEY)
        yield running


@pytest.fixture(scope="module")
def running_browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    profile = tmp_path_factory.mktemp("profile")
    with Browser(profile, f"--host-resolver-rules=MAP {FOREIGN} 127.0.0.1") as running:
        yield running


@pytest.fixture
def browser(running_browser: Browser) -> Browser:
    running_browser.forget()
    return running_browser


class EmptyPage(BaseHTTPRequestHandler):
    """Answer every request with an empty page, and remember the cookies that came with it."""

    def do_GET(self) -> None:
        self.server.cookies.append((self.path, self.headers.get("Cookie", "")))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", "13")
        self.end_headers()
        self.wfile.write(b"<body></body>")

    def log_message(self, *words: object) -> None:
        pass


class Site(ThreadingHTTPServer):
    """A web server of somebody else's on this computer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), EmptyPage)
        self.cookies: list[tuple[str, str]] = []


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def foreign_site(site: Site) -> str:
    """Serve a page of a foreign name, and return its address."""
    return f"http://{FOREIGN}:{site.server_address[1]}/"


def test_a_foreign_page_reaches_nothing_whatever_it_tries(
    browser: Browser, foreign_site: str, hosted: Hosted, upstream: Fresh
) -> None:
    browser.open(hosted.dashboard.link(hosted.root_url))  # the session's cookie is there to be misused
    browser.open(foreign_site)
    seen = json.loads(browser.run(tries(hosted)))

    assert seen == {
        **dict.fromkeys(("json", "read", "own page"), "blocked"),
        "plain": "opaque",
        "form": "loaded",
        "image": "image",
        "socket": "refused",
    }
    assert upstream.requests == []


def test_a_page_whose_name_leads_to_the_proxy_reaches_nothing(
    browser: Browser, hosted: Hosted, upstream: Fresh
) -> None:
    rebound = f"http://{FOREIGN}:{hosted.address.port}"
    browser.open(f"{rebound}/v1/models")

    assert "host_not_allowed" in browser.text
    seen = json.loads(browser.run(tries(hosted, rebound)))
    assert {seen[name] for name in ("plain", "json", "read", "own page")} == {"status 403"}
    assert seen["socket"] == "refused"
    assert upstream.requests == []


def test_the_programs_own_forms_work(browser: Browser, foreign_site: str, hosted: Hosted) -> None:
    browser.open(foreign_site)
    browser.run(tries(hosted))
    browser.open(hosted.dashboard.link(hosted.root_url))
    said = browser.submit("form[action$='/origins/allow']")

    assert f"{foreign_site.rstrip('/')} may use the proxy from now on." in said
    said = browser.submit("form[action$='/key']", key="sk-another-typed-in-key-1")
    assert "ends in ey-1" in said
    browser.open(foreign_site)
    seen = json.loads(browser.run(tries(hosted)))
    assert (seen["json"], seen["read"], seen["own page"]) == ("status 200", "status 200", "blocked")
    assert seen["plain"] == "opaque"


POSTED = "{method: 'POST', mode: 'no-cors', credentials: 'include'}"


def test_another_port_of_this_computer_is_sent_no_cookie_and_reads_no_page(
    browser: Browser, site: Site, hosted: Hosted
) -> None:
    neighbour = f"http://127.0.0.1:{site.server_address[1]}"
    browser.open(f"{neighbour}/set")
    browser.run("document.cookie = 'its_own=1; path=/'")  # so that a cookie is seen where one is sent
    browser.open(hosted.dashboard.link(hosted.root_url))
    assert hosted.dashboard.sessions.path in browser.run("location.href")
    for path in ("/", "/ui/", "/ui/enter", "/ui/doctor", f"/ui/{'0' * 64}/", "/ui/../ui/key"):
        browser.open(neighbour + path)
    seen = json.loads(browser.run(tries(hosted)))
    posted = [
        browser.run(f"fetch({hosted.root_url + path!r}, {POSTED}).then(answer => answer.type)")
        for path in ("/ui/", hosted.dashboard.sessions.path + "/key/forget")
    ]

    assert [cookies for path, cookies in site.cookies if path not in ("/set", "/favicon.ico")] == ["its_own=1"] * 6
    assert seen["own page"] == "blocked"
    assert posted == ["opaque"] * 2
    assert hosted.keychain.kept["upstream"] == KEY


FOCUSED = """(element => element.getAttribute("aria-label") || element.labels?.[0]?.innerText || element.innerText)
(document.activeElement).trim()"""


def refuse(hosted: Hosted, *origins: str) -> None:
    for origin in origins:
        assert hosted.http.get("/v1/models", headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize("width", [320, 900])
def test_no_page_is_wider_than_its_window(browser: Browser, hosted: Hosted, width: int) -> None:
    refuse(hosted, "https://a-page.example", f"https://{'a-very-long-name.' * 6}example:8443")
    browser.resize(width)
    browser.open(hosted.dashboard.link(hosted.root_url))

    for page in ("", "doctor", "log", "approvals", "enter"):
        browser.open(f"{hosted.root_url}{hosted.dashboard.sessions.path}/{page}")
        assert browser.run("document.documentElement.scrollWidth") <= width, page
        assert browser.run("[...document.querySelectorAll('.small')].every(each => each.offsetHeight < 40)"), page


def tabs_until(browser: Browser, last: str) -> list[str]:
    """Return what has the focus from here on, as Tab is pressed; each is seen to have it."""
    passed = [browser.run(FOCUSED)]
    while passed[-1] != last:
        browser.press("Tab", 9)
        assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        passed.append(browser.run(FOCUSED))
    return passed


def test_the_page_is_used_with_the_keyboard_alone(browser: Browser, hosted: Hosted) -> None:
    refuse(hosted, "https://a-page.example")
    browser.open(hosted.dashboard.link(hosted.root_url))
    form = ("Another key", "in the system's keyring", "Keep and try the key", "Forget the key")
    assert tabs_until(browser, "Quit the program") == [*form, "Allow https://a-page.example", "Quit the program"]

    browser.run("document.querySelector('.skip').focus()")
    pages = ("Home", "Requests", "Usage", "Settings", "Connect", "Upstreams", "Approvals", "Doctor", "Log")
    assert tabs_until(browser, "Log") == ["Skip to the page", "OpenAI Tray Proxy", *pages]
