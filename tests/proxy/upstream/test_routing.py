"""Which upstream a request goes to."""

import time

import pytest

from proxy.errors.request import UnknownUpstream
from proxy.settings.model import Settings
from proxy.upstream.routing import Routing

GROQ = {"name": "groq", "base_url": "https://api.groq.com/openai/v1", "models": ["llama-*", "qwen-?b"]}
ROUTER = {"name": "openrouter", "base_url": "https://openrouter.ai/api/v1", "fallback": ["groq", "openai"]}
LATER = {"name": "later", "base_url": "https://later.example/v1", "models": ["llama-3*"]}


def routing(**settings: object) -> Routing:
    return Routing(Settings(**{"proxy_upstreams": [GROQ, ROUTER, LATER], **settings}))  # type: ignore[arg-type]


def way(routes: Routing, model: str | None, named: str | None = None) -> list[tuple[str, str | None]]:
    return [(target.upstream.name, target.model) for target in routes.targets(model, named)]


@pytest.mark.parametrize(
    ("model", "upstream", "sent"),
    [
        ("gpt-5", "openai", "gpt-5"),
        ("groq/gpt-5", "groq", "gpt-5"),
        ("openai/llama-3", "openai", "llama-3"),  # a prefix goes before a pattern
        ("llama-3.3-70b", "groq", "llama-3.3-70b"),  # the first upstream whose pattern fits
        ("LLAMA-3", "groq", "LLAMA-3"),
        ("qwen-7b", "groq", "qwen-7b"),
        ("qwen-70b", "openai", "qwen-70b"),
        ("meta-llama/llama-3", "openai", "meta-llama/llama-3"),  # no upstream's name: part of the model's
        ("groq/meta-llama/llama-3", "groq", "meta-llama/llama-3"),
        ("groq/", "openai", "groq/"),
        ("/llama-3", "openai", "/llama-3"),
        ("GROQ/gpt", "openai", "GROQ/gpt"),
        ("", "openai", ""),
        ("my-llama-3", "openai", "my-llama-3"),
        ("llama-\n3", "groq", "llama-\n3"),
        (None, "openai", None),
    ],
)
def test_a_model_decides_by_prefix_then_pattern_then_choice(model: str | None, upstream: str, sent: str | None) -> None:
    assert way(routing(), model)[0] == (upstream, sent)


def test_the_choice_takes_what_nothing_else_decides() -> None:
    assert way(routing(proxy_upstream="later"), "gpt-5") == [("later", "gpt-5")]
    assert way(routing(proxy_upstream="later"), "llama-3") == [("groq", "llama-3")]


def test_a_header_names_an_upstream_where_the_model_names_none() -> None:
    assert way(routing(), None, "groq") == [("groq", None)]
    assert way(routing(), "gpt-5", "groq") == [("groq", "gpt-5")]
    assert way(routing(), "later/x", "groq") == [("later", "x")]
    with pytest.raises(UnknownUpstream):
        way(routing(), "gpt-5", "nobody")


def test_an_alias_is_looked_at_first() -> None:
    aliases = {"fast": "groq/llama", "gpt-5": "openrouter/openai/gpt-5", "llama-3": "gpt-4"}
    routes = routing(proxy_aliases=aliases)
    assert way(routes, "fast") == [("groq", "llama")]
    assert way(routes, "gpt-5")[0] == ("openrouter", "openai/gpt-5")
    assert way(routes, "llama-3") == [("openai", "gpt-4")]


def test_an_alias_is_a_chain_and_may_name_aliases() -> None:
    routes = routing(proxy_aliases={"smart": ["openai/gpt-5", "fast", "later/x"], "fast": ["groq/a", "llama-9"]})
    assert way(routes, "smart") == [("openai", "gpt-5"), ("groq", "a"), ("groq", "llama-9"), ("later", "x")]


def test_an_upstream_falls_back_with_the_same_model() -> None:
    assert way(routing(), "openrouter/x") == [("openrouter", "x"), ("groq", "x"), ("openai", "x")]


def test_the_base_url_of_another_provider_is_named_default() -> None:
    routes = routing(openai_base_url="https://other.example", proxy_upstreams=[GROQ])
    assert way(routes, "gpt-5") == [("default", "gpt-5")]
    assert way(routes, "openai/gpt-5") == [("default", "openai/gpt-5")]


def test_a_long_name_is_decided_at_once() -> None:
    routes = routing(proxy_upstreams=[{**GROQ, "models": ["a*a*a*a*a*a*b"]}])
    start = time.perf_counter()
    way(routes, "a" * 1_000_000)
    way(routes, "a" * 200)
    assert time.perf_counter() - start < 2
