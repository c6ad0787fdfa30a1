"""The doctor's way to each upstream: every step has its time, and the step that fails says so."""

import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.ports import free_port
from fakes.scripted_upstream import Json, Raw, Script
from fakes.shared_upstream import Fresh
from fakes.tls_upstream import TlsUpstream
from proxy.doctor.finding import Examination, Finding
from proxy.doctor.upstreams import checks_of
from proxy.services import assemble

MODELS = {"object": "list", "data": [{"id": "one"}, {"id": "two"}]}
KEY = "a-key-of-the-doctors-test"


def findings(base_url: str, **settings: object) -> dict[str, Finding]:
    """Return what the checks of upstreams find, by their titles."""
    chosen = {"openai_base_url": base_url, "openai_api_key": KEY, **settings}
    examination = Examination(assemble(chosen, keychain=lambda: MemoryKeychain()))
    return {check.title: check.look(examination) for check in checks_of(examination)}


def steps(finding: Finding) -> list[tuple[str, bool]]:
    return [(step.name, step.problem is None) for step in finding.steps]


def test_an_upstream_that_is_well_tells_its_models_and_the_time_of_each_step(upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))

    found = findings(upstream.base_url)["Upstream"]

    assert found.is_good
    assert steps(found) == [("DNS", True), ("TCP", True), ("key and models", True)]
    assert all(step.ms >= 0 for step in found.steps)
    assert found.detail.startswith(f"{upstream.base_url} accepts the key and lists 2 models (DNS ")
    assert upstream.request.header("authorization") == f"Bearer {KEY}"


def test_an_upstream_nobody_has_named_is_told_by_its_host(upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    row = {"name": "other", "base_url": upstream.base_url}

    told = findings(upstream.base_url, proxy_upstreams=[row])

    host = upstream.base_url.split("/")[2]
    assert {f"Upstream {host}", "Upstream other"} <= set(told)
    assert told["Upstreams"].detail.startswith(f"{host} ")
    assert not [finding for finding in told.values() if "default" in finding.title + finding.detail]


@pytest.mark.parametrize(
    ("status", "said"), [(401, "refuses this key"), (404, "lists no models"), (500, "answered 500")]
)
def test_a_refusal_stands_in_the_last_step(upstream: Fresh, status: int, said: str) -> None:
    upstream.answer(Json({"error": {"message": "no"}}, status=status))

    found = findings(upstream.base_url)["Upstream"]

    assert not found.is_good
    assert said in found.detail
    assert steps(found)[-1] == ("key and models", False)


def test_an_answer_that_is_no_http_stands_in_the_last_step(upstream: Fresh) -> None:
    upstream.answer(Script([Raw(b"220 mail.example ESMTP\r\n")]))

    assert steps(findings(upstream.base_url)["Upstream"])[-1] == ("key and models", False)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:{port}/v1", "http://localhost:{port}/v1", "http://[::1]:{port}/v1"]
)
def test_a_server_that_does_not_run_is_found_at_tcp(address: str) -> None:
    found = findings(address.format(port=free_port()))["Upstream"]

    assert not found.is_good
    assert steps(found) == [("DNS", True), ("TCP", False)]


@pytest.mark.parametrize("host", ["no-such-name.invalid", "another.invalid", "a." + "b" * 64 + ".invalid"])
def test_a_name_that_nobody_knows_is_found_at_dns(host: str) -> None:
    found = findings(f"https://{host}/v1")["Upstream"]

    assert not found.is_good
    assert [name for name, is_good in steps(found) if not is_good] == ["DNS"]


def test_a_certificate_that_nobody_knows_is_found_at_tls_and_one_that_is_trusted_is_not(tmp_path: Path) -> None:
    with TlsUpstream(tmp_path) as tls:
        unknown = findings(tls.base_url)["Upstream"]
        known = findings(tls.base_url, openai_ca_file=str(tls.certificate))["Upstream"]

    assert steps(unknown) == [("DNS", True), ("TCP", True), ("TLS", False)]
    assert steps(known) == [("DNS", True), ("TCP", True), ("TLS", True), ("key and models", True)]


def test_without_a_key_the_way_is_looked_at_and_nothing_is_asked(tmp_path: Path) -> None:
    examination = Examination(
        assemble({"openai_base_url": "https://no-such-name.invalid/v1"}, keychain=lambda: MemoryKeychain())
    )
    found = {check.title: check.look(examination) for check in checks_of(examination)}["Upstream"]

    assert not found.is_good
    assert [step.name for step in found.steps] == ["DNS"]


def test_each_of_several_upstreams_has_its_own_finding(upstream: Fresh) -> None:
    upstream.answer(Json(MODELS))
    rows = [{"name": "dead", "base_url": f"http://127.0.0.1:{free_port()}/v1"}]

    found = findings(upstream.base_url, proxy_upstreams=rows)

    assert found[f"Upstream {upstream.base_url.split('/')[2]}"].is_good
    assert not found["Upstream dead"].is_good


@pytest.mark.parametrize(
    ("value", "shown", "is_good"),
    [
        ("http://user:a-secret-word@127.0.0.1:9", "127.0.0.1:9 (HTTPS_PROXY) for api.example.invalid", True),
        ("socks5://user:a-secret-word@127.0.0.1:9", "127.0.0.1:9 (HTTPS_PROXY) for api.example.invalid", True),
        ("http://user:a-secret-word@:::", "HTTPS_PROXY holds no address", False),
    ],
)
def test_the_network_proxy_is_named_without_its_login(
    monkeypatch: pytest.MonkeyPatch, value: str, shown: str, is_good: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)

    found = findings("https://api.example.invalid/v1")

    assert found["Network proxy"].is_good is is_good
    assert shown in found["Network proxy"].detail
    assert not found["Upstream"].is_good
    assert "a-secret-word" not in str(found)


@pytest.mark.parametrize(
    ("ahead_s", "said", "is_good"),
    [(0, "as {}'s", True), (7200, "s behind {}'s", False), (-900, "ahead of", False)],
)
def test_the_clock_is_compared_with_the_time_an_upstream_names(
    upstream: Fresh, ahead_s: float, said: str, is_good: bool
) -> None:
    date = formatdate(time.time() + ahead_s, usegmt=True)
    upstream.answer(Json({}, status=401, headers=[("Date", date)]))

    found = findings(upstream.base_url)["Clock"]

    assert found.is_good is is_good
    assert said.format(upstream.base_url.split("/")[2]) in found.detail


@pytest.mark.parametrize("date", ["yesterday", "", "Mon, 99 Foo 2026 99:99:99 GMT"])
def test_a_date_that_is_none_is_no_problem(upstream: Fresh, date: str) -> None:
    upstream.answer(Json(MODELS, headers=[("Date", date)]))

    assert findings(upstream.base_url)["Clock"].is_good


@pytest.fixture
def silent() -> Iterator[str]:
    """Give the address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_a_silent_upstream_is_told_when_its_time_is_over(silent: str) -> None:
    found = findings(silent, openai_timeout=0.3)["Upstream"]

    assert not found.is_good
    assert steps(found)[-1] == ("key and models", False)
