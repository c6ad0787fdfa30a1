"""An upstream that is tried out: its models, and a chat of one token, with times and its own words."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Answer, CloseBeforeHeaders, Html, Json, ScriptedUpstream, completion
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, proxy_before
from proxy.exchange.trial import Step, pick
from proxy.settings.upstreams import Upstream

CHATS, MESSAGES = "/v1/chat/completions", "/v1/messages"


def listed(*names: str) -> Json:
    return Json({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})


def error(message: str, code: str | None = None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


WRONG_LIMIT = error(
    "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens'.", "unsupported_parameter", "max_tokens"
)


@pytest.fixture(scope="module")
def proxy(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    rows = [
        {"name": "claude", "base_url": provider.base_url, "auth": "x-api-key"},
        {"name": "keyless", "base_url": f"{provider.base_url}/local", "auth": "none"},
        {"name": "far", "base_url": "https://far.example"},
    ]
    with proxy_before(provider.base_url, Path(tmp_path_factory.mktemp("trial")), proxy_upstreams=rows) as running:
        yield running


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Json(completion("H")), path=CHATS)
    fresh.answer(listed("text-embedding-3", "big", "big-mini"), path="/v1/models")
    return fresh


def tried(proxy: RunningProxy, name: str = "default", model: str | None = None) -> list[Step]:
    row = proxy.services.store.current.upstream_named(name)
    assert row is not None
    return proxy.services.try_out(row, model)


def test_models_and_a_chat_are_asked_with_its_key(proxy: RunningProxy, upstream: Fresh) -> None:
    models, chat = tried(proxy)

    assert (models.is_good, chat.is_good) == (True, True)
    assert str(models).startswith("accepts the key and lists 3 models (")
    assert str(chat).startswith("big-mini answers a chat of one token, with max_tokens (")
    assert [each.path for each in upstream.requests] == ["/v1/models", CHATS]
    assert {each.header("authorization") for each in upstream.requests} == {f"Bearer {UPSTREAM_KEY}"}
    assert upstream.requests[1].json()["max_tokens"] == 1


def test_the_limit_is_named_as_the_model_takes_it(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answers([Json(WRONG_LIMIT, 400), Json(completion("H"))], path=CHATS)

    assert str(tried(proxy, model="o9")[1]).startswith("o9 answers a chat of one token, with max_completion_tokens (")
    sent = upstream.requests[2].json()
    assert (sent["max_completion_tokens"], "max_tokens" in sent) == (1, False)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Json(error("Incorrect API key provided"), 401),
            "the key is refused (status 401), and says: Incorrect",
        ),
        (Json({"detail": "not for you"}, 403), "refused with status 403, and says: not for you"),
        (Json(error("nothing here"), 404), "(status 404), and says: nothing here"),
        (Html(), "lists no models"),
        (CloseBeforeHeaders(), "models: The upstream broke off"),
    ],
)
def test_a_refusal_is_told_in_the_upstreams_words(
    proxy: RunningProxy, upstream: Fresh, answer: Answer, said: str
) -> None:
    upstream.answer(answer, path="/v1/models")

    models, chat = tried(proxy)
    assert not models.is_good
    assert said in str(models)
    assert str(chat) == "not asked: which model to ask is not known"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Json(error("You exceeded your quota"), 429), "big-mini: refused with status 429, and says: You exceeded"),
        (Json({"object": "list"}), "big-mini answers what is no chat"),
        (Json({"message": f"bad key {UPSTREAM_KEY}"}, 500), "says: bad key "),
    ],
)
def test_a_chat_that_fails_is_told(proxy: RunningProxy, upstream: Fresh, answer: Answer, said: str) -> None:
    upstream.answer(answer, path=CHATS)

    models, chat = tried(proxy)
    assert (models.is_good, chat.is_good) == (True, False)
    assert said in str(chat)
    assert UPSTREAM_KEY not in str(chat)


def test_claudes_api_is_asked_in_its_form(
    proxy: RunningProxy, upstream: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_CLAUDE", "key-of-claudes-upstream")
    upstream.answer(Json({"type": "message", "content": [{"type": "text", "text": "H"}]}), path=MESSAGES)

    assert all(step.is_good for step in tried(proxy, "claude"))
    chat = upstream.requests[1]
    assert (chat.path, chat.header("x-api-key")) == (MESSAGES, "key-of-claudes-upstream")
    assert chat.header("anthropic-version") == "2023-06-01"
    assert chat.header("authorization") is None


def test_one_without_a_key_is_not_asked_and_one_that_needs_none_is(proxy: RunningProxy, upstream: Fresh) -> None:
    assert str(tried(proxy, "far")[0]).startswith("not asked: the key is not set")
    upstream.answer(listed(), path="/v1/local/v1/models")
    tried(proxy, "keyless")
    assert upstream.requests[0].header("authorization") is None


@pytest.mark.parametrize(
    ("always", "models", "picked"),
    [
        ((), ["whisper-1", "gpt-5", "gpt-5-nano"], "gpt-5-nano"),
        ((), ["text-embedding-3", "gpt-5"], "gpt-5"),
        ((), ["text-embedding-3"], "text-embedding-3"),
        (("big",), ["small-mini", "big"], "big"),
        (("llama-*", "named"), [], "named"),
        (("llama-*",), [], None),
    ],
)
def test_a_model_is_picked_that_chats_and_costs_little(
    always: tuple[str, ...], models: list[str], picked: str | None
) -> None:
    assert pick(Upstream(name="x", base_url="https://x.example", models=always), models) == picked
