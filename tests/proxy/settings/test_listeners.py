"""Who is told of a change, who can refuse it, and in which order all that happens."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.listener import Listener
from proxy.errors.configuration import PortTaken
from proxy.settings.model import Settings
from proxy.settings.sources import read_file
from proxy.settings.store import SettingsStore

WriteFile = Callable[[str], Path]

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither file modes nor this limit")


def test_every_listener_is_told_the_old_and_the_new(path: Path) -> None:
    store = SettingsStore(path)
    first, second = Listener(), Listener()
    store.listen(first)
    store.listen(second)

    store.update(proxy_port=9001)
    store.update(proxy_port=9002)

    assert first.told == second.told == [(8000, 9001), (9001, 9002)]


def test_a_listener_finds_the_new_settings_in_force(path: Path) -> None:
    store = SettingsStore(path)
    seen: list[int] = []
    store.listen(lambda old, new: seen.append(store.current.proxy_port))

    store.update(proxy_port=9001)

    assert seen == [9001]


def test_a_listener_that_refuses_is_heard(path: Path) -> None:
    store = SettingsStore(path)
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken, match="taken by another program"):
        store.update(proxy_port=9001)


def test_a_refused_change_is_not_in_force(write: WriteFile) -> None:
    store = SettingsStore(write("proxy_port = 9000\n"))
    before = store.current
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken):
        store.update(proxy_port=9001, openai_timeout=5)

    assert store.current is before
    assert (store.origin("proxy_port"), store.origin("openai_timeout")) == ("settings file", "default")


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("proxy_port = 9000 # mine\nopenai_timeout = 5\n", {"proxy_port": 9001}),
        ("openai_timeout = 5\n", {"proxy_port": 9001}),
        ("openai_timeout = 5\n[openai_param_defaults]\ntemperature = 1\n", {"proxy_port": 9001}),
        ("# first\nproxy_port = 9000 # mine\n# last\nopenai_timeout = 5\n", {"proxy_port": None}),
        ("PROXY_PORT = 9000\n", {"proxy_port": 9001}),
        ("openai_param_drop = [\n  'top_p', # why\n]\n", {"openai_param_drop": ("temperature",)}),
    ],
)
def test_a_refused_change_leaves_the_file_as_it_was(write: WriteFile, text: str, changes: dict[str, Any]) -> None:
    path = write(text)
    store = SettingsStore(path)
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken):
        store.update(**changes)

    assert path.read_text() == text


def test_a_refused_first_change_leaves_no_file(path: Path) -> None:
    store = SettingsStore(path)
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert not path.exists()


def test_the_listeners_that_had_agreed_are_told_back_and_the_later_ones_nothing(path: Path) -> None:
    store = SettingsStore(path)
    order: list[str] = []
    first, second, refusing, later = Listener(), Listener(), Listener(refuses=True), Listener()
    for name, listener in (("first", first), ("second", second), ("refusing", refusing), ("later", later)):
        store.listen(lambda old, new, name=name: order.append(name))
        store.listen(listener)

    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert first.told == second.told == [(8000, 9001), (9001, 8000)]
    assert refusing.told == [(8000, 9001)]
    assert later.told == []
    assert order == ["first", "second", "refusing", "refusing", "second", "first"]


def test_listeners_told_back_find_the_old_settings_in_force(path: Path) -> None:
    store = SettingsStore(path)
    seen: list[int] = []
    store.listen(lambda old, new: seen.append(store.current.proxy_port))
    store.listen(Listener(refuses=True))

    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    assert seen == [9001, 8000]


def test_a_refused_change_can_be_tried_again(path: Path) -> None:
    store = SettingsStore(path)
    taken = {9001}

    def move(old: Settings, new: Settings) -> None:
        if new.proxy_port in taken:
            raise PortTaken

    store.listen(move)
    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)

    taken.clear()
    store.update(proxy_port=9001)

    assert store.current.proxy_port == 9001


def test_a_change_during_another_that_is_refused_stays(path: Path) -> None:
    store = SettingsStore(path)
    other = threading.Thread(target=store.update, kwargs={"openai_timeout": 7.0})

    def refuse(old: Settings, new: Settings) -> None:
        if new.proxy_port == 9001:
            other.start()
            other.join(0.1)  # long enough for a change that waits for nobody
            raise PortTaken

    store.listen(refuse)
    with pytest.raises(PortTaken):
        store.update(proxy_port=9001)
    other.join(10)

    assert (store.current.proxy_port, store.current.openai_timeout) == (8000, 7)
    assert read_file(path) == {"openai_timeout": 7.0}


def test_listeners_are_told_of_changes_in_the_order_they_were_made(path: Path) -> None:
    store = SettingsStore(path)
    listener = Listener()
    second = threading.Thread(target=store.update, kwargs={"proxy_port": 9002})

    def begin_another(old: Settings, new: Settings) -> None:
        if new.proxy_port == 9001:
            second.start()
            second.join(0.1)  # as above

    store.listen(begin_another)
    store.listen(listener)
    store.update(proxy_port=9001)
    second.join(10)

    assert listener.told == [(8000, 9001), (9001, 9002)]


def test_a_listener_may_make_a_change_of_its_own(path: Path) -> None:
    store = SettingsStore(path)
    store.listen(lambda old, new: new.openai_timeout == 7 or store.update(openai_timeout=7.0))
    store.update(proxy_port=9001)

    assert (store.current.proxy_port, store.current.openai_timeout) == (9001, 7)
