"""A key in the environment that is refused, while a good one is stored: it is said, and one step mends it for good."""

from pathlib import Path
from typing import Any

import pytest

from fakes.dashboard import Hosted, form_token
from fakes.environment import clean_environment
from fakes.scripted_upstream import Answer, Json, Recorded, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh
from proxy.settings.store import SettingsStore
from waiting import wait_for

GOOD = "sk-the-good-key-that-is-stored"
ERROR = {"error": {"message": "no", "type": "t", "param": None, "code": "invalid_api_key"}}
CHAT = {"model": "m", "messages": []}


class Picky(Answer):
    """Accept the good key alone."""

    def script(self, request: Recorded) -> Any:
        is_good = request.header("Authorization") == f"Bearer {GOOD}"
        return (Json(completion("well")) if is_good else Json(ERROR, 401)).script(request)


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Picky())
    return fresh


def test_the_error_and_the_page_offer_the_stored_key_and_one_click_makes_it_count(
    tmp_path: Path, upstream: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clean_environment():
        monkeypatch.setenv("OPENAI_API_KEY", "anything")
        hosted = Hosted(settings_file=tmp_path / "settings.toml", openai_base_url=upstream.base_url)
        hosted.keychain.kept["upstream"] = GOOD
        with hosted as program:
            secrets = program.services.secrets
            first = program.http.post("/v1/chat/completions", json=CHAT)
            assert first.status_code == 401
            wait_for(lambda: secrets.has_another, "the keyring has been read")
            told = program.http.post("/v1/chat/completions", json=CHAT).json()["error"]["message"]
            assert "key use keyring" in told
            assert GOOD not in told
            with program.enter() as browser:
                page = browser.get("/").text
                assert "Use the stored key" in page
                assert GOOD not in page
                browser.post("/key/use-stored", data={"form_token": form_token(page)})
            assert program.http.post("/v1/chat/completions", json=CHAT).status_code == 200
        assert SettingsStore(tmp_path / "settings.toml").current.openai_key_from == "keyring"


def test_where_nothing_is_stored_the_environments_key_counts_still(
    tmp_path: Path, upstream: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clean_environment():
        monkeypatch.setenv("OPENAI_API_KEY", GOOD)
        with Hosted(
            settings_file=tmp_path / "s.toml", openai_base_url=upstream.base_url, openai_key_from="keyring"
        ) as program:
            assert program.http.post("/v1/chat/completions", json=CHAT).status_code == 200
            program.services.secrets.reload()
            assert program.http.post("/v1/chat/completions", json=CHAT).status_code == 200
            assert "key use keyring" not in str(program.services.secrets.state)


def test_where_the_stored_key_is_the_same_nothing_is_offered(tmp_path: Path, upstream: Fresh) -> None:
    with clean_environment():
        hosted = Hosted(settings_file=tmp_path / "s.toml", openai_base_url=upstream.base_url, openai_api_key=GOOD)
        hosted.keychain.kept["upstream"] = GOOD
        with hosted as program:
            program.services.secrets.reload()
            assert not program.services.secrets.has_another
