"""The first use from end to end: a double-click, key and tool on the page, a chat, the next login, and gone again.

With PICTURES set to a folder, what the user sees is kept there.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx2
import pytest

from desktop.test_file_manager import LAUNCHER, double_click, opened
from desktop.test_launchers import Installed, installed
from fakes.environment import ROOT
from fakes.scripted.samples import completion_chunks
from fakes.scripted_upstream import Json, Sse
from fakes.shared_upstream import Fresh
from fakes.watched_browser import Watched
from proxy.clients.yaml import Yaml
from waiting import wait_for

__all__ = ["installed"]  # a fixture

PROJECT = "openai-tray-proxy-main"
CN = ROOT / "tests" / "clients" / "programs" / "node_modules" / ".bin" / "cn"  # see .ci/programs
KEY = "a-key-of-the-first-use-1234"
MODELS = Json({"object": "list", "data": [{"id": "model-one", "object": "model", "created": 1, "owned_by": "x"}]})
FROM_CLICK_TO_CHAT_S = 120


class Album:
    """The pictures of one use, in their order."""

    def __init__(self, installed: Installed, browser: Watched) -> None:
        self._screen, self._browser, self._count = installed.tray.desktop.screen, browser, 0
        self._folder = Path(os.environ["PICTURES"]) if os.environ.get("PICTURES") else None

    def screen(self, name: str) -> None:
        """Keep what is on the screen."""
        if file := self._next(name):
            self._screen.image().save(file)

    def page(self, name: str) -> None:
        """Keep what is in the browser."""
        if file := self._next(name):
            file.write_bytes(self._browser.picture())

    def _next(self, name: str) -> Path | None:
        self._count += 1
        if self._folder is None:
            return None
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{self._count}-{name}.png"


def project(installed: Installed) -> Path:
    """Make a folder of the project whose packages are installed already."""
    folder = installed.home / PROJECT
    folder.mkdir()
    shutil.copy(ROOT / LAUNCHER, folder)
    script = folder / "start.sh"
    script.write_text(f'#!/bin/sh\nexec "{installed.python}" -I -m tray_app "$@"\n')
    script.chmod(0o755)
    return folder


def set_up(browser: Watched, album: Album, link: str, upstream: Fresh) -> None:
    """Do on the page what it asks for: choose a provider, give a key, send a test request."""
    browser.open(link)
    browser.until("document.querySelector('.steps') !== null")
    album.page("the page asks for provider and key")
    browser.click("input[name=provider][value=other]")
    browser.type("#first-url", upstream.base_url)
    browser.type("#first-key", KEY)
    browser.click(".chooser button")
    browser.until("document.querySelector('.steps .success')?.innerText.includes('accepts the key')")
    browser.until(f"document.querySelector('#provider')?.innerText.includes({upstream.base_url!r})")
    assert "not set" not in browser.run("document.querySelector('#provider').innerText")
    browser.until("document.querySelector('#test-model')?.value === 'model-one'")
    upstream.answer(Sse(completion_chunks("Hello", " there")))
    browser.click(".test button")
    browser.until("document.querySelector('.answer-box')?.innerText.includes('Hello there')")
    album.page("a test request is answered")


def connect_continue(browser: Watched, album: Album) -> None:
    """Have the page write the lines of Continue."""
    browser.click("a.button[href$='/connect']")
    browser.until("document.querySelector('#continue button') !== null")
    browser.run("document.querySelector('#continue details').open = true")
    browser.run("document.querySelector('#continue').scrollIntoView()")
    album.page("Continue is connected by a click")
    browser.click("#continue button")
    browser.until("document.querySelector('#continue .badge') !== null")


def chat_of(installed: Installed) -> str:
    """Ask by Continue's own program, and where that is not installed as it does, from its settings."""
    if CN.exists():
        command, work = [CN, "-p", "Hello"], installed.home / "work"
        work.mkdir()
        quiet = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
        return subprocess.run(
            command, env=installed.env, cwd=work, stdout=subprocess.PIPE, text=True, check=False, timeout=100, **quiet
        ).stdout
    [model] = Yaml().parse((installed.home / ".continue" / "config.yaml").read_text())["models"]
    body = {"model": model["model"], "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    headers = {"Authorization": f"Bearer {model['apiKey']}", "User-Agent": "Continue/1.2"}
    return httpx2.post(f"{model['apiBase']}/chat/completions", json=body, headers=headers, trust_env=False).text


def traces(home: Path) -> list[Path]:
    """Return what bears the program's name in a home, but for the folder that was unpacked there."""
    return [path for path in home.rglob("*") if "openai-tray-proxy" in path.name and path.name != PROJECT]


@pytest.mark.timeout(180)
def test_a_newcomer_gets_from_a_double_click_to_a_chat_and_leaves_without_a_trace(
    installed: Installed, watched_browser: Watched, upstream: Fresh
) -> None:
    browser, desktop = watched_browser, installed.tray.desktop
    browser.forget()
    album = Album(installed, browser)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        installed.env.pop(name, None)
    upstream.answer(MODELS)
    began = time.monotonic()
    with opened(desktop, project(installed), **installed.env):
        pid = double_click(desktop, installed.pid, "program")
        item = desktop.find_item(pid)
        album.screen("after the double-click")
    set_up(browser, album, installed.tray.opened(), upstream)
    connect_continue(browser, album)
    upstream.answer(Sse(completion_chunks("Hello", " from the proxy")))
    assert " from the proxy" in chat_of(installed)
    assert time.monotonic() - began < FROM_CLICK_TO_CHAT_S
    browser.until("document.querySelector('#continue .seen') !== null")
    album.page("the page has seen Continue's request")

    desktop.click(item, "autostart")
    entry = wait_for(lambda: next(iter(installed.home.rglob("autostart/*.desktop")), None), "start at login")
    installed.end()  # the session ends
    installed.click(entry)
    again = wait_for(lambda: installed.pid() not in (None, pid) and installed.pid(), "the program after the next login")
    item = desktop.find_item(again)
    wait_for(lambda: desktop.read_menu(item).find("status").label.startswith("Running on"), "a key that is there still")
    wait_for(desktop.screen.middle_of_the_icon, "the icon's picture")
    album.screen("after the next login")

    said = installed.run("uninstall", "--yes")
    assert "Everything is removed." in said
    wait_for(lambda: installed.processes() == [], "the end of the program")
    assert traces(installed.home) == []
    assert not (installed.home / ".continue" / "config.yaml").exists()
    stored = ["secret-tool", "search", "--all", "service", "openai-tray-proxy"]
    found = subprocess.run(stored, env=desktop.env, capture_output=True, text=True, check=False, timeout=20)
    assert KEY not in found.stdout
