"""An upstream on this computer is asked without a key where there is none; no other one ever is."""

from collections.abc import Callable

import pytest

from fakes.running_proxy import RunningProxy
from fakes.shared_upstream import Fresh
from proxy.errors.keyring import KeyringAbsent, KeyringFailure, KeyringLocked

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
HELD = "sk-the-key-of-a-local-server-01"

StartProxy = Callable[..., RunningProxy]


@pytest.mark.parametrize("trouble", [None, KeyringAbsent()])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_without_a_key_no_authorization_is_sent(
    start_proxy: StartProxy, upstream: Fresh, trouble: KeyringFailure | None, host: str
) -> None:
    proxy = start_proxy(openai_base_url=f"http://{host}:{upstream.port}/v1")
    proxy.keychain.trouble = trouble

    answer = proxy.http.post("/v1/chat/completions", json=CHAT, headers={"Authorization": "Bearer what-a-tool-has"})

    assert answer.status_code == 200
    assert "authorization" not in {name.lower() for name, _ in upstream.request.headers}


def test_a_keyring_that_is_locked_may_hold_a_key_and_is_waited_for(start_proxy: StartProxy, upstream: Fresh) -> None:
    proxy = start_proxy(openai_base_url=f"http://127.0.0.1:{upstream.port}/v1")
    proxy.keychain.trouble = KeyringLocked()

    answer = proxy.http.post("/v1/chat/completions", json=CHAT)

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_upstream_key")
    assert upstream.requests == []


def test_a_key_that_comes_later_is_sent(start_proxy: StartProxy, upstream: Fresh) -> None:
    proxy = start_proxy(openai_base_url=f"http://127.0.0.1:{upstream.port}/v1")
    proxy.http.post("/v1/chat/completions", json=CHAT)
    proxy.services.secrets.keep_for_session(HELD)

    proxy.http.post("/v1/chat/completions", json=CHAT)

    shown = [{name.lower(): value for name, value in request.headers} for request in upstream.requests]
    assert [headers.get("authorization") for headers in shown] == [None, f"Bearer {HELD}"]


@pytest.mark.parametrize(
    "url", ["https://gateway.example/v1", "https://localhost.example", "https://127.0.0.1.example"]
)
def test_any_other_upstream_is_not_asked_without_a_key(start_proxy: StartProxy, url: str) -> None:
    answer = start_proxy(openai_base_url=url).http.post("/v1/chat/completions", json=CHAT)

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_upstream_key")
