"""The demo upstream as the program serves it, without pauses, and the official SDK to drive it."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from proxy.demo.server import run_demo


@pytest.fixture(scope="session")
def demo_url() -> Iterator[str]:
    with run_demo(pace_s=0) as base_url:
        yield base_url


@pytest.fixture
def client(demo_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=demo_url, api_key="anything", max_retries=0, timeout=10) as sdk:
        yield sdk


@pytest.fixture
def check_shape() -> Callable[[Any], None]:
    """Return a check that an answer has every field its SDK type demands; the SDK itself never looks."""
    return lambda answer: type(answer).model_validate(answer.to_dict())
