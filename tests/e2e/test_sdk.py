"""The official SDK, synchronous and asynchronous, through the proxy: every kind of call, and the same as without it."""

import asyncio
import email
import email.policy
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from fakes.environment import clean_environment
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Content,
    Json,
    Recorded,
    ScriptedUpstream,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, proxy_before
from proxy.demo.faults import FAULTS
from proxy.hosting import demo_upstream

MESSAGES: Any = [{"role": "user", "content": "Grüße, 世界"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    """Run a proxy before the demo upstream."""
    with demo_upstream() as settings, clean_environment():
        folder: Path = tmp_path_factory.mktemp("settings")
        with RunningProxy(settings_file=folder / "settings.toml", **settings) as running:
            yield running


@pytest.fixture(scope="module")
def sdk(demo: RunningProxy) -> Iterator[openai.OpenAI]:
    with demo.sdk() as client:
        yield client


def run(demo: RunningProxy, work: Callable[[openai.AsyncOpenAI], Awaitable[Any]]) -> Any:
    """Do something with the asynchronous SDK, on an event loop of its own."""

    async def with_the_sdk() -> Any:
        async with demo.async_sdk() as client:
            return await work(client)

    return asyncio.run(with_the_sdk())


# --- the synchronous SDK ----------------------------------------------------------------------------------------------


@pytest.mark.core
def test_it_chats(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(model="demo-chat", messages=MESSAGES)

    assert "Grüße, 世界" in str(answer.choices[0].message.content)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None


@pytest.mark.core
def test_it_streams(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="demo-chat", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)

    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "Grüße, 世界" in text
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None


def test_its_stream_helper_works(sdk: openai.OpenAI) -> None:
    with sdk.chat.completions.stream(model="demo-chat", messages=MESSAGES) as stream:
        final = stream.get_final_completion()

    assert "Grüße, 世界" in str(final.choices[0].message.content)


def test_it_is_given_tool_calls_and_gives_their_results(sdk: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "get_weather Paris"}]
    first = sdk.chat.completions.create(model="demo-chat", messages=asked, tools=[WEATHER])
    call: Any = (first.choices[0].message.tool_calls or [])[0]
    result = {"role": "tool", "tool_call_id": call.id, "content": "22 degrees"}
    second = sdk.chat.completions.create(
        model="demo-chat", messages=[*asked, first.choices[0].message.to_dict(), result], tools=[WEATHER]
    )

    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')
    assert "22 degrees" in str(second.choices[0].message.content)


def test_it_is_given_tool_calls_in_a_stream(sdk: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "get_weather Paris"}]
    stream = sdk.chat.completions.create(model="demo-chat", messages=asked, tools=[WEATHER], stream=True)
    calls = [call for chunk in stream if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]

    assert calls[0].function is not None
    assert calls[0].function.name == "get_weather"
    assert "".join(call.function.arguments or "" for call in calls if call.function) == '{"city": "Paris"}'


def test_it_embeds(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model="demo-embedding", input=["one", "two"])

    assert len(answer.data) == 2
    assert all(isinstance(value, float) for value in answer.data[0].embedding)


@pytest.mark.core
def test_it_lists_models_and_gets_one(sdk: openai.OpenAI) -> None:
    names = [model.id for model in sdk.models.list()]

    assert "demo-chat" in names
    assert sdk.models.retrieve("demo-chat").id == "demo-chat"


def test_it_is_told_of_a_model_that_is_not_there(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.models.retrieve("absent")

    assert caught.value.code == "model_not_found"


def test_it_gets_a_response(sdk: openai.OpenAI) -> None:
    assert "Grüße" in sdk.responses.create(model="demo-chat", input="Grüße").output_text


@pytest.mark.core
def test_it_streams_a_response(sdk: openai.OpenAI) -> None:
    events = list(sdk.responses.create(model="demo-chat", input="Grüße", stream=True))

    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "Grüße" in "".join(event.delta for event in events if event.type == "response.output_text.delta")


def test_it_is_told_that_the_proxy_key_is_refused(tmp_path: Path) -> None:
    with (
        proxy_before("http://127.0.0.1:1/v1", tmp_path, proxy_require_api_key=True, proxy_api_keys="right") as proxy,
        proxy.sdk(api_key="wrong") as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="demo-chat", messages=MESSAGES)

    assert caught.value.code == "invalid_proxy_key"


# --- the asynchronous SDK ---------------------------------------------------------------------------------------------


def test_the_asynchronous_sdk_chats(demo: RunningProxy) -> None:
    answer = run(demo, lambda sdk: sdk.chat.completions.create(model="demo-chat", messages=MESSAGES))

    assert "Grüße, 世界" in answer.choices[0].message.content


def test_the_asynchronous_sdk_streams(demo: RunningProxy) -> None:
    async def read(sdk: openai.AsyncOpenAI) -> str:
        stream = await sdk.chat.completions.create(model="demo-chat", messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    assert "Grüße, 世界" in run(demo, read)


@pytest.mark.core
def test_the_asynchronous_sdk_asks_for_many_things_at_once(demo: RunningProxy) -> None:
    async def ask_all(sdk: openai.AsyncOpenAI) -> list[Any]:
        return await asyncio.gather(
            sdk.models.list(),
            sdk.embeddings.create(model="demo-embedding", input="one"),
            sdk.responses.create(model="demo-chat", input="Grüße"),
            *(
                sdk.chat.completions.create(model="demo-chat", messages=[{"role": "user", "content": f"number {n}"}])
                for n in range(20)
            ),
        )

    models, embeddings, response, *chats = run(demo, ask_all)
    assert [model.id for model in models.data] == ["demo-chat", "demo-tools", "demo-embedding", *FAULTS]
    assert len(embeddings.data) == 1
    assert "Grüße" in response.output_text
    for number, chat in enumerate(chats):
        assert f"“number {number}”" in chat.choices[0].message.content


def test_the_asynchronous_sdk_streams_a_response(demo: RunningProxy) -> None:
    async def read(sdk: openai.AsyncOpenAI) -> list[str]:
        return [event.type async for event in await sdk.responses.create(model="demo-chat", input="Hi", stream=True)]

    assert run(demo, read)[-1] == "response.completed"


# --- what the demo does not have, before a scripted upstream ----------------------------------------------------------


@pytest.fixture(scope="module")
def scripted(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings")) as running:
        yield running


def describe_file(size: int) -> dict[str, Any]:
    """Return what the API tells of an uploaded file."""
    names = {"filename": "data.jsonl", "purpose": "batch", "status": "processed"}
    return {"id": "file-1", "object": "file", "bytes": size, "created_at": 1, **names}


@pytest.mark.core
@pytest.mark.parametrize("size", [1000, 3 * 2**20], ids=["small", "3 MB"])
def test_it_uploads_lists_downloads_and_deletes_a_file(upstream: Fresh, scripted: RunningProxy, size: int) -> None:
    content = (bytes(range(256)) * (size // 256 + 1))[:size]
    with scripted.sdk() as sdk:
        upstream.answer(Json(describe_file(size)))
        uploaded = sdk.files.create(file=("data.jsonl", content), purpose="batch")
        upstream.answer(Json({"object": "list", "data": [describe_file(size)], "has_more": False}))
        listed = list(sdk.files.list())
        upstream.answer(Content(content))
        downloaded = sdk.files.content(uploaded.id).read()
        upstream.answer(Json({"id": "file-1", "object": "file", "deleted": True}))
        deleted = sdk.files.delete(uploaded.id)

    assert [(request.method, request.target) for request in upstream.requests] == [
        ("POST", "/v1/files"),
        ("GET", "/v1/files"),
        ("GET", "/v1/files/file-1/content"),
        ("DELETE", "/v1/files/file-1"),
    ]
    assert upload_in(upstream.requests[0]) == ("data.jsonl", content)
    assert (uploaded.filename, uploaded.bytes) == ("data.jsonl", size)
    assert listed == [uploaded]
    assert downloaded == content
    assert deleted.deleted


def test_it_downloads_speech(upstream: Fresh, scripted: RunningProxy, tmp_path: Path) -> None:
    sound = b"RIFF" + bytes(range(256)) * 64
    upstream.answer(Content(sound, "audio/wav"))

    with (
        scripted.sdk() as sdk,
        sdk.audio.speech.with_streaming_response.create(model="tts", voice="alloy", input="Hello") as speech,
    ):
        speech.stream_to_file(tmp_path / "hello.wav")

    assert upstream.request.target == "/v1/audio/speech"
    assert (tmp_path / "hello.wav").read_bytes() == sound


def test_it_has_speech_written_down(upstream: Fresh, scripted: RunningProxy) -> None:
    upstream.answer(Json({"text": "Grüße"}))

    with scripted.sdk() as sdk:
        text = sdk.audio.transcriptions.create(model="whisper", file=("a.wav", bytes(1000))).text

    assert text == "Grüße"
    assert upload_in(upstream.request) == ("a.wav", bytes(1000))


def test_it_is_told_that_the_stored_key_is_refused(provider: ScriptedUpstream, upstream: Fresh, tmp_path: Path) -> None:
    message = "Incorrect API key provided: sk-invalid."
    upstream.answer(Json({"error": {"message": message, "type": "t", "param": None, "code": "invalid_api_key"}}, 401))
    with (
        proxy_before(provider.base_url, tmp_path, openai_api_key="sk-invalid") as proxy,
        proxy.sdk() as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="demo-chat", messages=MESSAGES)

    assert upstream.request.header("authorization") == "Bearer sk-invalid"
    assert caught.value.code == "upstream_invalid_api_key"
    assert "sk-invalid" not in str(caught.value)


def test_the_asynchronous_sdk_uploads_and_downloads(upstream: Fresh, scripted: RunningProxy) -> None:
    upstream.answers([Json(describe_file(7)), Content(b"content")])

    async def both(sdk: openai.AsyncOpenAI) -> bytes:
        file = await sdk.files.create(file=("a.txt", b"content"), purpose="batch")
        return (await sdk.files.content(file.id)).read()

    assert run(scripted, both) == b"content"
    assert upload_in(upstream.requests[0]) == ("a.txt", b"content")


def upload_in(request: Recorded) -> tuple[str | None, bytes]:
    """Return name and content of the file in a multipart form."""
    head = f"Content-Type: {request.header('content-type')}\r\n\r\n".encode()
    form = email.message_from_bytes(head + request.body, policy=email.policy.HTTP)
    [file] = [part for part in form.iter_parts() if part.get_filename()]
    return file.get_filename(), file.get_payload(decode=True)


# --- the same as without the proxy ------------------------------------------------------------------------------------


def both_ways(
    provider: ScriptedUpstream, scripted: RunningProxy, answer: Answer, work: Callable[[openai.OpenAI], Any]
) -> tuple[Any, Any]:
    """Return what the SDK makes of an answer: asked directly, and through the proxy."""
    upstream = Fresh(provider)
    upstream.answer(answer)
    with openai.OpenAI(base_url=provider.base_url, api_key="any", max_retries=0) as direct, scripted.sdk() as proxied:
        return work(direct), work(proxied)


CHAT_OF_ALL_KINDS = completion(
    "Grüße 😀 \u2028 \x7f",
    tool_calls=[{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
    reasoning_content="not in the SDK's types",
) | {"new": {"field": [1.5e300, None, True]}, "system_fingerprint": None}
PARSED: dict[str, tuple[Answer, Callable[[openai.OpenAI], Any]]] = {
    "a chat": (
        Json(CHAT_OF_ALL_KINDS),
        lambda sdk: sdk.chat.completions.create(model="m", messages=MESSAGES).to_dict(),
    ),
    "a stream": (
        Sse([b": comment\n\n", *completion_chunks("Gr", "üße", " 😀", usage=True)], cut=5),
        lambda sdk: [
            chunk.to_dict()
            for chunk in sdk.chat.completions.create(
                model="m", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
        ],
    ),
    "a stream with carriage returns": (
        Sse(completion_chunks("Gr", "üße"), framing="\r\n\r\n"),
        lambda sdk: [
            chunk.to_dict() for chunk in sdk.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        ],
    ),
    "embeddings": (
        Json(
            {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.1, -1e-9]}], "model": "m"}
        ),
        lambda sdk: sdk.embeddings.create(model="m", input="a", encoding_format="float").to_dict(),
    ),
    "models": (
        Json({"object": "list", "data": [{"id": "org/m", "object": "model", "context_length": 9, "created": 1}]}),
        lambda sdk: [model.to_dict() for model in sdk.models.list()],
    ),
    "a model with a slash": (
        Json({"id": "org/m", "object": "model"}),
        lambda sdk: sdk.models.retrieve("org/m").to_dict(),
    ),
    "a page of files": (
        Json({"object": "list", "data": [{"id": "f1", "object": "file"}], "has_more": False}),
        lambda sdk: [file.to_dict() for file in sdk.files.list(limit=1)],
    ),
    "bytes": (Content(bytes(range(256))), lambda sdk: sdk.files.content("f").read()),
    "the raw headers": (
        Json(completion(), headers=[("x-request-id", "req_1"), ("x-ratelimit-remaining-tokens", "5")]),
        lambda sdk: (
            (raw := sdk.chat.completions.with_raw_response.create(model="m", messages=MESSAGES)).headers[
                "x-request-id"
            ],
            raw.headers["x-ratelimit-remaining-tokens"],
            raw.parse()._request_id,
        ),
    ),
}


@pytest.mark.core
@pytest.mark.parametrize("case", PARSED)
def test_the_sdk_makes_the_same_of_an_answer_with_and_without_the_proxy(
    provider: ScriptedUpstream, scripted: RunningProxy, case: str
) -> None:
    direct, proxied = both_ways(provider, scripted, *PARSED[case])

    assert proxied == direct


@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503])
def test_the_sdk_raises_the_same_error_with_and_without_the_proxy(
    provider: ScriptedUpstream, scripted: RunningProxy, status: int
) -> None:
    error = {"message": "Grüße", "type": "own", "param": "messages", "code": "own_code", "new": 1}

    def fail(sdk: openai.OpenAI) -> tuple[type, str, object, object]:
        with pytest.raises(openai.APIStatusError) as caught:
            sdk.chat.completions.create(model="m", messages=MESSAGES)
        return type(caught.value), str(caught.value), caught.value.body, caught.value.request_id

    answer = Json({"error": error}, status, [("x-request-id", "req_1"), ("x-should-retry", "false")])
    direct, proxied = both_ways(provider, scripted, answer, fail)

    assert proxied == direct
