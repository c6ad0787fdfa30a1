"""The pages that a script draws, in a real browser: live requests, one in full, usage, settings, log."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.browser import Browser
from fakes.dashboard import Hosted
from fakes.environment import clean_environment
from fakes.shared_upstream import Fresh

LIMIT_S = 10.0
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>\u202e\x1b[31m\x00"


class Watched(Browser):
    """A browser that takes note of what its page complains of, and of what it asks of whom."""

    def __init__(self, profile: Path) -> None:
        super().__init__(profile)
        self.troubles: list[Any] = []
        self.asked: list[str] = []

    def __enter__(self) -> "Watched":
        super().__enter__()
        for domain in ("Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        return self

    def heard(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled" and told["type"] == "error"):
            self.troubles.append(told)
        if method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.troubles.append(told["entry"])
        if method == "Network.requestWillBeSent":
            self.asked.append(told["request"]["url"])

    def until(self, script: str) -> Any:
        """Return what a script finds once it finds something."""
        ends = time.monotonic() + LIMIT_S
        while not (found := self.run(script)):
            assert time.monotonic() < ends, f"{script}\n{self.text}\n{self.troubles}"
            time.sleep(0.02)
        return found

    def click(self, selector: str) -> None:
        self.until(f"(at => at && (at.click(), true))(document.querySelector({json.dumps(selector)}))")

    def type(self, selector: str, text: str) -> None:
        place, words = json.dumps(selector), json.dumps(text)
        self.until(
            f"(at => at && (at.value = {words}, at.dispatchEvent(new Event('input')), true))"
            f"(document.querySelector({place}))"
        )


@pytest.fixture
def hosted(tmp_path: Path, upstream: Fresh) -> Iterator[Hosted]:
    with clean_environment():
        program = Hosted(settings_file=tmp_path / "settings.toml", openai_base_url=upstream.base_url)
    with program:
        program.services.secrets.keep("key-of-the-pages")
        yield program


@pytest.fixture
def browser(tmp_path: Path, hosted: Hosted) -> Iterator[Watched]:
    with Watched(tmp_path / "profile") as running:
        yield running
        assert not running.troubles
        assert all(url.startswith((hosted.root_url, "data:")) for url in running.asked)


def enter(browser: Watched, hosted: Hosted, page: str) -> None:
    browser.open(hosted.dashboard.link(hosted.root_url, page))


def ask(hosted: Hosted, text: str, model: str = "gpt-4o-mini", *, stream: bool = False, client: str = "zed/1") -> None:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
    with httpx2.Client(trust_env=False, timeout=20) as http:
        http.post(f"{hosted.base_url}/chat/completions", json=body, headers={"User-Agent": client})
