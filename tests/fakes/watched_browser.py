"""A browser that takes note of what its page complains of, and is told what to do as a person would say it."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx2

from fakes.browser import Browser
from fakes.dashboard import Hosted

LIMIT_S = 20.0
REFUSAL = "status of 400"  # what the browser says of an answer that the page shows in words


class Watched(Browser):
    """A browser that takes note of what its page complains of, and of what it asks of whom."""

    def __init__(self, profile: Path) -> None:
        super().__init__(profile)
        self.troubles: list[Any] = []
        self.asked: list[str] = []

    def forget(self) -> None:
        """Begin anew, with nothing noted."""
        super().forget()
        self.dress()
        self.troubles.clear()
        self.asked.clear()

    def dress(self, *, width: int = 1280, is_dark: bool = False, locale: str = "") -> None:
        """Give the window a width, a theme and the language of its reader ("": the computer's)."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        theme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[theme])
        self._call("Emulation.setLocaleOverride", **({"locale": locale} if locale else {}))

    def picture(self) -> bytes:
        """Return what the window shows, as PNG."""
        return base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"])

    def heap_bytes(self) -> int:
        """Return how much the page's script holds, without what is only waiting to be collected."""
        self._call("HeapProfiler.collectGarbage")
        self._call("Performance.enable")
        metrics = self._call("Performance.getMetrics")["metrics"]
        return int(next(each["value"] for each in metrics if each["name"] == "JSHeapUsedSize"))

    def __enter__(self) -> "Watched":
        super().__enter__()
        for domain in ("Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        return self

    def heard(self, message: dict[str, Any]) -> None:
        method, told = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown" or (method == "Runtime.consoleAPICalled" and told["type"] == "error"):
            self.troubles.append(told)
        if method == "Log.entryAdded" and told["entry"]["level"] == "error" and REFUSAL not in told["entry"]["text"]:
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

    def choose(self, selector: str, value: str) -> None:
        """Choose an entry of a list."""
        place, words = json.dumps(selector), json.dumps(value)
        self.until(
            f"(at => at && (at.value = {words}, at.dispatchEvent(new Event('change')), at.value === {words}))"
            f"(document.querySelector({place}))"
        )


def enter(browser: Watched, hosted: Hosted, page: str) -> None:
    browser.open(hosted.dashboard.link(hosted.root_url, page))


def ask(hosted: Hosted, text: str, model: str = "gpt-4o-mini", *, stream: bool = False, client: str = "zed/1") -> None:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]}
    with httpx2.Client(trust_env=False, timeout=20) as http:
        http.post(f"{hosted.base_url}/chat/completions", json=body, headers={"User-Agent": client})
