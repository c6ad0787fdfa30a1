"""The table changes while requests run: by hand, by another process, and to another server under the same name."""

import threading

from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import UPSTREAM_KEY
from fakes.two_upstreams import OTHERS_KEY, Desk, chat
from proxy.settings.file_text import FileState
from proxy.settings.store import SettingsStore


def edit(store: SettingsStore, text: str) -> None:
    """Write the settings file by hand, and have it read."""
    store.path.write_text(text)
    assert store.reload(FileState.of(store.path))


def table(url: str, name: str = "other") -> str:
    return f'[[proxy_upstreams]]\nname = "{name}"\nbase_url = "{url}"\nauth = "x-api-key"\n'


def test_edits_by_hand_while_requests_run_lose_none_and_mix_no_keys(desk: Desk) -> None:
    answers: list[int] = []
    with desk.run(proxy_upstreams=None, openai_timeout=10.0) as proxy:
        store = proxy.services.store
        edit(store, table(desk.other.base_url))
        is_over = threading.Event()

        def ask() -> None:
            while not is_over.is_set():
                answers.append(chat(proxy, "other/m").status_code)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for number in range(25):
            edit(store, f"proxy_aliases = {{a{number} = 'other/x'}}\n" + table(desk.other.base_url))
        is_over.set()
        for thread in threads:
            thread.join(20)
    assert set(answers) == {200}
    assert {request.header("x-api-key") for request in desk.other.requests} == {OTHERS_KEY}
    assert UPSTREAM_KEY not in str([request.headers for request in desk.other.requests])


def test_another_server_under_the_same_name_is_not_shown_the_key(desk: Desk) -> None:
    with desk.run(proxy_upstreams=None) as proxy:
        store = proxy.services.store
        edit(store, table(desk.other.base_url))
        assert chat(proxy, "other/m").status_code == 200
        edit(store, table(desk.first.base_url))
        desk.first.answer(Json(completion("of the first")))
        chat(proxy, "other/m")
        assert OTHERS_KEY not in str([request.headers for request in desk.first.requests])
        edit(store, table(desk.other.base_url))
        assert chat(proxy, "other/m").status_code == 200


def test_a_name_that_is_gone_sends_nothing_to_its_server(desk: Desk) -> None:
    with desk.run(proxy_upstreams=None) as proxy:
        store = proxy.services.store
        edit(store, table(desk.other.base_url))
        edit(store, table(desk.other.base_url, "third"))
        chat(proxy, "other/m")
        assert desk.other.requests == []
        assert desk.first.request.json()["model"] == "other/m"
