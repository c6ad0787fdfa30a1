"""Where the program has no pages, nobody could see what is held of requests: nothing is."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.asking import BODY, CHAT, FILES, MODELS
from fakes.dashboard import Hosted
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Answer, Json, ScriptedUpstream, Sse, completion, completion_chunks
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, connect, proxy_before
from fakes.wire_client import JSON_TYPE
from proxy.capture.record import Record
from proxy.hosting import server_for
from waiting import wait_for


@pytest.fixture(scope="module")
def pageless(provider: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningProxy]:
    with proxy_before(provider.base_url, tmp_path_factory.mktemp("settings")) as running:
        yield running


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("path", [CHAT, FILES, MODELS])
@pytest.mark.parametrize(
    "answer", [Json(completion("Hello")), Sse(completion_chunks("Hello"))], ids=["whole", "stream"]
)
def test_nothing_is_held_without_pages(
    pageless: RunningProxy, upstream: Fresh, method: str, path: str, answer: Answer
) -> None:
    upstream.answer(answer)
    with connect(pageless) as client:
        client.ask(method, path, BODY if method == "POST" else None, JSON_TYPE)
    wait_for(lambda: pageless.services.observers.running == 0, "the request's end")

    assert pageless.services.capture.all() == []
    assert pageless.services.capture.held_bytes == 0
    assert not pageless.services.observers.hears_chunks


@pytest.mark.parametrize("is_on", [True, False])
def test_a_change_of_the_setting_holds_nothing_either(tmp_path: Path, upstream: Fresh, is_on: bool) -> None:
    upstream.answer(Json(completion("Hello")))
    with proxy_before(upstream.base_url, tmp_path) as pageless:
        pageless.services.store.update(proxy_capture=not is_on)
        pageless.services.store.update(proxy_capture=is_on)
        with connect(pageless) as client:
            assert client.post(CHAT, BODY).status == 200

        assert pageless.services.capture.all() == []
        assert not pageless.services.observers.hears_chunks


def test_a_second_server_of_the_same_program_holds_each_request_once(upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    with Hosted(openai_base_url=upstream.base_url, openai_api_key=UPSTREAM_KEY) as hosted:
        server_for(hosted.services, hosted.dashboard)  # as a stopped one is started anew
        assert hosted.http.post(CHAT, content=BODY, headers={"Content-Type": "application/json"}).status_code == 200
        [record] = hosted.services.capture.all()

        assert record.is_captured
        assert hosted.services.capture.held_bytes > 0


def test_a_request_that_is_over_and_forgotten_waits_for_no_garbage_collector(upstream: Fresh) -> None:
    upstream.answer(Json(completion("Hello")))
    with Hosted(openai_base_url=upstream.base_url, openai_api_key=UPSTREAM_KEY, proxy_capture_requests=1) as hosted:
        gc.collect()
        gc.disable()
        try:
            for _ in range(5):
                hosted.http.post(CHAT, content=BODY, headers={"Content-Type": "application/json"})
            wait_for(lambda: hosted.services.observers.running == 0, "the last one's end")
            held = [each for each in gc.get_objects() if type(each) is Record]
        finally:
            gc.enable()
        assert len(held) <= 2  # one may be on its way out
