"""The embeddings of the demo upstream through the official SDK."""

import math
from collections.abc import Callable
from typing import Any

import openai
import pytest


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
