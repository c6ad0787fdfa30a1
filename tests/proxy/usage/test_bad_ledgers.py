"""A ledger that is broken, held by others, of a newer version or without room: said once, and no request waits."""

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

import pytest

from fakes.full_disk import full_disk
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import Fresh
from proxy.usage import summaries
from proxy.usage.schema import MIGRATIONS, connect
from waiting import wait_for

CHAT = "/v1/chat/completions"
BODY = {"model": "my-model", "messages": [{"role": "user", "content": "Hi"}]}
REQUESTS = 5
WAITS_S = 4.0  # far below what a lock is waited for by the ledger's thread, five times
KEY = "the-key-of-the-editor"

Trouble = Callable[[Path], AbstractContextManager[object]]


def broken(file: Path) -> AbstractContextManager[None]:
    file.write_bytes(b"this is no database, but a text" * 100)
    return nullcontext()


def cut(file: Path) -> AbstractContextManager[None]:
    connect(file).close()
    file.write_bytes(file.read_bytes()[:5000])
    return nullcontext()


def newer(file: Path) -> AbstractContextManager[None]:
    with closing(connect(file)) as ledger:
        ledger.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    return nullcontext()


def folder(file: Path) -> AbstractContextManager[None]:
    file.mkdir()
    return nullcontext()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    connect(file).close()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def without_room(file: Path) -> Iterator[None]:
    connect(file).close()
    with full_disk():
        yield


TROUBLES = [broken, cut, newer, folder, locked]
if sys.platform != "win32":
    TROUBLES.append(without_room)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_requests_are_served_at_once_counted_in_memory_and_it_is_said_once(
    upstream: Fresh, tmp_path: Path, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "usage.sqlite3"
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
    upstream.answer(Json({**completion("Hello"), "usage": usage}))
    limits = {"*": {"day_tokens": 10 * REQUESTS}}
    settings = {"proxy_require_api_key": True, "proxy_api_keys": KEY, "proxy_key_limits": limits}
    proxy = RunningProxy(openai_base_url=upstream.base_url, openai_api_key="k", ledger_file=file, **settings)
    with trouble(file), proxy:
        headers = {"Authorization": f"Bearer {KEY}"}
        began = time.monotonic()
        statuses = [proxy.http.post(CHAT, json=BODY, headers=headers).status_code for _ in range(REQUESTS)]
        refused = proxy.http.post(CHAT, json=BODY, headers=headers)
        took_s = time.monotonic() - began
        spent = proxy.services.spending.today()
        proxy.services.ledger.stop()

    assert statuses == [200] * REQUESTS
    assert refused.status_code == 402
    assert took_s < WAITS_S
    assert spent.tokens == 10 * REQUESTS
    assert caplog.text.count("The usage ledger") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="limits of files are not made for Windows")
@pytest.mark.parametrize("trouble", [locked, without_room])
def test_what_was_counted_is_written_once_that_is_possible(upstream: Fresh, tmp_path: Path, trouble: Trouble) -> None:
    file = tmp_path / "usage.sqlite3"
    upstream.answer(Json(completion("Hello")))
    with RunningProxy(openai_base_url=upstream.base_url, openai_api_key="k", ledger_file=file) as proxy:
        with trouble(file):
            for _ in range(REQUESTS):
                proxy.http.post(CHAT, json=BODY)
            time.sleep(0.7)  # the writer has run into it
        wait_for(lambda: summaries.totals(file, 0, 1e12)["requests"] == REQUESTS, "every row")
        assert proxy.services.spending.today().requests == REQUESTS
