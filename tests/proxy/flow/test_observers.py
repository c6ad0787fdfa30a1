"""Who is told of requests: everybody of everything, once, and nobody breaks or holds up a request."""

import threading
import time
from collections.abc import Callable

import pytest

from fakes.flows import Flows
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, Sse, completion, completion_chunks
from fakes.shared_upstream import Fresh, connect
from fakes.streaming import CHAT, stream
from fakes.wire_client import JSON_TYPE
from proxy.errors.proxy_error import ProxyError
from proxy.errors.request import BodyTooLarge
from proxy.errors.upstream import UpstreamTruncated
from proxy.flow import observers as module
from proxy.flow.flow import Flow, Outcome
from proxy.flow.observers import Observer, Observers
from proxy.http.headers import Headers
from waiting import wait_for


class Deaf(Observer):
    """An observer that overrides nothing."""


class Raising(Observer):
    """An observer that fails at everything."""

    def begun(self, flow: Flow) -> None:
        raise RuntimeError("an observer's bug")

    def answered(self, flow: Flow, headers: Headers) -> None:
        raise RuntimeError("an observer's bug")

    def chunk(self, flow: Flow, data: bytes) -> None:
        raise RuntimeError("an observer's bug")

    def ended(self, flow: Flow) -> None:
        raise RuntimeError("an observer's bug")


class Blocking(Observer):
    """An observer that waits until it is let go."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.heard = 0

    def begun(self, flow: Flow) -> None:
        self.let_go.wait(20)
        self.heard += 1

    def ended(self, flow: Flow) -> None:
        self.begun(flow)


class Noting(Observer):
    def __init__(self) -> None:
        self.events: list[str] = []
        self.flows: list[Flow] = []

    def begun(self, flow: Flow) -> None:
        self.events.append("begun")

    def chunk(self, flow: Flow, data: bytes) -> None:
        self.events.append(data.decode())

    def ended(self, flow: Flow) -> None:
        self.events.append("ended")
        self.flows.append(flow)


def flow() -> Flow:
    return Flow("POST", "/chat/completions")


def test_an_observer_hears_of_a_request_in_order(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo")))
    flows = Flows(proxy)
    stream(proxy)

    [done] = flows.finished()
    events = [event for event, _ in flows.heard]
    assert events[:2] == ["begun", "answered"]
    assert set(events[2:-1]) == {"chunk"}
    assert events[-1] == "ended"
    assert [each.outcome for event, each in flows.heard if event != "ended"] == [None] * (len(events) - 1)
    assert done.outcome is Outcome.WHOLE
    assert {each.id for _, each in flows.heard} == {done.id}


def test_a_flow_tells_who_asked_whom_for_what_and_how_long_it_took(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion()))
    flows = Flows(proxy)
    with connect(proxy) as client:
        client.ask("POST", CHAT, b'{"model": "m-1", "messages": []}', JSON_TYPE, "User-Agent: Zed/1.2 (linux)")

    [done] = flows.finished()
    assert (done.model_asked, done.model_sent, done.client) == ("m-1", "m-1", "Zed/1.2")
    assert (done.method, done.path, done.status, done.attempts) == ("POST", "/chat/completions", 200, 1)
    assert done.upstream == f"127.0.0.1:{upstream.port}"
    assert (done.usage and done.usage.input_tokens) == 5
    assert done.bytes_up == 32
    assert done.bytes_down > 100
    assert 0 < (done.first_byte_s or 0) <= (done.last_byte_s or 0) < 10
    assert abs(done.began_at - time.time()) < 60


def test_a_title_names_the_client_program_better_than_its_agent(proxy: RunningProxy, upstream: Fresh) -> None:
    upstream.answer(Json(completion()))
    flows = Flows(proxy)
    with connect(proxy) as client:
        client.ask("POST", CHAT, b'{"messages": []}', JSON_TYPE, "User-Agent: OpenAI/Python 3.5", "X-Title: Roo Code")

    assert [done.client for done in flows.finished()] == ["Roo Code"]


def test_the_model_that_a_rule_sends_stands_beside_the_one_asked_for(
    start: Callable[..., RunningProxy], upstream: Fresh
) -> None:
    upstream.answer(Json(completion()))
    proxy = start(upstream.base_url, openai_param_overrides={"model": "m-2"})
    flows = Flows(proxy)
    proxy.http.post(CHAT, json={"model": "m-1", "messages": []})

    [done] = flows.finished()
    assert (done.model_asked, done.model_sent, done.rules) == ("m-1", "m-2", ("model",))


@pytest.mark.parametrize("kind", [Raising, Blocking])
def test_an_observer_that_raises_or_blocks_holds_up_no_request_and_is_spoken_of_once(
    proxy: RunningProxy, upstream: Fresh, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: type
) -> None:
    monkeypatch.setattr(module, "MAX_QUEUED", 4)
    upstream.answer(Sse(completion_chunks("Hel", "lo")))
    observer = kind()
    stop = proxy.services.observers.subscribe(observer)
    began = time.monotonic()
    try:
        for _ in range(10):
            assert stream(proxy).status == 200
        assert time.monotonic() - began < 10
        wait_for(lambda: kind.__name__ in caplog.text, "a line about the observer")
    finally:
        if isinstance(observer, Blocking):
            observer.let_go.set()
        stop()

    assert caplog.text.count(f"the observer {kind.__name__}") == 1
    assert [thread for thread in threading.enumerate() if kind.__name__ in thread.name] == []


def test_one_of_the_house_that_raises_breaks_nothing_and_is_spoken_of_once(caplog: pytest.LogCaptureFixture) -> None:
    noting = Noting()
    observers = Observers(Raising(), noting)
    for _ in range(3):
        running = flow()
        observers.begin(running)
        observers.answer(running, Headers())
        observers.end(running)

    assert noting.events == ["begun", "ended"] * 3
    assert caplog.text.count("the observer Raising") == 1
    assert "an observer's bug" in caplog.text


def test_a_flow_ends_once() -> None:
    noting = Noting()
    observers = Observers(noting)
    running = flow()
    observers.begin(running)
    observers.end(running, UpstreamTruncated())
    ended = running.frozen()
    observers.end(running)
    observers.end(running, outcome=Outcome.CANCELLED)
    observers.refuse(flow(), BodyTooLarge())

    assert noting.events == ["begun", "ended", "begun", "ended"]
    assert (running.outcome, running.last_byte_s) == (Outcome.CUT, ended.last_byte_s)
    assert observers.running == 0


def test_an_observer_that_has_left_hears_nothing_more() -> None:
    observers, noting = Observers(), Noting()
    stop = observers.subscribe(noting)
    observers.refuse(flow(), BodyTooLarge())
    stop()
    observers.refuse(flow(), BodyTooLarge())

    assert noting.events == ["begun", "ended"]
    assert not observers.hears_chunks


def test_other_threads_are_given_copies_that_do_not_change() -> None:
    observers, noting = Observers(), Noting()
    stop = observers.subscribe(noting)
    running = flow()
    observers.refuse(running, BodyTooLarge())
    stop()
    running.status = 200

    [copy] = noting.flows
    assert (copy.status, copy.outcome, copy.id) == (413, Outcome.REFUSED_BY_PROXY, running.id)
    with pytest.raises(AttributeError):
        copy.status = 200


def test_nobody_who_does_not_listen_to_chunks_is_told_of_them() -> None:
    assert not Observers(Deaf()).hears_chunks
    assert Observers(Noting()).hears_chunks


class Content(Noting):
    """An observer that has heard nothing bad yet."""

    is_content = True

    def answered(self, flow: Flow, headers: Headers) -> None:
        self.events.append("answered")


@pytest.mark.parametrize("failure", [UpstreamTruncated(), BodyTooLarge(), None])
def test_an_observer_that_is_content_is_told_of_what_is_bad_alone(failure: ProxyError | None) -> None:
    noting = Content()
    observers = Observers(noting)
    good, bad = flow(), flow()
    good.status, bad.status = 200, 200 if failure else 500
    for each, failed in ((good, None), (bad, failure)):
        observers.begin(each)
        observers.answer(each, Headers())
        observers.end(each, failed)

    assert noting.flows == [bad]
    noting.is_content = False
    observers.answer(good, Headers())
    assert noting.events[-1] == "answered"
