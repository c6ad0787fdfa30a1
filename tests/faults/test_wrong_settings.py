"""A settings file that is wrong, and no good copy of it: everything says so, and nothing leaves this computer."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from fakes.asking import BODY, CHAT, FILES, MODELS
from fakes.dashboard import Hosted, form_token
from fakes.opening import HANDSHAKE
from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy import paths
from proxy.doctor.examine import examine
from proxy.web.app import create_app

STREAM = BODY.replace(b'"model"', b'"stream":true,"model"')
TYPED_KEY = "sk-typed-into-the-page-01"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a settings file with a quote missing."""
    path = tmp_path / "settings.toml"
    path.write_text('proxy_require_api_key = true\nopenai_base_url = "https://mine.example\n')
    return path


@pytest.fixture
def hosted(file: Path, upstream: Fresh) -> Iterator[Hosted]:
    """Run a proxy with that file; its command line names the upstream, so that whatever leaves would arrive there."""
    with Hosted(settings_file=file, openai_base_url=upstream.base_url, openai_api_key=UPSTREAM_KEY) as running:
        yield running
    assert upstream.accepted_connections == 0


def said_by(answer: httpx2.Response) -> str:
    """Return the message of the one answer there is."""
    error = answer.json()["error"]
    assert (answer.status_code, answer.headers["x-should-retry"]) == (503, "false")
    assert (error["type"], error["code"]) == ("configuration_error", "settings_broken")
    return str(error["message"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", CHAT, BODY),
        ("POST", CHAT, STREAM),
        ("POST", "/v1/responses", BODY),
        ("POST", "/v1/embeddings", BODY),
        ("GET", CHAT, None),
        ("GET", MODELS, None),
        ("HEAD", MODELS, None),
        ("GET", f"{MODELS}/m", None),
        ("DELETE", f"{MODELS}/m", None),
        ("GET", FILES, None),
        ("POST", FILES, b"x" * 3_000_000),
        ("PATCH", "/v1/something/new?x=1", b"{}"),
    ],
)
def test_every_request_that_would_leave_is_answered_503_with_the_reason(
    hosted: Hosted, file: Path, method: str, path: str, body: bytes | None
) -> None:
    answer = hosted.http.request(method, path, content=body, headers={"Content-Type": "application/json"})

    if method == "HEAD":
        assert answer.status_code == 503
        return
    said = said_by(answer)
    assert f"{file}, line 2: this is not valid TOML" in said
    assert "Correct the file, no restart is needed" in said


def test_a_websocket_is_answered_the_same(hosted: Hosted) -> None:
    answer = hosted.http.get("/v1/realtime?model=m", headers=dict(line.split(": ") for line in HANDSHAKE))

    assert "line 2" in said_by(answer)


def test_a_callers_own_key_does_not_leave_either(file: Path, upstream: Fresh) -> None:
    settings = {"openai_base_url": upstream.base_url, "proxy_forward_auth_header": True}
    with RunningProxy(settings_file=file, **settings) as proxy:
        said_by(proxy.http.get(MODELS, headers={"Authorization": "Bearer sk-of-the-caller-01"}))

    assert upstream.accepted_connections == 0


def test_the_keyring_which_may_have_to_wait_for_its_user_is_not_asked(file: Path) -> None:
    with RunningProxy(settings_file=file) as proxy:
        said_by(proxy.http.get(MODELS))

        assert not proxy.services.secrets.loaded.is_set()


def test_health_is_answered(hosted: Hosted) -> None:
    assert hosted.http.get("/v1/health").json() == {"status": "ok"}


def test_nobody_else_is_let_in(hosted: Hosted) -> None:
    assert hosted.address.host == "127.0.0.1"
    assert hosted.http.get(MODELS, headers={"Origin": "https://app.example"}).status_code == 403
    assert hosted.http.get("/ui/").status_code == 403


def test_a_key_the_environment_asks_for_is_asked_for(file: Path) -> None:
    keys = {"proxy_require_api_key": True, "proxy_api_keys": "the-proxy-key-0001"}
    with RunningProxy(settings_file=file, **keys) as proxy:
        assert proxy.http.get(MODELS).status_code == 401
        said_by(proxy.http.get(MODELS, headers={"Authorization": "Bearer the-proxy-key-0001"}))


@pytest.mark.parametrize("where", ["session", "keyring"])
def test_a_key_entered_on_the_page_is_kept_and_not_tried(file: Path, upstream: Fresh, where: str) -> None:
    with Hosted(settings_file=file, openai_base_url=upstream.base_url) as hosted, hosted.enter() as browser:
        home = browser.get("/").text
        answer = browser.post("/key", data={"form_token": form_token(home), "key": TYPED_KEY, "where": where}).text

        assert hosted.services.secrets.state.key == TYPED_KEY
    assert "The proxy relays nothing because its settings file is wrong" in answer
    assert "accepts the key" not in answer
    assert upstream.accepted_connections == 0


def test_the_page_says_why_and_shows_no_upstream(hosted: Hosted, file: Path) -> None:
    with hosted.enter() as browser:
        home = browser.get("/").text

    assert f"{file}, line 2: this is not valid TOML" in home
    assert "Nothing is relayed" in home
    assert "<dd>not known</dd>" in home
    assert "api.openai.com" not in home


def test_the_doctor_says_why_and_asks_no_upstream(hosted: Hosted, file: Path) -> None:
    findings = {finding.title: finding for finding in examine(hosted.services)}

    assert not findings["Settings file"].is_good
    assert f"{file}, line 2: this is not valid TOML" in findings["Settings file"].detail
    assert not findings["Upstream"].is_good
    assert "not known" in findings["Upstream"].detail


def test_an_origin_cannot_be_allowed_and_the_file_stays_as_it_is(hosted: Hosted, file: Path) -> None:
    before = file.read_bytes()
    hosted.http.get(MODELS, headers={"Origin": "https://app.example"})
    with hosted.enter() as browser:
        form = {"form_token": form_token(browser.get("/").text), "origin": "https://app.example"}
        answer = browser.post("/origins/allow", data=form).text

    assert "Nothing was changed; mend the file by hand first." in answer
    assert file.read_bytes() == before


def test_no_key_is_in_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("openai_timeout = 'sk-pasted-into-the-file-01'\n")
    with RunningProxy(settings_file=file) as proxy:
        said = said_by(proxy.http.get(MODELS))

    assert "OPENAI_TIMEOUT is 'sk-pa[key]'" in said


def test_tools_are_off_whatever_the_environment_says(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENABLE_TOOL_EXECUTION", "true")
    with RunningProxy(settings_file=file) as proxy:
        said_by(proxy.http.post(CHAT, content=BODY, headers={"Content-Type": "application/json"}))

        assert proxy.services.tools._toolbox is None


def test_it_is_the_same_under_any_wsgi_server(file: Path) -> None:
    paths.settings_file().parent.mkdir(parents=True)
    paths.settings_file().write_bytes(file.read_bytes())

    answer = create_app().test_client().get(MODELS)

    assert (answer.status_code, answer.json["error"]["code"]) == (503, "settings_broken")


# --- a file that is right again, or was right once --------------------------------------------------------------------


def test_a_mended_file_is_relayed_by_after_the_next_click(file: Path, upstream: Fresh) -> None:
    with RunningProxy(settings_file=file, openai_api_key=UPSTREAM_KEY) as proxy:
        said_by(proxy.http.get(MODELS))
        file.write_text(f'openai_base_url = "{upstream.base_url}"\n')
        said_by(proxy.http.get(MODELS))
        proxy.services.store.update(tool_timeout=7)

        assert proxy.http.get(MODELS).status_code == 200
    assert upstream.request.header("authorization") == f"Bearer {UPSTREAM_KEY}"


def test_the_last_good_settings_are_relayed_by_and_the_page_says_so(tmp_path: Path, upstream: Fresh) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'openai_base_url = "{upstream.base_url}"\n')
    with RunningProxy(settings_file=file, openai_api_key=UPSTREAM_KEY):
        file.write_text(f'openai_base_url = "{upstream.base_url}"\nproxy_require_api_kye = true\n')

    with Hosted(settings_file=file, openai_api_key=UPSTREAM_KEY) as hosted, hosted.enter() as browser:
        assert hosted.http.get(MODELS).status_code == 200
        home = browser.get("/").text

    assert upstream.request.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    assert "line 2: proxy_require_api_kye is no setting; is it proxy_require_api_key?" in home
    assert "The last good settings stay in force" in home
    assert upstream.base_url in home
