import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tray_app.errors import NothingOpened
from tray_app.opener import open_path, open_url
from waiting import wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the programs here are those of Linux desktops")

PAGE = "http://127.0.0.1:8080/dashboard?a=1&b=2#c"

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return a function that installs a program and gives the file it notes its arguments in; there are no others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def install_program(name: str, then: str = "exit 0") -> Path:
        notes = tmp_path / f"{name}.notes"
        program = folder / name
        program.write_text(f'#!/bin/sh\nfor word in "$@"; do echo "$word" >> "{notes}"; done\n{then}\n')
        program.chmod(0o755)
        return notes

    return install_program


def test_a_page_is_shown_by_xdg_open(install):
    notes = install("xdg-open")

    open_url(PAGE)

    assert notes.read_text().split() == [PAGE]


def test_the_next_program_is_asked_when_one_fails(install):
    install("xdg-open", "exit 3")
    notes = install("gio")

    open_url(PAGE)

    assert notes.read_text().split() == ["open", PAGE]


@pytest.mark.parametrize(
    ("browser", "words"),
    [
        ("surf", [PAGE]),
        ("surf --new", ["--new", PAGE]),
        ("surf '--at %s'", [f"--at {PAGE}"]),
        ("missing:surf", [PAGE]),
        ("broken 'quote:surf", [PAGE]),
    ],
)
def test_the_browser_the_user_chose_comes_first(install, monkeypatch, browser, words):
    install("xdg-open")
    notes = install("surf")
    monkeypatch.setenv("BROWSER", browser)

    open_url(PAGE)

    assert notes.read_text().splitlines() == words


def test_a_browser_that_stays_in_the_foreground_does_not_hold_us_up(install):
    notes = install("xdg-open", "exec /bin/sleep 2")
    began = time.monotonic()

    open_url(PAGE)

    assert time.monotonic() - began < 1.5
    wait_for(notes.exists, "the browser's start")


def test_a_file_is_shown_even_where_its_name_looks_like_something_else(install, tmp_path, monkeypatch):
    notes = install("xdg-open")
    (tmp_path / "-rf $HOME;").write_text("")
    monkeypatch.chdir(tmp_path)

    open_path(Path("-rf $HOME;"))

    assert notes.read_text().splitlines() == [str(tmp_path / "-rf $HOME;")]


def test_a_folder_is_shown(install, tmp_path):
    notes = install("gio")

    open_path(tmp_path)

    assert notes.read_text().splitlines() == ["open", str(tmp_path)]


def test_the_chosen_browser_is_not_asked_to_show_a_file(install, monkeypatch, tmp_path):
    notes = install("xdg-open")
    install("surf")
    monkeypatch.setenv("BROWSER", "surf")

    open_path(tmp_path)

    assert notes.exists()


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(NothingOpened, match=r"missing\.log does not exist\. Open it by hand\."):
        open_path(tmp_path / "missing.log")


@pytest.mark.usefixtures("install")
def test_a_system_without_any_opener_is_a_sentence():
    with pytest.raises(NothingOpened, match="could not be opened: neither xdg-open nor gio is installed"):
        open_url(PAGE)


def test_the_programs_that_failed_are_named(install):
    install("xdg-open", "exit 3")
    install("gio", "exit 1")

    with pytest.raises(NothingOpened, match="xdg-open, gio failed"):
        open_url(PAGE)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:alert(1)", "-h", "", "C:\\calc.exe"])
def test_what_is_no_web_page_is_not_opened_as_one(install, url):
    notes = install("xdg-open")

    with pytest.raises(NothingOpened, match="is not http or https"):
        open_url(url)

    assert not notes.exists()
