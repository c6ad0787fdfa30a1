"""Which headers reach the upstream, and which come back: all but those that are another's, or steer a browser."""

from collections.abc import Iterator
from typing import Any

import pytest

from fakes.asking import BODY, CHAT
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Json,
    ScriptedUpstream,
    Sse,
    completion,
    completion_chunks,
    many_headers,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, connect, proxy_before
from fakes.wire_client import WireClient
from proxy.identity import APP_ID, __version__

OUR_AGENT = f"{APP_ID}/{__version__}"


# --- headers on their way up ------------------------------------------------------------------------------------------

GO_UP = {
    "Accept": "text/event-stream",
    "Accept-Language": "de",
    "Content-Encoding": "identity",
    "HTTP-Referer": "https://app.example",
    "Idempotency-Key": "key-1",
    "If-Match": '"a"',
    "OpenAI-Beta": "assistants=v2",
    "OpenAI-Organization": "org-caller",
    "OpenAI-Project": "proj-caller",
    "Range": "bytes=0-",
    "X-Client-Request-Id": "id-1",
    "X-Title": "App",
    "X-Stainless-Lang": "js",
    "X-Stainless-Helper-Method": "stream",
    "Anthropic-Version": "2023-06-01",
    "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "X-Something-Else": "1",
}
STAY = {
    "Authorization": "Bearer callers-key",
    "Cookie": "session=1",
    "Origin": "http://localhost:3000",
    "Referer": "http://localhost:3000/page",
    "X-Api-Key": "callers-key",
    "X-Proxy-Api-Key": "callers-key",
    "Proxy-Authorization": "Basic abc",
    "X-Forwarded-For": "10.0.0.1",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": "for=10.0.0.1",
    "X-Real-Ip": "10.0.0.1",
    "Via": "1.1 other",
    "TE": "trailers",
    "Trailer": "X-A",
    "Keep-Alive": "timeout=5",
    "Proxy-Connection": "keep-alive",
    "Sec-Fetch-Mode": "cors",
    "Accept-Encoding": "gzip, br",
    "Api-Key": "callers-key",
    "X-Goog-Api-Key": "callers-key",
    "X-Forwarded-Proto": "https",
    "Access-Control-Request-Method": "POST",
    "X-Http-Method-Override": "DELETE",
}


def headers_upstream(client: WireClient, upstream: Fresh, target: str, *lines: str) -> dict[str, list[str]]:
    """Ask with these header lines and return the headers that reached the upstream, names in lower case."""
    reply = client.post(target, BODY, *lines) if target == CHAT else client.ask("GET", target, None, *lines)
    assert reply.status == 200, reply.body
    request = upstream.request
    return {name.lower(): request.header_values(name) for name, _ in request.headers}


UPWARDS = [
    (target, name)
    for target in (CHAT, "/v1/files", "/v1/models")
    for name in GO_UP
    if (target, name) != (CHAT, "Content-Encoding")  # a chat is decoded, and goes up without it
]


@pytest.mark.core
@pytest.mark.parametrize(("target", "name"), UPWARDS)
def test_a_header_the_api_knows_goes_upstream_once(client: WireClient, upstream: Fresh, target: str, name: str) -> None:
    seen = headers_upstream(client, upstream, target, f"{name}: {GO_UP[name]}")

    assert seen[name.lower()] == [GO_UP[name]]


@pytest.mark.core
@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_no_other_header_of_the_caller_goes_upstream(client: WireClient, upstream: Fresh, target: str) -> None:
    plain = headers_upstream(client, upstream, target)
    again = Fresh(upstream.provider)
    seen = headers_upstream(client, again, target, *(f"{name}: {value}" for name, value in STAY.items()))

    assert seen == plain


@pytest.mark.core
@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_the_upstream_is_asked_with_the_stored_key(client: WireClient, upstream: Fresh, target: str) -> None:
    seen = headers_upstream(client, upstream, target, "Authorization: Bearer callers-key", "X-Api-Key: callers-key")

    assert seen["authorization"] == [f"Bearer {UPSTREAM_KEY}"]
    assert "callers-key" not in str(upstream.request.headers)


@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_the_callers_user_agent_is_kept_and_ours_appended(client: WireClient, upstream: Fresh, target: str) -> None:
    seen = headers_upstream(client, upstream, target, "User-Agent: Tool/1.0 (x; y)")

    assert seen["user-agent"] == [f"Tool/1.0 (x; y) {OUR_AGENT}"]


@pytest.mark.core
@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_the_traits_of_another_sdk_are_not_mixed_with_ours(client: WireClient, upstream: Fresh, target: str) -> None:
    own = {"x-stainless-lang": "js", "x-stainless-package-version": "6.49.0", "x-stainless-runtime": "node"}
    seen = headers_upstream(client, upstream, target, *(f"{name}: {value}" for name, value in own.items()))

    assert {name: values[0] for name, values in seen.items() if name.startswith("x-stainless-")} == own


@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_a_plain_answer_is_asked_for_unencoded(client: WireClient, upstream: Fresh, target: str) -> None:
    assert headers_upstream(client, upstream, target, "Accept-Encoding: gzip")["accept-encoding"] == ["identity"]


@pytest.mark.parametrize("target", [CHAT, "/v1/models"])
def test_a_header_of_other_letters_arrives_byte_for_byte(client: WireClient, upstream: Fresh, target: str) -> None:
    title = "Grüße".encode().decode("latin-1")  # how bytes of UTF-8 look to the recorder, which reads Latin-1
    seen = headers_upstream(client, upstream, target, f"X-Title: {title}")

    assert seen["x-title"] == [title]


@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_a_header_that_comes_twice_loses_neither_value(client: WireClient, upstream: Fresh, target: str) -> None:
    seen = headers_upstream(client, upstream, target, "OpenAI-Beta: one", "OpenAI-Beta: two")

    assert ",".join(seen["openai-beta"]).replace(" ", "") == "one,two"


@pytest.fixture(scope="module")
def with_organization(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(
        provider.base_url,
        tmp_path_factory.mktemp("settings"),
        openai_organization="org-ours",
        openai_project="proj-ours",
        proxy_forward_auth_header=True,
    ) as running:
        yield running


@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_organization_and_project_of_the_settings_go_upstream(
    with_organization: RunningProxy, upstream: Fresh, target: str
) -> None:
    with connect(with_organization) as client:
        seen = headers_upstream(client, upstream, target)

    assert (seen["openai-organization"], seen["openai-project"]) == (["org-ours"], ["proj-ours"])


@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_the_callers_own_organization_and_project_come_first(
    with_organization: RunningProxy, upstream: Fresh, target: str
) -> None:
    with connect(with_organization) as client:
        seen = headers_upstream(
            client, upstream, target, "OpenAI-Organization: org-caller", "OpenAI-Project: proj-caller"
        )

    assert (seen["openai-organization"], seen["openai-project"]) == (["org-caller"], ["proj-caller"])


@pytest.mark.core
@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_where_forwarding_is_on_the_callers_key_is_the_upstreams(
    with_organization: RunningProxy, upstream: Fresh, target: str
) -> None:
    with connect(with_organization) as client:
        seen = headers_upstream(client, upstream, target, "Authorization: Bearer callers-key")

    assert seen["authorization"] == ["Bearer callers-key"]
    assert UPSTREAM_KEY not in str(upstream.request.headers)


@pytest.mark.parametrize("target", [CHAT, "/v1/files", "/v1/models"])
def test_where_forwarding_is_on_a_caller_without_a_key_uses_the_stored_one(
    with_organization: RunningProxy, upstream: Fresh, target: str
) -> None:
    with connect(with_organization) as client:
        seen = headers_upstream(client, upstream, target)

    assert seen["authorization"] == [f"Bearer {UPSTREAM_KEY}"]


def test_one_callers_key_is_not_sent_for_the_next(with_organization: RunningProxy, upstream: Fresh) -> None:
    with connect(with_organization) as client:
        for key in ("key-one", "key-two", "key-one"):
            client.post(CHAT, BODY, f"Authorization: Bearer {key}")

    assert [request.header("Authorization") for request in upstream.requests] == [
        "Bearer key-one",
        "Bearer key-two",
        "Bearer key-one",
    ]


# --- headers on their way back ----------------------------------------------------------------------------------------

COME_BACK = {
    "Cache-Control": "no-store",
    "Content-Disposition": 'attachment; filename="a"',
    "ETag": '"a"',
    "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
    "OpenAI-Model": "m-2024",
    "OpenAI-Organization": "org-1",
    "OpenAI-Processing-Ms": "12",
    "OpenAI-Version": "2020-10-01",
    "Retry-After": "3",
    "Retry-After-Ms": "300",
    "X-RateLimit-Limit-Requests": "10",
    "X-RateLimit-Remaining-Tokens": "9",
    "X-RateLimit-Reset-Requests": "1s",
    "X-Request-Id": "req_1",
    "X-Should-Retry": "false",
    "CF-Ray": "1",
    "Location": "/v1/realtime/calls/rtc_1",
    "Server": "nginx",
    "Via": "1.1 x",
    "X-Powered-By": "x",
}
STAY_THERE = {
    "Access-Control-Allow-Credentials": "true",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "*",
    "Alt-Svc": 'h3=":443"',
    "Connection": "keep-alive",
    "Content-Security-Policy": "default-src 'none'",
    "Keep-Alive": "timeout=5",
    "Proxy-Authenticate": "Basic",
    "Public-Key-Pins": "x",
    "Set-Cookie": "a=1",
    "Strict-Transport-Security": "max-age=1",
    "Trailer": "X-A",
    "Clear-Site-Data": '"*"',
    "Refresh": "0; url=http://evil.example",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Service-Worker-Allowed": "/",
    "WWW-Authenticate": "Basic realm=x",
}
ANSWERS = {
    "a plain answer": Json(completion("Hello"), headers=[*COME_BACK.items(), *STAY_THERE.items()]),
    "a stream": Sse(completion_chunks("Hello"), headers=[*COME_BACK.items(), *STAY_THERE.items()]),
    "a refusal": Json(
        {"error": {"message": "no", "type": "t", "param": None, "code": None}},
        status=400,
        headers=[*COME_BACK.items(), *STAY_THERE.items()],
    ),
}
OURS = {"date", "content-type", "content-length", "transfer-encoding"}


@pytest.mark.core
@pytest.mark.parametrize("target", [CHAT, "/v1/models"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_the_headers_that_tell_the_client_something_come_back_and_no_others(
    client: WireClient, upstream: Fresh, answer: Any, target: str
) -> None:
    upstream.answer(answer)
    reply = client.post(CHAT, BODY) if target == CHAT else client.ask("GET", target)

    back = {name: reply.header(name) for name, _ in reply.headers if name not in OURS}
    assert back == {name.lower(): value for name, value in COME_BACK.items()}


@pytest.mark.parametrize("target", [CHAT, "/v1/models", "/v1/files"])
def test_150_headers_do_no_harm(client: WireClient, upstream: Fresh, target: str) -> None:
    upstream.answer(Json(completion("Hello"), headers=[*many_headers(150), ("X-Request-Id", "req_1")]))
    reply = client.post(CHAT, BODY) if target == CHAT else client.ask("GET", target)

    assert (reply.status, reply.header("x-request-id")) == (200, "req_1")
    assert reply.json() == completion("Hello")


def test_a_long_header_does_no_harm(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello"), headers=[("Content-Security-Policy", "a" * 30_000)]))

    assert client.post(CHAT, BODY).status == 200


def test_a_header_of_other_letters_does_no_harm(client: WireClient, upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello"), headers=[("X-Request-Id", "gr\xfc\xdfe"), ("OpenAI-Model", "\xe4")]))
    reply = client.post(CHAT, BODY)

    assert (reply.status, reply.header("x-request-id")) == (200, "gr\xfc\xdfe")
