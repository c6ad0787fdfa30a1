"""How programs of one user find each other, and who is not believed."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.published import LINK, AskedProgram
from proxy.errors.configuration import NoProxyRuns
from proxy.running import InstanceInfo, ask, found, fresh_link, publish, published, read

INFO = InstanceInfo(os.getpid(), "http://127.0.0.1:8000", "secret")

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the user's folders private another way")


@pytest.fixture
def program() -> Iterator[AskedProgram]:
    with AskedProgram("right") as running:
        yield running


def put(folder: Path, name: str, url: str, token: str = "right") -> Path:
    publish(folder / name, InstanceInfo(1, url, token))
    return folder / name


def test_what_is_published_is_read_until_the_end(tmp_path: Path) -> None:
    file = tmp_path / "run" / "serve-8000.json"
    with published(file, INFO):
        assert read(file) == INFO
        assert found(file.parent) == [INFO]

    assert read(file) is None
    assert found(file.parent) == []


@posix_only
def test_nobody_else_can_read_the_token(tmp_path: Path) -> None:
    file = put(tmp_path / "run", "serve-8000.json", INFO.url)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


@posix_only
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o606, 0o660])
def test_a_file_that_others_may_read_or_write_is_not_believed(tmp_path: Path, mode: int) -> None:
    file = put(tmp_path, "serve-8000.json", INFO.url)
    file.chmod(mode)

    assert read(file) is None


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="only root can give a file to another user")
def test_a_file_of_another_user_is_not_believed(tmp_path: Path) -> None:
    file = put(tmp_path, "serve-8000.json", INFO.url)
    os.chown(file, 65534, 65534)

    assert read(file) is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "not json",
        "[]",
        '{"pid": 1}',
        '{"pid": "1", "url": "http://127.0.0.1:8080", "token": "x"}',
        '{"pid": 1, "url": 5, "token": "x"}',
        '{"pid": 1, "url": "file:///etc/passwd", "token": "x"}',
        '{"pid": 1, "url": "http://127.0.0.1:8080", "token": null}',
        '{"pid": 1, "url": "http://127.0.0.1:8080", "token": "x", "more": 1}',
    ],
)
def test_a_damaged_file_counts_as_none(tmp_path: Path, content: str) -> None:
    file = put(tmp_path, "instance.json", INFO.url)
    file.write_text(content)

    assert read(file) is None


def test_the_token_does_not_reach_a_log() -> None:
    assert "secret" not in repr(INFO)


def test_asking_brings_a_link_and_does_not_tell_the_token(program: AskedProgram) -> None:
    assert ask(InstanceInfo(1, program.url, "right"), "link") == LINK
    assert ask(InstanceInfo(1, program.url, "right"), "activate") == LINK
    assert program.asked == ["/_tray/link", "/_tray/activate"]
    assert "right" not in program.told


def test_asking_goes_past_an_http_proxy(program: AskedProgram, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    assert ask(InstanceInfo(1, program.url, "right"), "link")


def test_who_took_the_port_of_one_that_was_killed_is_not_believed_and_learns_nothing(tmp_path: Path) -> None:
    with AskedProgram("a guess") as stranger:
        put(tmp_path, "serve-1.json", stranger.url, "the-token")

        with pytest.raises(NoProxyRuns):
            fresh_link(tmp_path, 8000)
        assert stranger.asked
        assert "the-token" not in stranger.told


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://127.0.0.1:99999", "http://"])
def test_one_that_cannot_be_reached_gives_no_link(url: str) -> None:
    assert ask(InstanceInfo(1, url, "right"), "link") is None


def test_of_several_the_one_at_the_usual_port_is_asked_first(tmp_path: Path) -> None:
    with AskedProgram("right") as one, AskedProgram("right") as other:
        put(tmp_path, "instance.json", one.url)
        put(tmp_path, "serve-2.json", other.url)

        assert fresh_link(tmp_path, other.server_port) == LINK
        assert (one.asked, other.asked) == ([], ["/_tray/link"])


def test_a_port_that_is_named_is_the_only_one_that_is_asked(tmp_path: Path, program: AskedProgram) -> None:
    put(tmp_path, "serve-1.json", program.url)

    with pytest.raises(NoProxyRuns, match="at port 9"):
        fresh_link(tmp_path, program.server_port, port=9)
    assert program.asked == []
    assert fresh_link(tmp_path, 9, port=program.server_port) == LINK


def test_one_that_was_killed_does_not_hide_the_others(tmp_path: Path, program: AskedProgram) -> None:
    put(tmp_path, "serve-1.json", "http://127.0.0.1:9")
    put(tmp_path, "serve-2.json", program.url)

    assert fresh_link(tmp_path, 9) == LINK
