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
from tray_app.controller import ProxyController


@contextmanager
def controller_on(port: int, **command_line: object) -> Iterator[ProxyController]:
    """Host a proxy whose settings file names a port."""
    keychain = MemoryKeychain()
    services = assemble({"openai_api_key": "sk-the-upstream-key", **command_line}, keychain=lambda: keychain)
    if "proxy_port" not in command_line:
        services.store.update(proxy_port=port)
    proxy = ProxyController(services, lambda: None)
    yield proxy
    proxy.close()


@pytest.fixture
def controller() -> Iterator[ProxyController]:
    with controller_on(free_port()) as proxy:
        yield proxy


def status(url: str) -> int:
    return httpx2.get(url, trust_env=False).status_code


def test_it_starts_stops_and_starts_again(controller: ProxyController) -> None:
    for _ in range(2):
        controller.start()
        controller.start()
        assert status(f"{controller.base_url}/health") == 200
        controller.stop()
        controller.stop()
        assert controller.base_url is None


def test_a_taken_port_is_a_problem_and_another_one_is_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with controller_on(port) as controller:
            controller.start()

            assert controller.base_url is None
            assert (controller.problem or "").startswith(f"Port {port} is taken by ")
            assert controller.other_port
            controller.services.store.update(proxy_port=controller.other_port)
            assert controller.base_url == f"http://127.0.0.1:{controller.services.store.current.proxy_port}/v1"
            assert (controller.problem, controller.other_port) == (None, None)


def test_a_port_that_another_proxy_of_the_user_has_is_told_as_such(controller: ProxyController) -> None:
    controller.start()
    port = controller.services.store.current.proxy_port
    file = paths.runtime_dir() / f"serve-{port}.json"
    with (
        published(file, InstanceInfo(1, controller.root_url(), controller.dashboard.token)),
        controller_on(port) as second,
    ):
        second.start()

        assert second.problem == f"A proxy of yours has port {port}"
        assert second.advice.startswith("`openai-tray-proxy page` prints a link")


def test_no_port_is_offered_where_it_is_fixed() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    with listener, controller_on(0, proxy_port=listener.getsockname()[1]) as controller:
        controller.start()

        assert controller.problem
        assert controller.other_port is None


def test_a_new_port_moves_the_server(controller: ProxyController) -> None:
    controller.start()
    port = free_port()

    controller.services.store.update(proxy_port=port)

    assert controller.base_url == f"http://127.0.0.1:{port}/v1"
    assert status(f"{controller.base_url}/health") == 200


def test_a_new_port_that_is_taken_too_is_refused_and_nothing_has_changed() -> None:
    one, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    with one, other, controller_on(one.getsockname()[1]) as controller:
        controller.start()
        problem = controller.problem

        with pytest.raises(SettingError, match="is taken by"):
            controller.services.store.update(proxy_port=other.getsockname()[1])

        assert controller.services.store.current.proxy_port == one.getsockname()[1]
        assert controller.problem == problem


def test_the_pages_open_whether_or_not_it_serves(controller: ProxyController) -> None:
    stopped = controller.link("doctor")
    assert status(stopped) == 303
    controller.start()

    assert status(controller.link()) == 303
    assert controller.root_url() == (controller.base_url or "").removesuffix("/v1")


def test_the_url_for_tools_is_told_whether_or_not_it_serves(controller: ProxyController) -> None:
    before = controller.tools_url
    controller.start()

    assert before == controller.tools_url == controller.base_url


def test_the_threads_of_the_observers_end_with_it() -> None:
    class Subscriber(Observer):
        def ended(self, flow: Flow) -> None: ...

    with controller_on(free_port()) as controller:
        controller.services.observers.subscribe(Subscriber())
        controller.start()
        status(f"{controller.base_url}/health")
        assert "observer-Subscriber" in thread_names()

    assert "observer-Subscriber" not in thread_names()


def thread_names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}
