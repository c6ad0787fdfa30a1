from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh


def test_the_official_sdk_chats_through_the_proxy(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Json(completion("Hello!")))
    with proxy.sdk() as sdk:
        answer = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
    assert answer.choices[0].message.content == "Hello!"


def test_the_official_sdk_streams_through_the_proxy(upstream: Fresh, proxy: RunningProxy) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo")))
    with proxy.sdk() as sdk:
        stream = sdk.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}], stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "Hello"
