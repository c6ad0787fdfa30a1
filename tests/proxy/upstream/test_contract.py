"""The relay speaks to the upstream as the SDK itself does: held against the SDK's own requests, header for header."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx2
import openai
import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Content,
    Html,
    Json,
    Recorded,
    ScriptedUpstream,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE, Reply
from proxy.identity import APP_ID, __version__
from proxy.settings.model import Settings
from proxy.upstream.options import CONNECT_LIMIT_S

T = TypeVar("T")

MESSAGES: Any = [{"role": "user", "content": "Grüße"}]
ORGANIZATION = {"openai_organization": "org-1", "openai_project": "proj-1"}
AS_IT_CAME = {"openai_stream_usage": False}  # its one member of ours has tests of its own
TIMEOUT_S: float = Settings.model_fields["openai_timeout"].default
MAX_RETRIES: int = Settings.model_fields["openai_max_retries"].default
LIST: dict[str, Any] = {"object": "list", "data": [], "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
LISTED = Json(LIST)
EMBEDDINGS = {**LIST, "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}


@pytest.fixture(scope="module")
def proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings"), **ORGANIZATION, **AS_IT_CAME) as running:
        yield running


def the_sdk(base_url: str, **options: Any) -> openai.AsyncOpenAI:
    """Return the SDK with the settings the proxy has, pointed at the upstream itself."""
    return openai.AsyncOpenAI(
        **{
            "base_url": base_url,
            "api_key": UPSTREAM_KEY,
            "organization": ORGANIZATION["openai_organization"],
            "project": ORGANIZATION["openai_project"],
            "timeout": httpx2.Timeout(TIMEOUT_S, connect=CONNECT_LIMIT_S),
            "max_retries": MAX_RETRIES,
            **options,
        }
    )


def run(work: Callable[[openai.AsyncOpenAI], Awaitable[T]], base_url: str, **options: Any) -> T:
    """Do something with the SDK, on an event loop of its own."""

    async def with_the_sdk() -> T:
        async with the_sdk(base_url, **options) as sdk:
            return await work(sdk)

    return asyncio.run(with_the_sdk())


# --- header for header, URL for URL -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """One of the SDK's calls, and what the upstream answers to it."""

    work: Callable[[openai.AsyncOpenAI], Coroutine[Any, Any, Any]]
    answer: Answer = LISTED


CALLS = {
    "chat": Call(lambda sdk: sdk.chat.completions.create(model="m", messages=MESSAGES), Json(completion())),
    "chat with parameters": Call(
        lambda sdk: sdk.chat.completions.create(
            model="m",
            messages=MESSAGES,
            temperature=0.1,
            tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}],
            extra_body={"new": {"field": [1, None]}},
            extra_query={"api-version": "2024-10-21"},
        ),
        Json(completion()),
    ),
    "chat as a stream": Call(
        lambda sdk: sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True), Sse(completion_chunks("a"))
    ),
    "embeddings": Call(lambda sdk: sdk.embeddings.create(model="m", input=["a", "b"]), Json(EMBEDDINGS)),
    "completions": Call(lambda sdk: sdk.completions.create(model="m", prompt="a")),
    "responses": Call(lambda sdk: sdk.responses.create(model="m", input="a")),
    "moderations": Call(lambda sdk: sdk.moderations.create(input="a")),
    "the models": Call(lambda sdk: sdk.models.list()),
    "one model": Call(lambda sdk: sdk.models.retrieve("ft:gpt-4o:me::abc"), Json({"id": "m", "object": "model"})),
    "a model to delete": Call(lambda sdk: sdk.models.delete("m"), Json({"id": "m", "deleted": True})),
    "the files": Call(lambda sdk: sdk.files.list(limit=2, after="file-1")),
    "a batch to cancel": Call(lambda sdk: sdk.batches.cancel("b"), Json({"id": "b"})),
    "a file's content": Call(lambda sdk: sdk.files.content("f"), Content(b"bytes")),
}

# What may differ: the header, what the relay sends in it, and why.
DIFFERENCES: dict[str, tuple[str | None, str]] = {
    "accept-encoding": ("identity", "what the relay copies must be readable as it passes"),
    "connection": (None, "HTTP/1.1 keeps a connection unless told otherwise; the SDK says so once more"),
    "content-length": ("0", "the relay says of a POST or DELETE without a body that it has none (RFC 9110, 8.6)"),
}


def ask_the_same(direct: Recorded, proxy: RunningProxy, *lines: str) -> None:
    """Ask the proxy for what the SDK asked, with no header but those that belong to the call."""
    given = [f"{name}: {direct.header(name)}" for name in ("Content-Type", "OpenAI-Beta") if direct.header(name)]
    if direct.header("Accept") != "application/json":
        given.append(f"Accept: {direct.header('Accept')}")
    with connect(proxy) as client:
        client.ask(direct.method, direct.target, direct.body or None, *given, *lines)


def pair(call: Call, upstream: Fresh, proxy: RunningProxy) -> tuple[Recorded, Recorded]:
    """Return the request the SDK sent itself, and the one the relay sent for it."""
    upstream.answer(call.answer)
    run(call.work, upstream.provider.base_url)
    ask_the_same(upstream.requests[0], proxy)
    direct, relayed = upstream.requests
    return direct, relayed


@pytest.mark.core
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_relay_asks_the_same_of_the_same_address(call: Call, upstream: Fresh, proxy: RunningProxy) -> None:
    direct, relayed = pair(call, upstream, proxy)

    assert (relayed.method, relayed.target, relayed.body) == (direct.method, direct.target, direct.body)


@pytest.mark.core
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_relay_sends_the_headers_the_sdk_sends(call: Call, upstream: Fresh, proxy: RunningProxy) -> None:
    direct, relayed = pair(call, upstream, proxy)

    assert unexplained(direct, relayed) == {}
    assert [name for name, _ in relayed.headers if len(relayed.header_values(name)) > 1] == []


def test_organization_and_project_are_among_what_is_compared(upstream: Fresh, proxy: RunningProxy) -> None:
    direct, relayed = pair(CALLS["chat"], upstream, proxy)

    for request in (direct, relayed):
        assert request.header("Authorization") == f"Bearer {UPSTREAM_KEY}"
        assert request.header("OpenAI-Organization") == "org-1"
        assert request.header("OpenAI-Project") == "proj-1"
        assert request.header("X-Stainless-Read-Timeout") == str(TIMEOUT_S)


def test_a_caller_with_a_user_agent_adds_only_that(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion()))
    run(CALLS["chat"].work, upstream.provider.base_url)
    ask_the_same(upstream.requests[0], proxy, "User-Agent: Tool/1")
    direct, relayed = upstream.requests

    assert unexplained(direct, relayed).keys() == {"user-agent"}
    assert relayed.header("User-Agent") == f"Tool/1 {APP_ID}/{__version__}"


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_sdk_in_front_leaves_its_own_traits_as_if_it_had_asked_itself(
    call: Call, upstream: Fresh, proxy: RunningProxy
) -> None:
    upstream.answer(call.answer)
    run(call.work, upstream.provider.base_url)
    run(call.work, proxy.base_url)
    direct, relayed = upstream.requests

    assert unexplained(direct, relayed).keys() == {"user-agent"}
    assert relayed.header("User-Agent") == f"{direct.header('User-Agent')} {APP_ID}/{__version__}"
    assert (relayed.method, relayed.target, relayed.body) == (direct.method, direct.target, direct.body)


def test_an_upload_of_the_sdk_is_the_same_through_the_proxy(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json({"id": "f", "object": "file"}))
    content = bytes(range(256)) * 40

    async def upload(sdk: openai.AsyncOpenAI) -> Any:
        return await sdk.files.create(file=("a.jsonl", content), purpose="batch")

    run(upload, upstream.provider.base_url)
    run(upload, proxy.base_url)
    direct, relayed = upstream.requests

    boundaries = [str(request.header("Content-Type")).rpartition("=")[2].encode() for request in (direct, relayed)]
    assert direct.body.replace(boundaries[0], b"-") == relayed.body.replace(boundaries[1], b"-")


def unexplained(direct: Recorded, relayed: Recorded) -> dict[str, tuple[str | None, str | None]]:
    """Return the headers that differ and not as the table says: what the SDK sent, and what the relay sent."""
    names = {name.lower() for name, _ in (*direct.headers, *relayed.headers)}
    pairs = {name: (direct.header(name), relayed.header(name)) for name in names}
    return {
        name: values
        for name, values in pairs.items()
        if values[0] != values[1] and (name not in DIFFERENCES or values[1] != DIFFERENCES[name][0])
    }


@pytest.mark.core
def test_the_models_are_asked_for_over_the_connection_of_the_relay(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion()))
    with connect(proxy) as client:
        client.post("/v1/chat/completions", b'{"model":"m","messages":[]}')
        client.ask("GET", "/v1/models")
        client.post("/v1/chat/completions", b'{"model":"m","messages":[]}')

    assert len({request.connection for request in upstream.requests}) == 1


def test_one_connection_carries_many_requests(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion()))
    with connect(proxy) as client:
        for _ in range(5):
            client.post("/v1/chat/completions", b'{"model":"m","messages":[]}')

    assert len({request.connection for request in upstream.requests}) == 1


def test_a_stream_gives_its_connection_back_at_its_end(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Sse(completion_chunks("a")))
    with connect(proxy) as client:
        for _ in range(3):
            client.post("/v1/chat/completions", b'{"model":"m","messages":[],"stream":true}')

    assert len({request.connection for request in upstream.requests}) == 1


# --- how often a refused request is tried -----------------------------------------------------------------------------


def refusal(status: int, *headers: tuple[str, str], code: str | None = None) -> Json:
    """Return an error of the API."""
    error = {"message": "scripted", "type": "scripted", "param": None, "code": code}
    return Json({"error": error}, status=status, headers=headers)


SOON = ("Retry-After-Ms", "20")
AGAIN = ("X-Should-Retry", "true")
NEVER = ("X-Should-Retry", "false")
ONCE = [refusal(503, SOON), Json(completion())]
ALIKE: dict[str, list[Answer]] = {
    "400": [refusal(400)],
    "401": [refusal(401)],
    "403": [refusal(403)],
    "404": [refusal(404)],
    "408": [refusal(408)],
    "409": [refusal(409)],
    "413": [refusal(413)],
    "422": [refusal(422)],
    "429": [refusal(429)],
    "429 to come back in milliseconds": [refusal(429, SOON)],
    "429 to come back in seconds": [refusal(429, ("Retry-After", "0.05"))],
    "429 to come back at a date gone by": [refusal(429, ("Retry-After", "Mon, 01 Jan 2024 00:00:00 GMT"))],
    "429 to come back at nonsense": [refusal(429, ("Retry-After", "soon"))],
    "429 to come back in five minutes": [refusal(429, ("Retry-After", "300"))],
    "429 that says no": [refusal(429, NEVER)],
    "400 that says yes": [refusal(400, AGAIN, SOON)],
    "500": [refusal(500)],
    "500 that says no": [refusal(500, NEVER)],
    "502 as a page": [Html(status=502)],
    "503": [refusal(503)],
    "503 that says yes": [refusal(503, AGAIN, SOON)],
    "529": [refusal(529)],
    "once 503, then well": ONCE,
    "503, 429, then 400": [refusal(503, SOON), refusal(429, SOON), refusal(400)],
    "200": [Json(completion())],
}
# What the relay decides otherwise: the tries it makes, and why.
DIFFERENT: dict[str, tuple[list[Answer], int, str]] = {
    "429 without money": (
        [refusal(429, SOON, code="insufficient_quota")],
        1,
        "no waiting brings money to the account",
    ),
    "429 over the hard limit": (
        [refusal(429, SOON, code="billing_hard_limit_reached")],
        1,
        "no waiting brings money to the account",
    ),
    "429 to come back in half a minute": (
        [refusal(429, ("Retry-After", "30"))],
        1,
        "a long wait is the client's to decide on: it is told, and not left hanging",
    ),
}
SPENT = [
    "408", "409", "429", "429 to come back in milliseconds", "429 to come back in seconds", "500", "503",
    "503 that says yes", "400 that says yes", "502 as a page",
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """How often the upstream was asked, and what the proxy answered in the end."""

    direct: int
    relayed: int
    reply: Reply


def path_of(case: str, way: str) -> str:
    return f"/v1/{way}/{[*ALIKE, *DIFFERENT].index(case)}"


@pytest.fixture(scope="module")
def outcomes(proxy: RunningProxy, provider: ScriptedUpstream) -> dict[str, Outcome]:
    """Ask every case once by the SDK itself and once through the proxy, all at the same time: most of it is waiting."""
    scripts = {**ALIKE, **{case: answers for case, (answers, _, _) in DIFFERENT.items()}}
    for case, answers in scripts.items():
        for way in ("direct", "relayed"):
            provider.answers(answers, path=path_of(case, way))

    async def ask_all_directly(sdk: openai.AsyncOpenAI) -> None:
        asked = (
            sdk.post(path_of(case, "direct").removeprefix("/v1"), cast_to=object, body={"model": "m"}) for case in ALIKE
        )
        for outcome in await asyncio.gather(*asked, return_exceptions=True):
            assert not isinstance(outcome, Exception) or isinstance(outcome, openai.APIStatusError), outcome

    def ask_proxy(case: str) -> Reply:
        with connect(proxy) as client:
            return client.ask("POST", path_of(case, "relayed"), b'{"model":"m"}', JSON_TYPE)

    with ThreadPoolExecutor(len(scripts) + 1) as pool:
        directly = pool.submit(run, ask_all_directly, provider.base_url)
        replies = dict(zip(scripts, pool.map(ask_proxy, scripts), strict=True))
        directly.result()
    paths = [request.path for request in provider.requests]
    return {
        case: Outcome(paths.count(path_of(case, "direct")), paths.count(path_of(case, "relayed")), reply)
        for case, reply in replies.items()
    }


@pytest.mark.core
@pytest.mark.parametrize("case", ALIKE)
def test_the_relay_tries_as_often_as_the_sdk(outcomes: dict[str, Outcome], case: str) -> None:
    assert outcomes[case].relayed == outcomes[case].direct


def test_the_sdk_does_try_again(outcomes: dict[str, Outcome]) -> None:
    assert {outcomes[case].direct for case in SPENT} == {MAX_RETRIES + 1}


@pytest.mark.parametrize("case", DIFFERENT)
def test_the_relay_does_not_try_again_where_it_knows_better(outcomes: dict[str, Outcome], case: str) -> None:
    assert outcomes[case].relayed == DIFFERENT[case][1]


@pytest.mark.core
@pytest.mark.parametrize("case", SPENT)
def test_once_the_tries_are_spent_the_sdk_in_front_is_told_not_to_try_again(
    outcomes: dict[str, Outcome], case: str
) -> None:
    assert outcomes[case].reply.header("x-should-retry") == "false"


def test_a_long_wait_is_told_to_the_client(outcomes: dict[str, Outcome]) -> None:
    reply = outcomes["429 to come back in half a minute"].reply

    assert (reply.status, reply.header("retry-after")) == (429, "30")


def test_the_error_of_the_last_try_comes_back(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["503, 429, then 400"].reply.status == 400
    assert outcomes["once 503, then well"].reply.json() == completion()


def test_an_sdk_in_front_does_not_multiply_the_tries(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(refusal(503, SOON))
    with proxy.sdk(max_retries=MAX_RETRIES) as sdk, pytest.raises(openai.InternalServerError):
        sdk.chat.completions.create(model="m", messages=MESSAGES)

    assert len(upstream.requests) == MAX_RETRIES + 1


def test_an_sdk_in_front_does_not_ask_again_for_what_costs_money_that_is_not_there(
    proxy: RunningProxy, upstream: Fresh
) -> None:
    upstream.answer(refusal(429, SOON, code="insufficient_quota"))
    with proxy.sdk(max_retries=MAX_RETRIES) as sdk, pytest.raises(openai.RateLimitError):
        sdk.chat.completions.create(model="m", messages=MESSAGES)

    assert len(upstream.requests) == 1


def test_a_stream_is_tried_again_as_long_as_it_has_not_begun(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([refusal(503, SOON), Sse(completion_chunks("Hello"))])
    with proxy.sdk() as sdk:
        stream = sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "Hello"

    assert len(upstream.requests) == 2


def test_every_try_sends_the_same_body(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(refusal(503, SOON))
    with connect(proxy) as client:
        client.post("/v1/chat/completions", b'{"model":"m","messages":[],"x":"' + b"y" * 400_000 + b'"}')

    assert len({request.body for request in upstream.requests}) == 1
    assert len(upstream.requests) == MAX_RETRIES + 1


def test_an_upload_that_was_passed_along_is_not_tried_again(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(refusal(503, SOON))
    with connect(proxy) as client:
        assert client.post("/v1/files", bytes(2 * 2**20), "Content-Type: a/b").status == 503

    assert len(upstream.requests) == 1


def test_a_client_is_not_left_waiting_while_another_is_tried_again(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([refusal(503, ("Retry-After", "1")), Json(completion())])
    waiting = threading.Thread(target=lambda: connect_and_post(proxy))
    waiting.start()
    upstream.wait_for_requests(1)
    with connect(proxy) as client:
        assert client.ask("GET", "/v1/health").status == 200
        assert waiting.is_alive()
    waiting.join()


def connect_and_post(proxy: RunningProxy) -> Reply:
    with connect(proxy) as client:
        return client.post("/v1/chat/completions", b'{"model":"m","messages":[]}')
