import hmac
import logging
import re
from collections.abc import Iterator

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json
from fakes.shared_upstream import Fresh
from proxy import paths
from proxy.errors.upstream import UpstreamUnreachable
from proxy.flow.flow import Flow
from proxy.logs.log import start_logging
from proxy.policy.origin import is_this_computer
from proxy.running import NONCE_HEADER, PROOF_HEADER, InstanceInfo, Wish, ask, proof
from proxy.web.ui.blueprint import OWN_PATHS
from waiting import wait_for

KEY = "sk-a-new-upstream-key-1"
MODELS = {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}


@pytest.fixture
def hosted(upstream: Fresh) -> Iterator[Hosted]:
    with Hosted(openai_base_url=upstream.base_url) as running:
        yield running


def test_the_page_says_what_has_become_wrong_with_the_settings_file_until_it_is_mended(upstream: Fresh) -> None:
    path = paths.settings_file()
    path.parent.mkdir(parents=True)
    path.write_text("tool_timeout = 7\n")
    with Hosted(openai_base_url=upstream.base_url) as hosted, hosted.enter() as browser:
        hosted.services.settings_follower.start()
        assert "The settings file is wrong" not in browser.get("/").text

        path.write_text("# mine\ntool_timeout = 0\n")
        shown = wait_for(lambda: "settings file is wrong" in (text := browser.get("/").text) and text, "the warning")
        assert f"{path}, line 2: TOOL_TIMEOUT is 0" in shown
        assert "The last good settings stay in force" in shown
        path.write_text("tool_timeout = 8\n")
        wait_for(lambda: "settings file is wrong" not in browser.get("/").text, "no warning")

        assert hosted.services.store.current.tool_timeout == 8
        hosted.services.settings_follower.stop()


def test_a_link_opens_the_page_once(hosted: Hosted) -> None:
    link = hosted.dashboard.link(hosted.root_url)
    first, second = hosted.http.get(link), hosted.http.get(link)

    root = hosted.dashboard.sessions.path
    assert (first.status_code, first.headers["location"]) == (303, f"{root}/")
    assert {"HttpOnly", "SameSite=Strict", f"Path={root}"} <= set(first.headers["set-cookie"].split("; "))
    assert second.status_code == 403


@pytest.mark.parametrize(
    "path", ["/ui/", "/ui/doctor", "/ui", "//ui//", "/ui/a/b", "SECRET", "SECRET/", "SECRET/doctor", "SECRET/log"]
)
def test_nobody_sees_a_page_without_a_session(hosted: Hosted, path: str) -> None:
    answer = httpx2.get(
        hosted.root_url + path.replace("SECRET", hosted.dashboard.sessions.path),
        trust_env=False,
        cookies={f"op_session_{hosted.address.port}": "made-up"},
    )

    assert answer.status_code == 403
    assert "form" not in answer.text
    assert hosted.dashboard.sessions.path not in answer.text


@pytest.mark.parametrize("path", ["/ui/", "/ui/doctor", "/ui/key", "/ui/enter", f"/ui/{'0' * 64}/", "/v1/models"])
def test_the_cookie_is_good_below_the_secret_path_alone(hosted: Hosted, path: str) -> None:
    with hosted.enter() as browser:
        [cookie] = browser.cookies.jar
        asked = browser.get(hosted.root_url + path).request
        answer = hosted.http.get(path, headers={"Cookie": f"{cookie.name}={cookie.value}"})

    assert "cookie" not in asked.headers  # as a browser keeps it
    assert answer.status_code == (200 if path == "/v1/models" else 403)  # a model list needs no cookie


def test_who_has_the_cookie_and_not_the_forms_token_changes_nothing(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        [cookie] = browser.cookies.jar
        token = form_token(browser.get("/").text)
        worked_out = [
            hmac.new(str(cookie.value).encode(), word, "sha256").hexdigest() for word in (b"form", b"", b"form_token")
        ]
        answers = [browser.post("/key", data={"key": KEY, "form_token": word}) for word in (cookie.value, *worked_out)]

    assert token not in (cookie.value, *worked_out)
    assert {answer.status_code for answer in answers} == {403}
    assert hosted.keychain.kept == {}


def test_two_sessions_have_tokens_and_cookies_of_their_own(hosted: Hosted) -> None:
    with hosted.enter() as one, hosted.enter() as other:
        tokens = [form_token(browser.get("/").text) for browser in (one, other)]
        crossed = other.post("/key", data={"key": KEY, "form_token": tokens[0]})

    assert tokens[0] != tokens[1]
    assert crossed.status_code == 403


def test_the_secret_path_is_another_one_at_every_start_and_in_no_log(
    hosted: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Hosted(can_stop=False) as other, other.enter() as browser:
        token = form_token(browser.get("/").text)
        assert browser.post("/stop", data={"form_token": token}).status_code == 404
        assert other.dashboard.sessions.path != hosted.dashboard.sessions.path

    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("proxy."))
    assert "/ui/…" in ours
    assert other.dashboard.sessions.path not in ours


def test_the_page_cannot_be_framed_or_kept(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        headers = browser.get("/").headers

    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"  # or browsers send `Origin: null` with the page's own forms
    assert "access-control-allow-origin" not in headers


def test_a_key_is_kept_in_the_keyring_tried_and_never_shown(hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    with hosted.enter() as browser:
        token = form_token(browser.get("/").text)
        page = browser.post("/key", data={"form_token": token, "key": f" {KEY}\n", "where": "keyring"})

    assert "The upstream accepts the key." in page.text
    assert KEY not in page.text
    assert hosted.keychain.kept["upstream"] == KEY
    assert upstream.requests[-1].header("authorization") == f"Bearer {KEY}"


def test_a_kept_key_serves_the_next_request(hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    assert hosted.http.get("/v1/models").status_code == 200  # an upstream on this computer needs no key
    assert upstream.requests[-1].header("authorization") is None
    with hosted.enter() as browser:
        token = form_token(browser.get("/").text)
        browser.post("/key", data={"form_token": token, "key": KEY, "where": "session"})

    assert hosted.http.get("/v1/models").status_code == 200
    assert upstream.requests[-1].header("authorization") == f"Bearer {KEY}"
    assert "upstream" not in hosted.keychain.kept


def test_the_page_says_when_the_upstream_refuses_the_key(hosted: Hosted, upstream: Fresh) -> None:
    upstream.answer(Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, status=401))
    with hosted.enter() as browser:
        token = form_token(browser.get("/").text)
        page = browser.post("/key", data={"form_token": token, "key": KEY})

    assert "The upstream refuses this key." in page.text


@pytest.mark.parametrize("status", [401, 403, 500])
@pytest.mark.parametrize("where", ["keyring", "session"])
def test_a_key_that_works_is_not_lost_to_one_that_does_not(
    hosted: Hosted, upstream: Fresh, status: int, where: str
) -> None:
    upstream.answer(Json(MODELS))
    refused = Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, status=status)
    with hosted.enter() as browser:
        token = form_token(browser.get("/").text)
        browser.post("/key", data={"form_token": token, "key": KEY, "where": where})
        upstream.answers([refused, Json(MODELS)])
        page = browser.post("/key", data={"form_token": token, "key": "a-mistyped-key-of-the-user", "where": where})

    assert "works and was not replaced" in page.text
    assert upstream.requests[-1].header("authorization") == f"Bearer {KEY}"
    assert hosted.services.secrets.state.key == KEY


@pytest.mark.parametrize("token", [None, "", "0" * 64])
def test_a_form_without_its_token_changes_nothing(hosted: Hosted, token: str | None) -> None:
    with hosted.enter() as browser:
        answer = browser.post("/key", data={"key": KEY, **({"form_token": token} if token is not None else {})})

    assert answer.status_code == 403
    assert hosted.keychain.kept == {}


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://localhost:3000"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}]
)
def test_a_page_of_another_origin_gets_nowhere_even_with_the_cookie(hosted: Hosted, headers: dict[str, str]) -> None:
    with hosted.enter() as browser:
        answer = browser.get("/", headers=headers)

    assert answer.status_code == 403
    assert "A link that another page has opened does not count" in answer.text


def test_a_foreign_host_name_gets_nowhere(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        answer = browser.get("/", headers={"Host": "evil.example"})

    assert answer.json()["error"]["code"] == "host_not_allowed"


def test_the_doctor_tells_what_is_missing(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        page = browser.get("/doctor").text

    assert "Upstream key" in page
    assert "an upstream on this computer is asked without one" in page


@pytest.mark.parametrize("wish", ["activate", "link"])
@pytest.mark.parametrize("token", ["the-token", "another", ""])
def test_only_who_knows_the_token_is_given_a_link(hosted: Hosted, token: str, wish: Wish) -> None:
    link = ask(InstanceInfo(1, hosted.root_url, token), wish)

    assert (link is not None) is (token == "the-token")
    assert hosted.activated == (token == "the-token" and wish == "activate")
    assert link is None or hosted.http.get(link).status_code == 303


def test_a_proof_is_good_for_its_wish_and_its_address_alone(hosted: Hosted) -> None:
    for words in (("activate", hosted.root_url[7:]), ("link", "127.0.0.1:1")):
        headers = {NONCE_HEADER: "1", PROOF_HEADER: proof("the-token", *words, "1")}

        assert hosted.http.post("/_tray/link", headers=headers).status_code == 404


@pytest.mark.parametrize(
    ("path", "own"),
    [("/ui/a/doctor", True), ("//ui/a/doctor", True), ("///_tray/link", True), ("/v1/ui", False), ("/", False)],
)
def test_a_page_is_known_in_every_spelling_that_leads_to_it(path: str, own: bool) -> None:
    assert path.lstrip("/").startswith(OWN_PATHS) == own


@pytest.mark.parametrize(
    ("client", "local", "own"),
    [
        *(("127.0.0.1", "127.0.0.1", True), ("::1", "::1", True), ("192.168.0.9", "192.168.0.9", True)),
        *(("192.168.0.8", "192.168.0.9", False), ("172.17.0.1", "172.17.0.2", False), ("", "127.0.0.1", False)),
    ],
)
def test_a_connection_of_this_computer_is_known_by_its_addresses(client: str, local: str, own: bool) -> None:
    assert is_this_computer(client, local) is own


def test_a_server_that_was_given_no_pages_has_none(proxy: RunningProxy) -> None:
    assert proxy.http.get("/ui/").json()["error"]["code"] == "unknown_path"


def test_the_demo_asks_for_no_key_and_says_what_it_is() -> None:
    with Hosted(openai_api_key="demo") as hosted, hosted.enter() as browser:
        page = browser.get("/").text

    assert "This is the demo" in page
    assert 'name="key"' not in page


def test_pages_of_two_proxies_are_open_side_by_side(hosted: Hosted) -> None:
    with Hosted() as other, hosted.enter() as browser:
        home = browser.get(other.dashboard.link(other.root_url)).url

        assert browser.get("/").status_code == 200
        assert browser.get(home).status_code == 200


# --- refused origins --------------------------------------------------------------------------------------------------

FOREIGN = "https://app.example"


def call_from(hosted: Hosted, origin: str) -> int:
    return hosted.http.get("/v1/health", headers={"Origin": origin}).status_code


def test_a_refused_origin_is_let_in_by_one_click_from_its_next_request_on(hosted: Hosted) -> None:
    assert call_from(hosted, FOREIGN) == 403
    with hosted.enter() as browser:
        before = browser.get("/").text
        assert FOREIGN in before
        after = browser.post("/origins/allow", data={"form_token": form_token(before), "origin": FOREIGN}).text

    assert f"{FOREIGN} may use the proxy from now on." in after
    assert '/origins/allow"' not in after
    assert call_from(hosted, FOREIGN) == 200
    assert FOREIGN in hosted.services.store.path.read_text()
    assert call_from(hosted, f"{FOREIGN}.evil.example") == 403


@pytest.mark.parametrize(
    "origin", ["null", "file://", "file:///etc/passwd", "*", "https://a b", "https://" + "a" * 300]
)
def test_what_cannot_be_allowed_is_never_offered(hosted: Hosted, origin: str) -> None:
    assert call_from(hosted, origin) == 403
    with hosted.enter() as browser:
        page = browser.get("/").text
        answer = browser.post("/origins/allow", data={"form_token": form_token(page), "origin": origin})

    assert '/origins/allow"' not in page
    assert "not among those refused last" in answer.text
    assert hosted.services.store.current.proxy_allowed_origins == ()


def test_the_last_five_are_offered_each_once_and_the_last_first(hosted: Hosted) -> None:
    for number in (1, 2, 3, 4, 5, 6, 3):
        call_from(hosted, f"https://{number}.example")
    with hosted.enter() as browser:
        offered = re.findall(r'name="origin" value="https://(\d)', browser.get("/").text)

    assert offered == ["3", "6", "5", "4", "2"]


def test_an_origin_that_was_not_refused_cannot_be_allowed_by_a_form(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        token = form_token(browser.get("/").text)
        browser.post("/origins/allow", data={"form_token": token, "origin": "https://slipped-in.example"})

    assert hosted.services.store.current.proxy_allowed_origins == ()


def test_an_origin_is_allowed_only_with_the_forms_token(hosted: Hosted) -> None:
    call_from(hosted, FOREIGN)
    with hosted.enter() as browser:
        answer = browser.post("/origins/allow", data={"origin": FOREIGN})

    assert answer.status_code == 403
    assert call_from(hosted, FOREIGN) == 403


def test_origins_the_environment_fixes_stay_as_they_are_and_the_page_says_why(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROXY_ALLOWED_ORIGINS", "https://other.example")
    with Hosted(openai_base_url="http://127.0.0.1:1") as fixed:
        call_from(fixed, FOREIGN)
        with fixed.enter() as browser:
            token = form_token(browser.get("/").text)
            page = browser.post("/origins/allow", data={"form_token": token, "origin": FOREIGN}).text

    assert "PROXY_ALLOWED_ORIGINS is fixed by the environment" in page


def test_a_name_full_of_marks_is_shown_as_text(hosted: Hosted) -> None:
    call_from(hosted, 'https://"><b>.example')
    with hosted.enter() as browser:
        page = browser.get("/").text

    assert "&gt;&lt;b&gt;.example" in page
    assert "<b>" not in page


def test_no_key_is_in_a_view_whatever_was_said(hosted: Hosted) -> None:
    hosted.services.secrets.keep("the-stored-key-without-a-shape")
    said = "it quotes the-stored-key-without-a-shape and sk-proj-0123456789"
    hosted.services.observers.refuse(Flow("GET", "/models"), UpstreamUnreachable(said))
    with hosted.enter() as browser:
        page = browser.get("/").text

    assert "it quotes [key] and sk-pr[key]" in page


def test_no_login_is_in_a_view_whatever_was_said(hosted: Hosted) -> None:
    hosted.services.observers.refuse(
        Flow("GET", "/models"), UpstreamUnreachable("at http://anna:Winter2026x@proxy:3128/?key=s3cr3t")
    )
    with hosted.enter() as browser:
        page = browser.get("/").text

    assert "at http://…@proxy:3128/?key=…" in page


# --- the log ----------------------------------------------------------------------------------------------------------


def test_the_last_lines_of_the_log_are_shown_where_its_file_cannot_be_written(hosted: Hosted) -> None:
    paths.log_file().parent.parent.mkdir(parents=True)
    paths.log_file().parent.write_text("where a folder should be")
    log = start_logging()
    log.hide(lambda: ["the-stored-key-without-a-shape"])
    logging.getLogger("a.part").warning("it quotes %s <b>", "the-stored-key-without-a-shape")
    with hosted.enter() as browser:
        told = browser.get("/api/log")
        text = browser.get("/api/log.txt").text

    assert log.file is None
    assert told.headers["content-type"] == "application/json"
    assert {"name": "a.part", "level": "WARNING", "text": "it quotes [key] <b>"} in [
        {name: value for name, value in line.items() if name != "time"} for line in told.json()["lines"]
    ]
    assert "a.part: it quotes [key] <b>" in text
    assert "the-stored-key-without-a-shape" not in told.text + text


def test_a_link_leads_to_the_log(hosted: Hosted) -> None:
    assert (
        hosted.http.get(hosted.dashboard.link(hosted.root_url, "log")).headers["location"]
        == f"{hosted.dashboard.sessions.path}/log"
    )


def test_the_program_can_be_ended_on_its_page(hosted: Hosted) -> None:
    with hosted.enter() as browser:
        token = form_token(browser.get("/").text)
        refused = browser.post("/stop")
        assert (refused.status_code, hosted.stopped) == (403, 0)

        answer = browser.post("/stop", data={"form_token": token})

    assert "The program ends" in answer.text
    assert hosted.stopped == 1


def test_a_program_that_a_terminal_ends_has_no_button_for_it() -> None:
    with Hosted(can_stop=False) as hosted, hosted.enter() as browser:
        home = browser.get("/").text
        answer = browser.post("/stop", data={"form_token": form_token(home)})

    assert "Quit the program" not in home
    assert answer.status_code == 404
