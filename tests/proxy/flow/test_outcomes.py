"""However a request ends, it is announced once, with its outcome."""

from collections.abc import Callable

import pytest

from fakes.flows import Flows
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    Fin,
    Html,
    Json,
    Recorded,
    Redirect,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import Fresh, connect
from fakes.streaming import CHAT, stream
from proxy.flow.flow import Flow, Outcome

PLAIN = b'{"model": "m", "messages": []}'


class RefusesStreamOptions(Answer):
    """An upstream that does not know how to count the tokens of a stream."""

    def script(self, request: Recorded) -> object:
        if "stream_options" in request.json():
            return Json({"error": {"message": "stream_options is unknown", "type": "x"}}, 400).script(request)
        return Sse(completion_chunks("Hello")).script(request)


def ended_of(proxy: RunningProxy, ask: Callable[[], object]) -> Flow:
    """Return the flow of a request; there must be one, begun and ended once."""
    flows = Flows(proxy)
    ask()
    [flow] = flows.finished()
    assert [event for event, _ in flows.heard if event == "begun"] == ["begun"]
    return flow


PLAIN_ANSWERS: dict[str, tuple[Answer, Outcome, int]] = {
    "whole": (Json(completion()), Outcome.WHOLE, 200),
    "refused by the upstream": (Json({"error": {"message": "no", "type": "x"}}, 400), Outcome.REFUSED_BY_UPSTREAM, 400),
    "a page": (Html(), Outcome.INVALID, 502),
    "a redirect": (Redirect("http://127.0.0.1:1/"), Outcome.INVALID, 502),
    "an error as a success": (Json({"error": {"message": "no", "code": 429}}), Outcome.REFUSED_BY_UPSTREAM, 429),
}


@pytest.mark.parametrize(("answer", "outcome", "status"), PLAIN_ANSWERS.values(), ids=PLAIN_ANSWERS)
def test_a_plain_answer(proxy: RunningProxy, upstream: Fresh, answer: Answer, outcome: Outcome, status: int) -> None:
    upstream.answer(answer)

    flow = ended_of(proxy, lambda: proxy.http.post(CHAT, content=PLAIN, headers={"content-type": "application/json"}))

    assert (flow.outcome, flow.status) == (outcome, status)


STREAMS: dict[str, tuple[Answer, Outcome]] = {
    "whole": (Sse(completion_chunks("Hello")), Outcome.WHOLE),
    "cut": (Sse(completion_chunks("Hello")[:2], done=False, end=Fin()), Outcome.CUT),
    "told whole": (Json(completion()), Outcome.REPAIRED),
    "asked again without the option": (RefusesStreamOptions(), Outcome.REPAIRED),
}


@pytest.mark.parametrize(("answer", "outcome"), STREAMS.values(), ids=STREAMS)
def test_a_stream(start: Callable[..., RunningProxy], upstream: Fresh, answer: Answer, outcome: Outcome) -> None:
    upstream.answer(answer)
    proxy = start(upstream.base_url)

    flow = ended_of(proxy, lambda: stream(proxy))

    assert (flow.outcome, flow.status) == (outcome, 200)
    assert bool(flow.repairs) == (outcome is Outcome.REPAIRED)


def test_an_upstream_that_is_not_there(start: Callable[..., RunningProxy]) -> None:
    lonely = start("http://127.0.0.1:1/v1")

    assert ended_of(lonely, lambda: lonely.http.get("/v1/models")).outcome is Outcome.UNREACHABLE


REFUSED: dict[str, tuple[bytes, int]] = {
    "a foreign page": (b"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\n\r\n", 403),
    "a foreign host": (b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n", 403),
    "no address of ours": (b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 404),
    "no HTTP": (b"GET /v1/models HTTP/1.1\r\nno header\r\n\r\n", 400),
    "a network proxy": (b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com\r\n\r\n", 405),
    "an odd transfer encoding": (
        b"POST /v1/files HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
    "no JSON": (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n[}",
        400,
    ),
}


@pytest.mark.parametrize(("wire", "status"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_before_it_is_asked(proxy: RunningProxy, wire: bytes, status: int) -> None:
    def ask() -> None:
        with connect(proxy) as client:
            client.send(wire.replace(b"127.0.0.1", client.host.encode()))
            assert client.read_reply().status == status

    flow = ended_of(proxy, ask)

    assert (flow.outcome, flow.status) == (Outcome.REFUSED_BY_PROXY, status)
