"""Who may call: proxy keys, where they may stand, and which upstream key a caller brings."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.datastructures import Headers

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh
from proxy.errors.request import ProxyKeyMissing, ProxyKeyRefused
from proxy.policy import access
from proxy.policy.access import Caller, bearer_token, find_key
from proxy.settings.model import Settings


def admit(chosen: Settings, headers: Headers) -> Caller:
    """Let a request in with the keys of the settings, as the program names them."""
    keys = [(f"PROXY_API_KEYS[{place}]", key.get_secret_value()) for place, key in enumerate(chosen.proxy_api_keys, 1)]
    return access.admit(chosen, lambda: keys, headers)


KEYS = "first-proxy-key,second-proxy-key,third-proxy-key"


def settings(**values: Any) -> Settings:
    return Settings.model_validate(values)


def required(**values: Any) -> Settings:
    return settings(proxy_require_api_key=True, proxy_api_keys=KEYS, **values)


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.abc"}, "abc"),
        ({"Authorization": "Bearer own", "Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.abc"}, "own"),
        ({"Authorization": "Bearer own", "Sec-WebSocket-Protocol": "realtime"}, "own"),
        ({"Sec-WebSocket-Protocol": "realtime"}, None),
    ],
)
def test_a_browsers_key_among_the_sub_protocols_counts_where_there_is_no_other(
    headers: dict[str, str], key: str | None
) -> None:
    assert admit(settings(proxy_forward_auth_header=True), Headers(headers)) == Caller(upstream_key=key)


@pytest.mark.parametrize(
    ("authorization", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER   abc  ", "abc"),
        ("  Bearer abc", "abc"),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        ("abc", "abc"),
        ("  abc ", "abc"),
        ("Bearer Bearer abc", "abc"),
        ("bearer  BEARER abc", "abc"),
        ("Bearer Bearer", None),
        ("Basic abc", None),
        ("Token abc", None),
        ("Bearerabc", "Bearerabc"),
        ("XBearer abc", None),
    ],
)
def test_a_key_is_read_with_and_without_its_scheme(authorization: str, token: str | None) -> None:
    assert bearer_token(authorization) == token


@pytest.mark.parametrize(
    ("offered", "name"),
    [
        ("one-key", "first"),
        ("two-key", "second"),
        ("One-key", None),
        ("one-ke", None),
        ("one-key2", None),
        (" one-key", None),
        ("one-key,two-key", None),
        ("", None),
        ("\u00fc", None),
        ("\udcff", None),
    ],
)
def test_a_key_fits_as_a_whole_or_not_at_all(offered: str, name: str | None) -> None:
    assert find_key(offered, [("first", "one-key"), ("second", "two-key")]) == name


def test_no_keys_let_nobody_in() -> None:
    with pytest.raises(ProxyKeyRefused):
        admit(settings(proxy_require_api_key=True), Headers({"Authorization": "Bearer any"}))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer anything"},
        {"x-api-key": "anything"},
        {"api-key": "anything"},
        {"Authorization": "garbage"},
    ],
)
def test_without_required_keys_everybody_is_let_in_and_no_token_is_kept(headers: dict[str, str]) -> None:
    assert admit(settings(proxy_api_keys=KEYS), Headers(headers)) == Caller(key_name=None, upstream_key=None)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer second-proxy-key"},
        {"authorization": "bearer second-proxy-key"},
        {"x-api-key": "second-proxy-key"},
        {"api-key": "second-proxy-key"},
        {"x-goog-api-key": "second-proxy-key"},
        {"Authorization": "second-proxy-key"},
        {"Authorization": "Bearer Bearer second-proxy-key"},
        {"api-key": "Bearer second-proxy-key"},
        {"X-Proxy-Api-Key": "second-proxy-key"},
        {"Authorization": "Basic dXNlcjpwdw==", "x-api-key": "second-proxy-key"},
    ],
)
def test_a_proxy_key_is_taken_from_each_header_clients_use(headers: dict[str, str]) -> None:
    assert admit(required(), Headers(headers)) == Caller(key_name="PROXY_API_KEYS[2]", upstream_key=None)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("first-proxy-key", "PROXY_API_KEYS[1]"),
        ("second-proxy-key", "PROXY_API_KEYS[2]"),
        ("third-proxy-key", "PROXY_API_KEYS[3]"),
    ],
)
def test_each_of_the_keys_lets_its_owner_in_under_its_name(key: str, name: str) -> None:
    assert admit(required(), Headers({"Authorization": f"Bearer {key}"})).key_name == name


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": "Basic abc"}, {"x-api-key": ""}],
)
def test_a_caller_without_a_key_is_asked_for_one(headers: dict[str, str]) -> None:
    with pytest.raises(ProxyKeyMissing) as caught:
        admit(required(), Headers(headers))

    assert (caught.value.status, caught.value.code) == (401, "missing_proxy_key")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer first-proxy-key,second-proxy-key"},
        {"Authorization": "Bearer FIRST-PROXY-KEY"},
        {"x-api-key": "wrong"},
        {"X-Proxy-Api-Key": "wrong"},
        {"Authorization": "Bearer sch\u00fcssel"},
    ],
)
def test_a_wrong_key_is_refused_and_not_repeated(headers: dict[str, str]) -> None:
    with pytest.raises(ProxyKeyRefused) as caught:
        admit(required(), Headers(headers))

    assert (caught.value.status, caught.value.code) == (401, "invalid_proxy_key")
    assert "wrong" not in caught.value.message.replace("wrong proxy key", "")
    assert "proxy-key" not in caught.value.message


def test_a_wrong_key_says_that_it_is_not_about_the_openai_key() -> None:
    with pytest.raises(ProxyKeyRefused, match="not about your OpenAI key"):
        admit(required(), Headers({"Authorization": "Bearer wrong"}))


@pytest.mark.parametrize(
    ("headers", "upstream_key"),
    [
        ({"Authorization": "Bearer callers-own"}, "callers-own"),
        ({}, None),
        ({"x-api-key": "callers-own"}, "callers-own"),
        ({"api-key": "callers-own"}, "callers-own"),
        ({"x-goog-api-key": "callers-own"}, "callers-own"),
        ({"Authorization": "callers-own"}, "callers-own"),
        ({"X-Proxy-Api-Key": "callers-own"}, None),
    ],
)
def test_with_forwarding_on_the_bearer_token_is_the_upstream_key(
    headers: dict[str, str], upstream_key: str | None
) -> None:
    assert admit(settings(proxy_forward_auth_header=True), Headers(headers)) == Caller(upstream_key=upstream_key)


def test_with_forwarding_on_a_required_key_comes_in_a_header_of_its_own() -> None:
    headers = Headers({"Authorization": "Bearer callers-own", "X-Proxy-Api-Key": "first-proxy-key"})

    assert admit(required(proxy_forward_auth_header=True), headers) == Caller("PROXY_API_KEYS[1]", "callers-own")


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer first-proxy-key"}, {"x-api-key": "first-proxy-key"}, {"Authorization": ""}]
)
def test_with_forwarding_on_no_other_header_is_taken_for_the_proxy_key(headers: dict[str, str]) -> None:
    with pytest.raises(ProxyKeyMissing, match="X-Proxy-Api-Key"):
        admit(required(proxy_forward_auth_header=True), Headers(headers))


# Through the running proxy


@pytest.fixture
def locked(upstream: Fresh, start_proxy: Callable[..., RunningProxy]) -> RunningProxy:
    """Run a proxy that asks for a key."""
    upstream.answer(Json(completion()))
    return start_proxy(
        openai_base_url=upstream.base_url,
        openai_api_key="sk-the-upstream-key-0001",
        proxy_require_api_key=True,
        proxy_api_keys=KEYS,
    )


def test_no_address_answers_without_a_key(locked: RunningProxy, upstream: Fresh) -> None:
    addresses = [
        ("POST", "/v1/chat/completions"),
        ("POST", "//v1//chat/completions/"),
        ("GET", "/v1/models"),
        ("HEAD", "/v1/models"),
        ("GET", "/v1/health"),
        ("GET", "/health"),
        ("PUT", "/v1/health"),
        ("GET", "/v1/anything/else"),
        ("DELETE", "/v1/files/file-1"),
        ("GET", "/v1/files/%2e%2e/models"),
        ("GET", "/"),
        ("GET", "/no/such/path"),
        ("GET", "/v1/models?api_key=first-proxy-key&key=first-proxy-key&access_token=first-proxy-key"),
    ]

    statuses = {address: locked.http.request(*address).status_code for address in addresses}

    assert statuses == dict.fromkeys(addresses, 401)
    assert upstream.requests == []


def test_a_wrong_key_reaches_no_upstream(locked: RunningProxy, upstream: Fresh) -> None:
    answer = locked.http.post("/v1/chat/completions", json={}, headers={"Authorization": "Bearer wrong"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_proxy_key")
    assert answer.headers["x-should-retry"] == "false"
    assert upstream.requests == []


def test_two_authorization_headers_are_no_key(locked: RunningProxy) -> None:
    twice = [("Authorization", "Bearer first-proxy-key"), ("Authorization", "Bearer first-proxy-key")]

    assert locked.http.get("/v1/health", headers=twice).status_code == 401


def test_a_proxy_key_never_goes_upstream(locked: RunningProxy, upstream: Fresh) -> None:
    for name, value in [
        ("Authorization", "Bearer first-proxy-key"),
        ("x-api-key", "first-proxy-key"),
        ("X-Proxy-Api-Key", "first-proxy-key"),
        ("api-key", "first-proxy-key"),
        ("x-goog-api-key", "first-proxy-key"),
        ("Authorization", "first-proxy-key"),
    ]:
        assert locked.http.post("/v1/chat/completions", json={}, headers={name: value}).status_code == 200

    assert len(upstream.requests) == 6
    for request in upstream.requests:
        assert dict(request.headers)["authorization"] == "Bearer sk-the-upstream-key-0001"
        assert "first-proxy-key" not in json.dumps(request.headers)


def test_health_is_open_where_the_user_opened_it_and_nothing_else_is(
    start_proxy: Callable[..., RunningProxy],
) -> None:
    proxy = start_proxy(proxy_require_api_key=True, proxy_api_keys=KEYS, allow_unauthenticated_health=True)
    wanted = {
        ("GET", "/v1/health"): 200,
        ("HEAD", "/v1/health"): 200,
        ("GET", "/health"): 200,
        ("GET", "/v1/health/"): 200,
        ("GET", "//v1//health"): 200,
        ("POST", "/v1/health"): 401,
        ("GET", "/v1/models"): 401,
        ("GET", "/v1/models?/v1/health"): 401,
        ("GET", "/v1/healthy"): 401,
        ("GET", "/v1/health/more"): 401,
        ("GET", "/v1/health%2Fmore"): 401,
        ("GET", "/v1/health%2F..%2Fmodels"): 401,
    }

    assert {address: proxy.http.request(*address).status_code for address in wanted} == wanted


@pytest.mark.parametrize("status", [401, 403])
def test_an_upstream_that_repeats_the_stored_key_does_not_show_it_to_the_caller(
    upstream: Fresh, proxy: RunningProxy, status: int
) -> None:
    refusal = {"message": "Incorrect API key provided: sk-the-upstream-key-0001.", "code": "invalid_api_key"}
    upstream.answer(Json({"error": refusal}, status=status))

    answer = proxy.http.post("/v1/chat/completions", json={"model": "m"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, "upstream_invalid_api_key")
    assert "Incorrect API key provided" in answer.text
    assert "sk-the-upstream-key-0001" not in answer.text


def test_forwarding_sends_the_callers_own_key(upstream: Fresh, start_proxy: Callable[..., RunningProxy]) -> None:
    upstream.answer(Json(completion()))
    proxy = start_proxy(openai_base_url=upstream.base_url, proxy_forward_auth_header=True)

    with proxy.sdk(api_key="callers-own-key") as sdk:
        sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])

    (request,) = upstream.requests
    assert dict(request.headers)["authorization"] == "Bearer callers-own-key"
