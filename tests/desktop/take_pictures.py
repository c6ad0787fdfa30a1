"""Take the README's pictures: the program is started as `./start.sh demo` does, asked by clients, and looked at.

Run it by hand in the repository's folder: `PYTHONPATH=.:tests python tests/desktop/take_pictures.py`.
"""

import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx2

from fakes.environment import ROOT
from fakes.program import Program, run_python
from fakes.watched_browser import Watched

PICTURES = ROOT / "docs" / "pictures"
SETTINGS = """openai_param_drop = ["logprobs"]
[openai_param_defaults]
temperature = 0.2
[proxy_aliases]
fast = "demo-chat"
"""
WHERE = "from proxy import paths; print(paths.settings_file())"
SYSTEM = "You are a careful programmer. You read a file before you change it, and say what you did in one sentence."
TOOLS = [
    {"type": "function", "function": {"name": name, "description": about, "parameters": {"type": "object"}}}
    for name, about in (("read_file", "Read lines of a file"), ("run_tests", "Run the tests of a folder"))
]
ASKED = (  # client, model, question, more of the body
    ("Zed/0.210", "demo-chat", "Why does the retry loop ask twice?", {}),
    ("Continue/1.2", "demo-chat", "Write a test for the parser of dates.", {}),
    ("aider/0.86", "demo-429", "Rename the module.", {}),
    ("Zed/0.210", "demo-breaks-off", "Explain the cache.", {}),
    ("OpenAI/Python", "demo-chat", "Summarise CHANGELOG.md in three points.", {"stream": False}),
    ("Zed/0.210", "demo-tools", "What does this error mean?", {}),
    ("Cline/3.30", "fast", "When may a request be sent a second time?", {"tools": TOOLS, "logprobs": True}),
)


def main() -> None:
    """Write the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        settings = Path(run_python(home, "-c", WHERE).stdout.strip())
        settings.parent.mkdir(parents=True)
        settings.write_text(SETTINGS)
        with Program(home, "serve", "--demo", "--port", "0") as program:
            base_url = program.base_url
            for client, model, question, more in ASKED:
                ask(base_url, client, model, question, **more)
            link = run_python(home, "-m", "proxy", "page", PYTHONPATH=str(ROOT)).stdout.split()[-1]
            with Watched(home / "profile") as browser:
                look(browser, link, base_url)


def ask(base_url: str, client: str, model: str, question: str, **more: object) -> None:
    """Ask as a client does, and read the answer to its end."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    body = {"model": model, "stream": True, "messages": messages, **more}
    with httpx2.Client(trust_env=False, timeout=30) as http, suppress(httpx2.HTTPError):  # one of them breaks off
        http.post(f"{base_url}/chat/completions", json=body, headers={"User-Agent": client})


def look(browser: Watched, link: str, base_url: str) -> None:
    """Go through the pages as a newcomer does."""
    browser.dress()
    browser.open(link)
    root = browser.run("location.href.replace(/[^/]*$/, '')")
    browser.until("document.querySelectorAll('.recent-row').length > 5")
    keep(browser, "page")

    writing = threading.Thread(target=ask, args=(base_url, "Zed/0.210", "demo-slow", "Tell me a longer story."))
    writing.start()
    browser.open(f"{root}requests")
    browser.until("document.querySelector('.row .outcome.running') !== null")
    browser.run("[...document.querySelectorAll('.row')].find(row => row.innerText.includes('fast')).click()")
    browser.click("[data-tab=sent]")
    browser.until("document.querySelector('.changes') !== null")
    keep(browser, "requests")

    browser.run(
        "[...document.querySelectorAll('.actions-row button')].find(at => at.innerText.startsWith('Send')).click()"
    )
    browser.type(".again input", "demo-tools")
    browser.click(".again button")
    browser.until("document.querySelector('.note.success')?.innerText.includes('cheaper')")
    keep(browser, "compare")
    writing.join()


def keep(browser: Watched, name: str) -> None:
    """Write what the window shows, once it stands still."""
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    time.sleep(0.3)  # the last numbers of a running request
    (PICTURES / f"{name}.png").write_bytes(browser.picture())


if __name__ == "__main__":
    main()
