"""`/metrics`: what Prometheus reads, and who may read it."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fakes.environment import clean_environment
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, Sse, completion, completion_chunks
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy.flow.flow import Flow, Outcome
from proxy.usage.ledger import Ledger
from proxy.usage.metrics import MAX_MODELS, OTHERS, Metrics

CHAT = "/v1/chat/completions"
BODY = {"model": "my-model", "messages": [{"role": "user", "content": "Hi"}]}
Samples = dict[tuple[str, ...], float]


def samples(answer: httpx2.Response, name: str, *labels: str) -> Samples:
    assert answer.status_code == 200, answer.text
    families = text_string_to_metric_families(answer.text)
    found = [sample for family in families for sample in family.samples if sample.name == f"openai_tray_proxy_{name}"]
    return {tuple(sample.labels[label] for label in labels): sample.value for sample in found}


@pytest.fixture(scope="module")
def used(provider: ScriptedUpstream) -> Iterator[RunningProxy]:
    """Run a proxy through which some requests have gone."""
    prices = {"my-model": {"input": 1_000_000, "output": 1_000_000}}
    with (
        clean_environment(),
        RunningProxy(
            openai_base_url=provider.base_url,
            openai_api_key=UPSTREAM_KEY,
            proxy_prices=prices,
            proxy_daily_limit_usd=1000,
        ) as proxy,
    ):
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}
        provider.answer(Json({**completion("Hello"), "usage": usage}))
        for model in ("my-model", "my-model", 'a "model"\\with\nlines', UPSTREAM_KEY):
            proxy.http.post(CHAT, json={**BODY, "model": model})
        provider.answer(Sse(completion_chunks("Hello"), done=False))
        proxy.http.post(CHAT, json={**BODY, "stream": True})
        yield proxy


def test_requests_are_counted_by_model_and_outcome_at_once(used: RunningProxy) -> None:
    found = samples(used.http.get("/metrics"), "requests_total", "model", "outcome")
    assert found["my-model", "whole"] == 3
    assert found['a "model"\\with\nlines', "whole"] == 1


def test_tokens_cost_and_faults_are_counted(used: RunningProxy) -> None:
    answer = used.http.get("/metrics")
    tokens = samples(answer, "tokens_total", "model", "kind")
    assert (tokens["my-model", "input"], tokens["my-model", "cached"]) >= (20, 8)
    assert samples(answer, "cost_usd_total", "model")[("my-model",)] >= 30
    assert samples(answer, "upstream_faults_total", "model", "fault") == {("my-model", "no_done"): 1}
    assert 0 < samples(answer, "limit_used_ratio", "key", "period")["", "day"] < 1
    assert samples(answer, "requests_running") == {(): 0}


@pytest.mark.parametrize("name", ["first_byte_seconds", "duration_seconds"])
def test_times_are_histograms(used: RunningProxy, name: str) -> None:
    answer = used.http.get("/metrics")
    buckets = samples(answer, f"{name}_bucket", "model", "le")
    assert buckets["my-model", "+Inf"] == samples(answer, f"{name}_count", "model")[("my-model",)] == 3
    assert samples(answer, f"{name}_sum", "model")[("my-model",)] > 0


def test_no_key_stands_in_it(used: RunningProxy) -> None:
    assert UPSTREAM_KEY not in used.http.get("/metrics").text


def test_what_is_asked_there_is_no_request_of_its_own(used: RunningProxy) -> None:
    before = samples(used.http.get("/metrics"), "requests_total", "model", "outcome")
    assert samples(used.http.get("/metrics"), "requests_total", "model", "outcome") == before


def test_a_head_request_has_no_body(used: RunningProxy) -> None:
    answer = used.http.head("/metrics")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "rebound.example"}, 403),
        ({"Origin": "https://foreign.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, 403),
    ],
)
def test_foreign_pages_may_not_read_it(used: RunningProxy, headers: dict[str, str], status: int) -> None:
    answer = used.http.get("/metrics", headers=headers)
    assert answer.status_code == status
    assert b"openai_tray_proxy_requests" not in answer.content


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 401), ({"Authorization": "Bearer wrong"}, 401), ({"Authorization": "Bearer a-proxy-key"}, 200)],
)
def test_it_asks_for_a_proxy_key_where_one_is_required(
    start: Callable[..., RunningProxy], upstream: Fresh, headers: dict[str, str], status: int
) -> None:
    proxy = start(upstream.base_url, proxy_require_api_key=True, proxy_api_keys="a-proxy-key")
    assert proxy.http.get("/metrics", headers=headers).status_code == status


def test_clients_cannot_make_it_grow_without_end(tmp_path: Any) -> None:
    metrics = Metrics()
    ledger = Ledger(tmp_path / "usage.sqlite3", lambda: 400, dict, counters=[metrics.add])
    for number in range(MAX_MODELS + 50):
        flow = Flow("POST", "/chat/completions", model_asked=f"model-{number}", upstream="one")
        flow.end(Outcome.WHOLE, None, None)
        ledger.ended(flow)
    ledger.settle()
    ledger.stop()
    assert len(metrics.requests) == MAX_MODELS + 1
    assert metrics.requests[(OTHERS, OTHERS), "whole"] == 50
