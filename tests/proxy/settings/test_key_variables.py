"""The keys of the environment: taken out of it once, and still in force."""

import os
import sys
from pathlib import Path

import pytest

from fakes.memory_keychain import MemoryKeychain
from proxy.services import assemble
from proxy.settings.key_variables import is_key_variable, take_keys, without_keys

UPSTREAMS = '[[proxy_upstreams]]\nname = "spare"\nbase_url = "https://spare.example/v1"\n'


@pytest.mark.parametrize(
    "name", ["OPENAI_API_KEY", "OPENAI_API_KEY_A_B", "PROXY_API_KEYS", "PROXY_API_KEY", "openai_api_key"]
)
def test_a_key_is_told_by_its_variables_name(name: str) -> None:
    assert is_key_variable(name)
    assert without_keys({name: "a", "OPENAI_BASE_URL": "b", "MY_OPENAI_API_KEY": "c"}) == {
        "OPENAI_BASE_URL": "b",
        "MY_OPENAI_API_KEY": "c",
    }


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "openai_api_key", "OpenAI_Api_Key"])
def test_a_key_that_was_taken_stays_in_force_through_each_change(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(UPSTREAMS, encoding="utf-8")
    monkeypatch.setenv(name, "the-first-upstreams")
    monkeypatch.setenv("OPENAI_API_KEY_SPARE", "the-spare-upstreams")
    monkeypatch.setenv("PROXY_API_KEYS", "a-callers,another-callers")

    services = assemble({}, file, MemoryKeychain, environment=take_keys(os.environ))
    services.store.update(proxy_port=9001)

    assert not [left for left in os.environ if is_key_variable(left)]
    assert services.store.origin("openai_api_key") == "environment"
    assert services.upstream_keys.of(services.store.current.upstreams[0]).state.key == "the-first-upstreams"
    assert services.upstream_keys.of(services.store.current.upstreams[1]).state.key == "the-spare-upstreams"
    assert [key.key for key in services.proxy_keys.current] == ["a-callers", "another-callers"]
    assert "a-callers" in services.every_secret()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows' environment knows no empty variable")
def test_an_empty_variable_is_none_when_it_was_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")

    services = assemble({}, tmp_path / "settings.toml", MemoryKeychain, environment=take_keys(os.environ))

    assert services.store.origin("openai_api_key") == "default"
    assert services.secrets.state.key is None
