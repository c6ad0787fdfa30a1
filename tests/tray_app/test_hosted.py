"""The proxy as the tray hosts it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.ports import free_port
from proxy import paths
from proxy.errors.configuration import SettingError
from proxy.flow.flow import Flow
from proxy.flow.observers import Observer
from proxy.running import InstanceInfo, published
from proxy.services import assemble
from tray_app.hosted import HostedProxy


@contextmanager
def hosted_on(port: int, **command_line: object) -> Iterator[HostedProxy]:
    """Host a proxy whose settings file names a port."""
    keychain = MemoryKeychain()
    services = assemble({"openai_api_key": "sk-the-upstream-key", **command_line}, keychain=lambda: keychain)
    if "proxy_port" not in command_line:
        services.store.update(proxy_port=port)
    proxy = HostedProxy(services, lambda: None)
    yield proxy
    proxy.close()


@pytest.fixture
def hosted() -> Iterator[HostedProxy]:
    with hosted_on(free_port()) as proxy:
        yield proxy


def status(url: str) -> int:
    return httpx2.get(url, trust_env=False).status_code


def test_it_starts_stops_and_starts_again(hosted: HostedProxy) -> None:
    for _ in range(2):
        hosted.start()
        hosted.start()
        assert status(f"{hosted.base_url}/health") == 200
        hosted.stop()
        hosted.stop()
        assert hosted.base_url is None


def test_a_taken_port_is_a_problem_and_another_one_is_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with hosted_on(port) as hosted:
            hosted.start()

            assert hosted.base_url is None
            assert (hosted.problem or "").startswith(f"Port {port} is taken by ")
            assert hosted.other_port
            hosted.services.store.update(proxy_port=hosted.other_port)
            assert hosted.base_url == f"http://127.0.0.1:{hosted.services.store.current.proxy_port}/v1"
            assert (hosted.problem, hosted.other_port) == (None, None)


def test_a_port_that_another_proxy_of_the_user_has_is_told_as_such(hosted: HostedProxy) -> None:
    hosted.start()
    port = hosted.services.store.current.proxy_port
    file = paths.runtime_dir() / f"serve-{port}.json"
    with published(file, InstanceInfo(1, hosted.root_url(), hosted.dashboard.token)), hosted_on(port) as second:
        second.start()

        assert second.problem == f"A proxy of yours has port {port}"
        assert second.advice.startswith("`openai-tray-proxy page` prints a link")


def test_no_port_is_offered_where_it_is_fixed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, hosted_on(0, proxy_port=listener.getsockname()[1]) as hosted:
        hosted.start()

        assert hosted.problem
        assert hosted.other_port is None


def test_a_new_port_moves_the_server(hosted: HostedProxy) -> None:
    hosted.start()
    port = free_port()

    hosted.services.store.update(proxy_port=port)

    assert hosted.base_url == f"http://127.0.0.1:{port}/v1"
    assert status(f"{hosted.base_url}/health") == 200


def test_a_new_port_that_is_taken_too_is_refused_and_nothing_has_changed() -> None:
    one, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with one, other, hosted_on(one.getsockname()[1]) as hosted:
        hosted.start()
        problem = hosted.problem

        with pytest.raises(SettingError, match="is taken by"):
            hosted.services.store.update(proxy_port=other.getsockname()[1])

        assert hosted.services.store.current.proxy_port == one.getsockname()[1]
        assert hosted.problem == problem


def test_the_pages_open_whether_or_not_it_serves(hosted: HostedProxy) -> None:
    stopped = hosted.entrance("doctor")
    assert status(stopped) == 303
    hosted.start()

    assert status(hosted.entrance()) == 303
    assert hosted.root_url() == (hosted.base_url or "").removesuffix("/v1")


def test_the_url_for_tools_is_told_whether_or_not_it_serves(hosted: HostedProxy) -> None:
    before = hosted.tools_url
    hosted.start()

    assert before == hosted.tools_url == hosted.base_url


def test_the_threads_of_the_observers_end_with_it() -> None:
    class Subscriber(Observer):
        def ended(self, flow: Flow) -> None: ...

    with hosted_on(free_port()) as hosted:
        hosted.services.observers.subscribe(Subscriber())
        hosted.start()
        status(f"{hosted.base_url}/health")
        assert "observer-Subscriber" in thread_names()

    assert "observer-Subscriber" not in thread_names()


def thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}
