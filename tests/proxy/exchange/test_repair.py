"""Parameters that a model refuses: asked once more without, remembered, and never more than that."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.scripted_upstream import Answer, Json, Recorded, ScriptedUpstream, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh, proxy_before
from proxy import paths
from proxy.policy.refused_parameters import repair_for
from waiting import wait_for

OPENAI = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'.",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
}


def openai_value(name: str) -> dict[str, Any]:
    message = (
        f"Unsupported value: '{name}' does not support 0.2 with this model. Only the default (1) value is supported."
    )
    return {"error": {"message": message, "type": "t", "param": name, "code": "unsupported_value"}}


@pytest.mark.parametrize(
    ("refusal", "fields", "told"),
    [
        (OPENAI, {"max_tokens": 1}, "max_tokens sent as max_completion_tokens"),
        (OPENAI, {"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens dropped"),
        (openai_value("temperature"), {"temperature": 0.2, "top_p": 1}, "temperature dropped"),
        (
            {
                "detail": [
                    {"type": "extra_forbidden", "loc": ["body", "store"], "msg": "Extra inputs are not permitted"}
                ]
            },
            {"store": True, "metadata": {}},
            "store dropped",
        ),
        (
            {"object": "error", "message": {"detail": [{"type": "extra_forbidden", "loc": ["body", "metadata"]}]}},
            {"store": True, "metadata": {}},
            "metadata dropped",
        ),
        (
            {"error": {"message": "property 'parallel_tool_calls' is unsupported", "type": "invalid_request_error"}},
            {"parallel_tool_calls": True},
            "parallel_tool_calls dropped",
        ),
        (
            [
                {
                    "error": {
                        "code": 400,
                        "message": 'Invalid JSON payload received. Unknown name "store": Cannot find field.',
                    }
                }
            ],
            {"store": True},
            "store dropped",
        ),
        (
            {"error": {"message": "Unrecognized request argument supplied: reasoning_effort", "code": None}},
            {"reasoning_effort": "low"},
            "reasoning_effort dropped",
        ),
        ({"error": {"message": "temperature is not supported"}}, {"top_p": 1}, None),
        (openai_value("messages"), {"messages": [], "temperature": 1}, None),
        (openai_value("model"), {"model": "m", "temperature": 1}, None),
        ({"error": {"message": "max_tokens is too large: 9", "param": "max_tokens"}}, {"max_tokens": 9}, None),
        ({"error": {"message": "the temperature must be below 2", "code": "invalid_value"}}, {"temperature": 3}, None),
        ({"error": {"message": "temperatures are not supported"}}, {"temperature": 3}, None),
        ("temperature is unsupported", {"temperature": 3}, "temperature dropped"),
        ([[[[[{"code": "unsupported_value"}]]]]], {"temperature": 3}, None),
        (None, {"temperature": 3}, None),
        (3, {"temperature": 3}, None),
    ],
)
def test_a_refusal_names_what_mends_it(refusal: Any, fields: dict[str, Any], told: str | None) -> None:
    repair = repair_for(json.dumps(refusal).encode(), fields)
    assert (None if repair is None else str(repair)) == told


class Strict(Answer):
    """Refuse parameters as OpenAI's newer models do, else answer."""

    def __init__(self, *refused: str, answer: Answer | None = None) -> None:
        self.refused = refused
        self.answer = answer or Json(completion("well"))

    def script(self, request: Recorded) -> Any:
        for name in self.refused:
            if name in request.json():
                return Json({"error": {**openai_value(name)["error"], "message": f"{name} unsupported"}}, 400).script(
                    request
                )
        return self.answer.script(request)


@pytest.fixture
def upstream(provider: ScriptedUpstream) -> Fresh:
    return Fresh(provider)


@pytest.fixture
def start(provider: ScriptedUpstream, tmp_path: Path) -> Callable[..., Any]:
    return lambda **settings: proxy_before(provider.base_url, tmp_path, **settings)


def ask(proxy: Any, **fields: Any) -> Any:
    body = {"model": "o9", "messages": [{"role": "user", "content": "hi"}], **fields}
    return proxy.http.post("/v1/chat/completions", json=body)


def test_it_works_the_first_time_and_costs_no_round_the_next(start: Callable[..., Any], upstream: Fresh) -> None:
    upstream.answer(Strict("max_tokens"))
    with start() as proxy:
        assert ask(proxy, max_tokens=5, temperature=1).status_code == 200
        assert ask(proxy, max_tokens=6).status_code == 200
    sent = [request.json() for request in upstream.requests]
    assert [fields.get("max_tokens") for fields in sent] == [5, None, None]
    assert [fields.get("max_completion_tokens") for fields in sent] == [None, 5, 6]
    assert sent[1]["temperature"] == 1
    assert list(sent[1])[:2] == ["model", "messages"]


def test_it_is_remembered_by_the_next_run(start: Callable[..., Any], upstream: Fresh) -> None:
    upstream.answer(Strict("temperature"))
    with start() as proxy:
        ask(proxy, temperature=0.2)
        wait_for(paths.learned_file().exists, "it is kept")
    if os.name == "posix":
        assert paths.learned_file().stat().st_mode & 0o077 == 0
    with start() as proxy:
        assert ask(proxy, temperature=0.2).status_code == 200
        assert proxy.services.learned.described_repairs() == ["temperature dropped for o9 at default"]
    assert ["temperature" in request.json() for request in upstream.requests] == [True, False, False]


def test_another_model_is_asked_as_the_client_says(start: Callable[..., Any], upstream: Fresh) -> None:
    upstream.answer(Strict("temperature"))
    with start() as proxy:
        ask(proxy, temperature=0.2)
        upstream.answer(Json(completion("well")))
        ask(proxy, temperature=0.2, model="other")
    assert upstream.requests[-1].json()["temperature"] == 0.2


def test_a_second_refusal_gives_the_first_answer(start: Callable[..., Any], upstream: Fresh) -> None:
    upstream.answer(Strict("temperature", "top_p"))
    with start() as proxy:
        reply = ask(proxy, temperature=0.2, top_p=1)
        assert (reply.status_code, reply.json()["error"]["param"]) == (400, "temperature")
        assert len(upstream.requests) == 2
        assert ask(proxy, temperature=0.2, top_p=1).status_code == 200  # the first was mended, and that is known
    assert len(upstream.requests) == 4


@pytest.mark.parametrize("name", ["messages", "model", "tools", "tool_choice", "response_format", "unknown"])
def test_what_a_request_is_about_is_never_taken_out(start: Callable[..., Any], upstream: Fresh, name: str) -> None:
    upstream.answer(Strict(name))
    with start() as proxy:
        assert ask(proxy, **{name: "x"}).status_code == 400
    assert len(upstream.requests) == 1


def test_it_can_be_switched_off(start: Callable[..., Any], upstream: Fresh) -> None:
    upstream.answer(Strict("temperature"))
    with start(proxy_repair_parameters=False) as proxy:
        assert ask(proxy, temperature=1).status_code == 400
    assert len(upstream.requests) == 1


def test_a_stream_is_repaired_too(start: Callable[..., Any], upstream: Fresh) -> None:
    upstream.answer(Strict("temperature", answer=Sse(completion_chunks("we", "ll"))))
    with start() as proxy, proxy.sdk() as sdk:
        chunks = list(sdk.chat.completions.create(model="o9", messages=[], temperature=1, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "well"
