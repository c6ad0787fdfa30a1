"""What stands in a key's place and is none: told by its name, sent nowhere."""

from collections.abc import Callable

import pytest

from fakes.asking import CHAT, ask
from fakes.memory_keychain import MemoryKeychain
from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import Fresh, connect
from proxy.errors.keyring import KeyringFailure
from proxy.keys.upstream_key import UPSTREAM, Secrets

UNUSABLE = [
    "two words",
    "line\nbreak-in-it",
    "schl\u00fcssel-of-mine",
    "\ufeffsk-with-a-mark",
    "sk-\x00zero",
    "\U0001f511key",
]
MENDED = [" sk-of-mine-01 ", '"sk-of-mine-01"', "sk-of-mine-01\r\n", "\tsk-of-mine-01"]


def secrets_over(kept: str) -> Secrets:
    keychain = MemoryKeychain()
    keychain.kept[UPSTREAM] = kept
    return Secrets(lambda: None, lambda: keychain)


@pytest.mark.parametrize("kept", UNUSABLE)
def test_an_entry_that_holds_no_key_is_told_without_it(kept: str) -> None:
    state = secrets_over(kept).load()

    assert state.key is None
    assert "its entry 'upstream' holds no API key" in str(state)
    assert kept not in str(state)


@pytest.mark.parametrize("kept", UNUSABLE)
def test_an_entry_that_was_spoilt_while_the_program_runs_takes_no_key_out_of_force(kept: str) -> None:
    keychain = MemoryKeychain()
    secrets = Secrets(lambda: None, lambda: keychain)
    secrets.keep("sk-the-good-one-01")
    keychain.kept[UPSTREAM] = kept

    secrets.reload()

    assert secrets.state.key == "sk-the-good-one-01"


@pytest.mark.parametrize("kept", MENDED)
def test_what_was_pasted_with_a_key_is_left_out(kept: str) -> None:
    assert secrets_over(kept).load().key == "sk-of-mine-01"


@pytest.mark.parametrize("kept", ["", "  ", "\n"])
def test_an_empty_entry_is_no_key_and_no_trouble(kept: str) -> None:
    state = secrets_over(kept).load()

    assert (state.key, state.problem) == (None, None)


@pytest.mark.parametrize("kept", UNUSABLE)
def test_a_request_for_which_there_is_no_usable_key_goes_nowhere(
    start_proxy: Callable[..., RunningProxy], upstream: Fresh, kept: str
) -> None:
    proxy = start_proxy(openai_base_url=upstream.base_url)
    proxy.keychain.kept[UPSTREAM] = kept

    reply = ask(proxy)

    assert (reply.status, reply.error["code"]) == (503, "no_upstream_key")
    assert "holds no API key" in reply.error["message"]
    assert upstream.requests == []


def start_with_other(
    start_proxy: Callable[..., RunningProxy], monkeypatch: pytest.MonkeyPatch, upstream: Fresh, key: str
) -> RunningProxy:
    """Start a proxy with a further upstream, whose key stands in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY_OTHER", key)
    other = {"name": "other", "base_url": upstream.base_url}
    return start_proxy(openai_base_url="https://nowhere.invalid/v1", proxy_upstreams=[other])


@pytest.mark.parametrize("value", [each for each in UNUSABLE if "\x00" not in each])
def test_a_variable_that_holds_no_key_for_a_further_upstream_is_told_by_its_name(
    monkeypatch: pytest.MonkeyPatch, start_proxy: Callable[..., RunningProxy], upstream: Fresh, value: str
) -> None:
    proxy = start_with_other(start_proxy, monkeypatch, upstream, value)

    with connect(proxy) as client:
        reply = client.post(CHAT, b'{"model":"other/m","messages":[]}')

    assert (reply.status, reply.error["code"]) == (503, "no_upstream_key")
    assert "OPENAI_API_KEY_OTHER in the environment is no API key" in reply.error["message"]
    assert value not in reply.error["message"]
    assert upstream.requests == []
    state = proxy.services.upstream_keys.of(proxy.services.store.current.upstreams[1]).state
    assert isinstance(state.problem, KeyringFailure)


@pytest.mark.parametrize("value", MENDED)
def test_such_a_variable_is_read_like_the_first_one(
    monkeypatch: pytest.MonkeyPatch, start_proxy: Callable[..., RunningProxy], upstream: Fresh, value: str
) -> None:
    proxy = start_with_other(start_proxy, monkeypatch, upstream, value)

    with connect(proxy) as client:
        assert client.post(CHAT, b'{"model":"other/m","messages":[]}').status == 200
    assert dict(upstream.request.headers)["authorization"] == "Bearer sk-of-mine-01"
