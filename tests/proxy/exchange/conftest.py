"""A connection to the proxy, for what is looked at byte for byte; and a proxy before two upstreams."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, ScriptedUpstream, completion
from fakes.shared_upstream import Fresh, connect
from fakes.two_upstreams import OTHERS_KEY, Desk
from fakes.wire_client import WireClient


@pytest.fixture
def client(proxy: RunningProxy) -> Iterator[WireClient]:
    with connect(proxy) as connection:
        yield connection


@pytest.fixture(scope="module")
def other_provider() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as provider:
        yield provider


@pytest.fixture
def first(provider: ScriptedUpstream) -> Fresh:
    fresh = Fresh(provider)
    fresh.answer(Json(completion("of the first")))
    return fresh


@pytest.fixture
def other(other_provider: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> Fresh:
    monkeypatch.setenv("OPENAI_API_KEY_OTHER", OTHERS_KEY)
    fresh = Fresh(other_provider)
    fresh.answer(Json(completion("of the other")))
    return fresh


@pytest.fixture
def desk(first: Fresh, other: Fresh, tmp_path: Path) -> Desk:
    return Desk(first, other, tmp_path)
