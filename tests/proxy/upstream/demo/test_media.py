"""Embeddings, moderations, sound and images of the demo upstream through the official SDK."""

import base64
import io
import math
import wave
from collections.abc import Callable
from typing import Any

import openai
import pytest
from PIL import Image


def test_embeddings_are_unit_vectors_that_stay_the_same(
    client: openai.OpenAI, check_shape: Callable[[Any], None]
) -> None:
    first = client.embeddings.create(model="demo-embedding", input=["one", "two"], dimensions=64)
    again = client.embeddings.create(model="demo-embedding", input="one", dimensions=64, encoding_format="float")

    check_shape(again)
    assert [entry.index for entry in first.data] == [0, 1]
    assert len(first.data[0].embedding) == 64
    assert math.hypot(*first.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert first.data[0].embedding == pytest.approx(again.data[0].embedding, abs=1e-7)
    assert first.data[0].embedding != first.data[1].embedding
    assert first.usage.total_tokens == first.usage.prompt_tokens == 2


def test_token_numbers_can_be_embedded(client: openai.OpenAI) -> None:
    assert len(client.embeddings.create(model="m", input=[1, 2, 3]).data) == 1
    assert len(client.embeddings.create(model="m", input=[[1], [2]]).data) == 2


@pytest.mark.parametrize("bad", [[], [None], {}, ["x"] * 200])
def test_what_cannot_be_embedded_is_refused(client: openai.OpenAI, bad: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="Invalid 'input'"):
        client.embeddings.create(model="m", input=bad)


def test_moderations_flag_nothing(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    one = client.moderations.create(input="Hello")
    two = client.moderations.create(input=["Hello", "again"], model="demo-moderation")

    check_shape(one)
    assert [len(one.results), len(two.results)] == [1, 2]
    assert not one.results[0].flagged


def test_speech_is_a_wav_file(client: openai.OpenAI) -> None:
    speech = client.audio.speech.create(model="demo-tts", voice="alloy", input="Hello")

    assert speech.response.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(speech.content)) as sound:
        assert sound.getnframes() / sound.getframerate() == pytest.approx(0.5)


def test_a_transcription_names_the_file(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    sound = ("größe.wav", b"\r\n--RIFF\r\n\x00")

    as_json = client.audio.transcriptions.create(model="demo-asr", file=sound)
    as_text: Any = client.audio.transcriptions.create(model="demo-asr", file=sound, response_format="text")

    check_shape(as_json)
    assert "größe.wav with 11 bytes" in as_json.text
    assert as_text.strip() == as_json.text


def test_images_are_small_pngs(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    answer = client.images.generate(model="demo-image", prompt="a square", n=2)

    check_shape(answer)
    assert answer.data is not None
    assert len(answer.data) == 2
    with Image.open(io.BytesIO(base64.b64decode(answer.data[0].b64_json or ""))) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (64, 64))
