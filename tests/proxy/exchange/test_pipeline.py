"""A plain request goes past what has nothing to do for it, and past nothing that has."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.walk import Walk, record
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh, proxy_before
from proxy import lifespan, paths
from proxy.policy.refused_parameters import Repair
from proxy.upstream import learned
from proxy.upstream.learned import LearnedFacts
from waiting import wait_for

LIMITS = {"new head": (30, 34), "seen head": (24, 28)}  # files, room changes
END = ("usage/ledger.py", "ended")  # what follows is what the program does beside requests


def chat(proxy: RunningProxy, model: object = "m", **fields: Any) -> Any:
    return proxy.http.post("/v1/chat/completions", json={"model": model, "messages": [], **fields})


@pytest.fixture
def other() -> Iterator[Fresh]:
    with ScriptedUpstream() as provider:
        fresh = Fresh(provider)
        fresh.answer(Json(completion("of the other")))
        yield fresh


def test_a_plain_chat_walks_through_few_files_and_rooms() -> None:
    over: list[str] = []
    for _ in range(3):  # it may do so meanwhile too
        walks = [Walk(walk.steps[: walk.steps.index(END) + 1]) for walk in record()]
        over = [
            f"{name}: {len(walk.files)} files, {walk.room_changes} room changes, {dict(walk.files)}"
            for (name, (files, changes)), walk in zip(LIMITS.items(), walks, strict=True)
            if len(walk.files) > files or walk.room_changes > changes
        ]
        if not over:
            break

    assert over == []


def test_a_walk_counts_files_and_the_borders_between_rooms() -> None:
    walk = Walk([("server/a.py", "f"), ("server/b.py", "g"), ("http/c.py", "h"), ("server/a.py", "f")])

    assert (len(walk.files), walk.room_changes) == (3, 2)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("m", "m"),
        ("default/m", "m"),
        ("default/org/m", "org/m"),
        ("default/", "default/"),
        ("default", "default"),
        ("Default/m", "Default/m"),
        ("other/m", "other/m"),
        ("", ""),
        (5, 5),
        (None, None),
    ],
)
def test_the_only_upstream_gets_every_model_without_its_own_name(
    first: Fresh, proxy: RunningProxy, asked: object, sent: object
) -> None:
    assert chat(proxy, asked).status_code == 200
    assert first.request.json()["model"] == sent


def test_a_decision_that_was_ready_ends_with_its_settings(first: Fresh, other: Fresh, tmp_path: Path) -> None:
    def asked(proxy: RunningProxy, model: str) -> str:
        return str(chat(proxy, model).json()["choices"][0]["message"]["content"])

    row = {"name": "other", "base_url": other.base_url}
    with proxy_before(first.base_url, tmp_path) as proxy:
        store = proxy.services.store
        assert asked(proxy, "other/m") == "of the first"
        store.update(proxy_upstreams=[row])
        assert [asked(proxy, "other/m"), asked(proxy, "m")] == ["of the other", "of the first"]
        store.update(proxy_aliases={"fast": ["other/m"]})
        assert asked(proxy, "fast") == "of the other"
        store.update(proxy_aliases=None, proxy_upstream="other")
        assert [asked(proxy, "m"), asked(proxy, "default/m")] == ["of the other", "of the first"]
        store.update(proxy_upstream=None, proxy_upstreams=None)
        assert asked(proxy, "other/m") == "of the first"
    assert [request.json()["model"] for request in first.requests] == ["other/m", "m", "m", "other/m"]


def test_a_key_that_was_held_goes_to_its_own_upstream_alone(
    first: Fresh, other: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY_MOVED", "key-of-one-origin")
    rows = [{"name": "moved", "base_url": upstream.base_url} for upstream in (first, other)]
    with proxy_before(first.base_url, tmp_path) as proxy:
        proxy.services.store.update(proxy_upstreams=rows[:1], proxy_upstream="moved")
        chat(proxy)
        chat(proxy)
        monkeypatch.delenv("OPENAI_API_KEY_MOVED")
        proxy.services.store.update(proxy_upstreams=rows[1:])
        chat(proxy)
        chat(proxy)

    assert [request.header("Authorization") for request in first.requests] == ["Bearer key-of-one-origin"] * 2
    assert [request.header("Authorization") for request in other.requests] == [None, None]


def test_what_another_process_learns_meanwhile_is_heeded(
    first: Fresh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifespan, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(learned, "LOOK_EVERY_S", 0.01)
    with proxy_before(first.base_url, tmp_path) as proxy:
        assert chat(proxy, "o9", temperature=1).status_code == 200
        assert not proxy.services.learned.may_hold_repairs
        elsewhere = LearnedFacts(paths.learned_file())
        elsewhere.learn("default", "o9", Repair("temperature"))
        wait_for(lambda: proxy.services.learned.may_hold_repairs, "it is noticed")
        assert chat(proxy, "o9", temperature=1).status_code == 200
        paths.learned_file().unlink()
        wait_for(lambda: not proxy.services.learned.may_hold_repairs, "it is forgotten")
        assert chat(proxy, "o9", temperature=1).status_code == 200

    assert ["temperature" in request.json() for request in first.requests] == [True, False, True]
