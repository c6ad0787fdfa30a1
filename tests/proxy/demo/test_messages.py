"""The demo's Claude API, as Anthropic's own SDK reads it."""

from collections.abc import Iterator

import anthropic
import pytest

QUESTION = [{"role": "user", "content": [{"type": "text", "text": "Hello there"}]}]


@pytest.fixture
def claude(demo_url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=demo_url.removesuffix("/v1"), api_key="any", max_retries=0) as client:
        yield client


def test_a_message_is_answered_whole(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model="demo-chat", max_tokens=500, messages=QUESTION)  # type: ignore[arg-type]
    assert message.content[0].type == "text"
    assert "Hello there" in message.content[0].text
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 1


def test_a_streamed_message_says_the_same(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(model="demo-chat", max_tokens=500, messages=QUESTION) as stream:  # type: ignore[arg-type]
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert "Hello there" in text
    assert message.stop_reason == "end_turn"


@pytest.mark.parametrize("limit", [1, 5])
def test_an_answer_that_is_cut_at_its_limit_says_so(claude: anthropic.Anthropic, limit: int) -> None:
    message = claude.messages.create(model="demo-chat", max_tokens=limit, messages=QUESTION)  # type: ignore[arg-type]
    assert message.stop_reason == "max_tokens"
