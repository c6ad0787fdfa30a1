"""Servers of models on this computer: known by what they answer, never by their port."""

import time
from typing import Any

import pytest

from fakes.model_server import serving
from proxy.upstream import discovery

LISTED = {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "library"}]}
OLLAMA = {"/v1/models": LISTED, "/api/version": {"version": "0.9.0"}}
LM_STUDIO = {
    "/v1/models": {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "organization_owner"}]},
    "/api/v0/models": {"data": [{"id": "m", "object": "model", "arch": "qwen2", "state": "loaded"}]},
}
LLAMA_CPP = {
    "/v1/models": {"data": [{"id": "m", "owned_by": "llamacpp"}]},
    "/props": {"default_generation_settings": {}},
}
OLD_LLAMA_CPP = {"/v1/models": {"data": [{"id": "m", "owned_by": "llamacpp"}]}}
VLLM = {"/v1/models": {"object": "list", "data": [{"id": "m", "owned_by": "vllm", "max_model_len": 9}]}}


@pytest.mark.parametrize(
    ("answers", "name"),
    [
        (OLLAMA, "ollama"),
        (LM_STUDIO, "lm-studio"),
        (LLAMA_CPP, "llama-cpp"),
        (OLD_LLAMA_CPP, "llama-cpp"),
        (VLLM, "vllm"),
    ],
)
def test_a_server_is_known_by_its_answers(answers: dict[str, Any], name: str) -> None:
    with serving(answers) as port:
        [found] = discovery.find([port])
    assert (found.name, found.base_url, found.models) == (name, f"http://127.0.0.1:{port}/v1", ("m",))


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"/v1/models": None},
        {"/v1/models": {"data": "x"}},
        {"/v1/models": [1]},
        {"/v1/models": {"data": [{"id": "m", "owned_by": "somebody"}]}},
        {"/api/version": {"version": "1"}},  # any program has a version
        {"/v1/models": LISTED, "/api/version": {"version": "1", "build": "x"}},
        {"/v1/models": LISTED, "/api/version": ["1"], "/props": [], "/api/v0/models": {"data": [1]}},
    ],
)
def test_another_program_is_none(answers: dict[str, Any]) -> None:
    with serving(answers) as port:
        assert discovery.find([port]) == []


def test_a_slow_one_holds_nobody_up_and_our_own_port_is_left_out() -> None:
    with serving(OLLAMA, delay_s=1.0) as slow, serving(OLLAMA) as own, serving(VLLM) as other:
        start = time.monotonic()
        found = discovery.find([slow, own, other, 1], without=[own])
    assert [each.name for each in found] == ["vllm"]
    assert time.monotonic() - start < 2.5  # the slow one is waited for at the end of the test
