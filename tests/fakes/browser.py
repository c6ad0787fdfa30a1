"""A real browser (Chromium) without a window, told what to do over its debugging protocol."""

import json
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from websockets.sync.client import connect

from background import need

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
LIMIT_S = 20.0


class Browser:
    """One page of a browser with an empty profile, from `with` to the end of its block."""

    def __init__(self, profile: Path, *options: str) -> None:
        self._command = [
            *(need(*PROGRAMS), "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--remote-debugging-port=0", f"--user-data-dir={profile}", *options, "about:blank"),
        ]
        self._calls = 0

    def __enter__(self) -> "Browser":
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert self._process.stderr is not None
        address = next(line.split()[-1] for line in self._process.stderr if "DevTools listening" in line)
        with urllib.request.urlopen(f"http://{address.split('/')[2]}/json", timeout=LIMIT_S) as answer:
            page = next(each for each in json.load(answer) if each["type"] == "page")
        # No pings: their thread draws from the global `random`, which fails a Hypothesis test that draws then.
        self._line = connect(page["webSocketDebuggerUrl"], max_size=None, open_timeout=LIMIT_S, ping_interval=None)
        self._call("Page.enable")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.close()
        self._process.kill()
        self._process.communicate()

    def open(self, url: str) -> None:
        """Go to an address, and wait until its page has loaded."""
        self._and_load("Page.navigate", url=url)

    def submit(self, form: str, **fields: str) -> str:
        """Fill a form, press its button as a person does, and return the text of the page that comes."""
        for name, value in fields.items():
            self.run(f"document.querySelector({form + ' [name=' + name + ']'!r}).value = {value!r}")
        self._and_load("Runtime.evaluate", expression=f"document.querySelector({form + ' button'!r}).click()")
        return self.text

    def forget(self) -> None:
        """Begin anew: an empty page, no cookies, a window of the usual size."""
        self.open("about:blank")
        self._call("Network.clearBrowserCookies")
        self._call("Emulation.clearDeviceMetricsOverride")

    def resize(self, width: int) -> None:
        """Make the window this wide."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=600, deviceScaleFactor=1, mobile=False)

    def press(self, key: str, code: int) -> None:
        """Press a key and let it go."""
        for kind in ("rawKeyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    @property
    def text(self) -> str:
        """Return what the page says."""
        return str(self.run("document.body.innerText"))

    def run(self, script: str) -> Any:
        """Run a script in the page, wait for its promise, and return its value."""
        found = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        return found["result"].get("value")

    def heard(self, message: dict[str, Any]) -> None:
        """Hear each message of the browser: what a page complains of, whom it asks."""

    def _call(self, method: str, **parameters: Any) -> Any:
        self._calls += 1
        self._line.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        return self._wait_for(lambda message: message.get("id") == self._calls)["result"]

    def _and_load(self, method: str, **parameters: Any) -> None:
        """Call, and wait for the load that follows; it may be told before the call's own answer."""
        self._calls += 1
        self._line.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        self._wait_for(lambda message: message.get("method") == "Page.loadEventFired")

    def _wait_for(self, fits: Any) -> Any:
        while True:
            message = json.loads(self._line.recv(timeout=LIMIT_S))
            self.heard(message)
            if fits(message):
                return message
