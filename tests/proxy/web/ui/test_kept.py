"""Requests on the disk: only where the settings say so, without keys, for their owner alone, and not for ever."""

import gzip
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.scripted_upstream import Json, completion
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from proxy.capture.disk import ENDING, Kept, Room
from proxy.capture.record import Record
from proxy.flow.flow import Flow
from proxy.usage import summaries
from waiting import wait_for

CHAT = "/v1/chat/completions"
SAID = "What nobody else may read"
BODY = {"model": "m", "messages": [{"role": "user", "content": f"{SAID}. My key is {UPSTREAM_KEY}"}]}
Start = Callable[..., tuple[Hosted, httpx2.Client]]


@pytest.fixture
def begin(upstream: Fresh, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a proxy with pages, and a browser on them; each shares the files of the first."""
    upstream.answer(Json(completion("Hello")))
    with ExitStack() as stack:

        def start(**settings: Any) -> tuple[Hosted, httpx2.Client]:
            hosted = stack.enter_context(
                Hosted(
                    openai_base_url=upstream.base_url,
                    openai_api_key=UPSTREAM_KEY,
                    ledger_file=tmp_path / "usage.sqlite3",
                    **settings,
                )
            )
            page = stack.enter_context(hosted.enter())
            page.headers["X-Form-Token"] = form_token(page.get("/").text)
            return hosted, page

        yield start


def files_of(hosted: Hosted) -> list[Path]:
    folder = hosted.services.kept.folder
    return sorted(folder.glob(f"*{ENDING}")) if folder.exists() else []


def ask(hosted: Hosted, count: int = 1) -> None:
    for _ in range(count):
        hosted.http.post(CHAT, json=BODY)


def test_nothing_is_kept_unless_the_settings_say_so(begin: Start) -> None:
    hosted, page = begin()
    ask(hosted)
    wait_for(lambda: summaries.latest(hosted.services.ledger.file, 1), "the row")
    assert files_of(hosted) == []
    assert page.get("/api/capture").json()["disk"]["days"] == 0


def test_what_was_kept_is_shown_after_a_restart_without_keys_and_deleted_by_a_click(begin: Start) -> None:
    hosted, _ = begin(proxy_capture_days=7)
    ask(hosted)
    [file] = wait_for(lambda: files_of(hosted), "the file")
    wait_for(lambda: summaries.latest(hosted.services.ledger.file, 1), "the row")
    hosted.server.stop()
    if sys.platform != "win32":
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    again, page = begin(proxy_capture_days=7)
    [row] = page.get("/api/requests").json()["requests"]
    assert (row["is_captured"], row["is_on_disk"]) == (False, True)
    told = page.get(f"/api/requests/{row['id']}")
    saved = page.get(f"/api/requests/{row['id']}.json")
    assert SAID in told.json()["conversation"]["messages"][0]["parts"][0]["text"]
    assert UPSTREAM_KEY not in told.text + saved.text + json.dumps(again.services.kept.find(row["id"]))
    assert "attachment" in saved.headers["content-disposition"]
    assert page.post("/api/capture/delete").json()["deleted"] == 1
    assert files_of(again) == []
    assert page.get(f"/api/requests/{row['id']}").json()["conversation"] is None


def test_a_pause_keeps_nothing_on_the_disk_either(begin: Start) -> None:
    hosted, page = begin(proxy_capture_days=7)
    page.post("/api/capture/pause", json={"paused": True})
    ask(hosted)
    page.post("/api/capture/pause", json={"paused": False})
    ask(hosted)
    wait_for(lambda: files_of(hosted), "the second one")
    hosted.server.stop()
    assert len(files_of(hosted)) == 1


@pytest.mark.parametrize("headers", [{"X-Form-Token": ""}, {"X-Form-Token": "0" * 32}, {"Origin": "https://a.example"}])
def test_only_the_page_may_delete(begin: Start, headers: dict[str, str]) -> None:
    hosted, page = begin(proxy_capture_days=7)
    ask(hosted)
    wait_for(lambda: files_of(hosted), "the file")
    assert page.post("/api/capture/delete", headers=headers).status_code == 403
    assert len(files_of(hosted)) == 1


class Slow:
    """Details that come once they may: a request is being written as long as they do not."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, record: Record) -> dict[str, str]:
        self.has_begun.set()
        assert self.may_end.wait(30)
        return {"said": SAID, "id": record.flow.id}


@pytest.mark.parametrize("waiting", [0, 1, 50])
def test_what_is_being_written_while_all_is_deleted_is_kept_no_more_and_what_ends_later_is(
    tmp_path: Path, waiting: int
) -> None:
    slow = Slow()
    kept = Kept(tmp_path / "requests", lambda: Room(7, 10**6), slow, lambda text: text)
    for _ in range(1 + waiting):
        kept.keep(Record(Flow("POST", "/chat/completions"), lambda _: None))
    assert slow.has_begun.wait(30)

    kept.delete_all()
    later = Record(Flow("POST", "/chat/completions"), lambda _: None)
    kept.keep(later)
    slow.may_end.set()
    kept.stop()

    assert kept.ids() == {later.flow.id}
    assert kept.files == 1


@pytest.mark.skipif(sys.platform == "win32", reason="files in a folder without write permission can be deleted there")
def test_one_that_cannot_be_deleted_leaves_no_other_behind(tmp_path: Path) -> None:
    folder = tmp_path / "requests"
    fill(folder, a=0, c=0)
    (folder / f"b{ENDING}").mkdir()
    kept = kept_at(folder)
    with pytest.raises(OSError, match=r"b\.json\.gz"):
        kept.delete_all()
    assert kept.ids() == {"b"}


# --- what is old, too much, hostile or cannot be written ------------------------------------------------------------


def kept_at(folder: Path, days: int = 7, max_bytes: int = 10**6) -> Kept:
    return Kept(folder, lambda: Room(days, max_bytes), lambda _: {}, lambda text: text)


def fill(folder: Path, **days_ago: float) -> None:
    folder.mkdir(exist_ok=True)
    for name, days in days_ago.items():
        file = folder / f"{name}{ENDING}"
        file.write_bytes(b"x" * 1000)
        os.utime(file, (time.time() - days * 86_400,) * 2)


@pytest.mark.parametrize(
    ("days", "max_bytes", "left"),
    [(7, 10**6, {"a", "b", "c"}), (3, 10**6, {"a", "b"}), (7, 2500, {"a", "b"}), (7, 10, set()), (0, 10**6, set())],
)
def test_what_is_too_old_or_too_much_is_deleted_the_oldest_first(
    tmp_path: Path, days: int, max_bytes: int, left: set[str]
) -> None:
    folder = tmp_path / "requests"
    fill(folder, a=0, b=1, c=5)
    kept = kept_at(folder, days, max_bytes)
    kept.begin()
    kept.stop()
    assert kept.ids() == left
    assert (kept.files, kept.size_bytes) == (len(left), 1000 * len(left))
    assert folder.exists() == bool(days)


@pytest.mark.parametrize("name", ["../secret", "..", "a/b", "secret.json.gz", "", "a" * 200, "a\0b", "C:secret"])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    fill(tmp_path, secret=0)
    fill(tmp_path / "requests", a=0)
    assert kept_at(tmp_path / "requests").find(name) is None


DAMAGED = [
    gzip.compress(b"{}")[:10] + b"\xff" * 20,  # what stands behind the head is no deflate
    gzip.compress(b"[" * 100_000),
    gzip.compress(b"\xff\xfe"),
]


@pytest.mark.parametrize("held", [b"", b"no gzip", b"\x1f\x8b\x08\x00 cut", b"x" * 10_000, *DAMAGED])
def test_a_broken_file_is_as_none(tmp_path: Path, held: bytes) -> None:
    (tmp_path / f"a{ENDING}").write_bytes(held)
    assert kept_at(tmp_path).find("a") is None


def test_a_folder_that_cannot_be_written_is_said_once_and_no_request_fails(
    begin: Start, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "usage.kept").write_text("a file where the folder should be")
    hosted, _ = begin(proxy_capture_days=7)
    assert [hosted.http.post(CHAT, json=BODY).status_code for _ in range(3)] == [200] * 3
    wait_for(lambda: "cannot be kept" in caplog.text, "a word in the log")
    hosted.server.stop()
    assert caplog.text.count("cannot be kept") == 1
