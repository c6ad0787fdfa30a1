"""What nobody caught is told without keys: on standard error and in the log."""

import subprocess
from pathlib import Path

import pytest

from fakes.program import run_python
from proxy import paths

STORED, SHAPED = "a-stored-key-without-a-shape", "sk-proj-0123456789abcdef"
BEGIN = """
import asyncio, logging, sys, threading
from proxy.logs.log import start_logging
log = start_logging()
log.hide(lambda: [{stored!r}])
def fail():
    raise ValueError("it quotes {stored} and {shaped}\\x1b[31m\\nand 2026-01-01 00:00:00,000 ERROR forged")
"""
CRASHES = {
    "in the main thread": "fail()",
    "in another thread": "thread = threading.Thread(target=fail); thread.start(); thread.join()",
    "in a chain of causes": """
try:
    fail()
except ValueError as error:
    raise RuntimeError("after {shaped}") from error
""",
    "where nobody can be told": """
class Dying:
    def __del__(self):
        fail()
Dying()
""",
    "in a task nobody waits for": """
import gc
async def fails():
    fail()
async def main():
    task = asyncio.create_task(fails())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    del task
    gc.collect()
asyncio.run(main())
""",
    "in a callback of the event loop": """
async def main():
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0.01)
asyncio.run(main())
""",
}


def run(code: str, before: str = "") -> "subprocess.CompletedProcess[str]":
    text = before + BEGIN + code
    for place, key in (("{stored}", STORED), ("{stored!r}", repr(STORED)), ("{shaped}", SHAPED)):
        text = text.replace(place, key)
    return run_python(Path.home(), "-c", text)


@pytest.mark.parametrize("code", CRASHES.values(), ids=CRASHES)
def test_a_crash_holds_no_key_and_cannot_forge_a_line(code: str) -> None:
    done = run(code)
    logged = paths.log_file().read_text(encoding="utf-8")

    for text in (done.stderr, done.stdout, logged):
        assert STORED not in text
        assert SHAPED not in text
        assert "\x1b" not in text
    assert "ValueError: it quotes [key] and sk-pr[key]\\x1b[31m" in logged
    assert "\n2026-01-01" not in logged


@pytest.mark.parametrize("code", [CRASHES["in the main thread"], CRASHES["in another thread"]])
def test_a_crash_is_told_once_on_standard_error_with_its_stack(code: str) -> None:
    told = run(code).stderr

    assert told.count("ValueError: it quotes [key]") == 1
    assert "in fail" in told


def test_a_crash_ends_the_program_with_an_exit_code() -> None:
    assert run("fail()").returncode == 1


def test_warnings_without_a_log_file_hold_no_key_either(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("where a folder should be")
    code = f'import os; os.environ["XDG_STATE_HOME"] = {str(tmp_path / "state")!r}\n'
    done = run('logging.getLogger("a").error("it quotes {stored} and {shaped}")', before=code)

    assert "it quotes [key] and sk-pr[key]" in done.stderr
    assert "cannot be written" in done.stderr


def test_a_command_that_breaks_shows_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"""
from proxy.cli import main
def broken(*_, **__):
    raise RuntimeError("it quotes {SHAPED}")
main.cli.main = broken
main.cli.__class__.__call__ = broken
main.main()
"""
    done = run_python(Path.home(), "-c", code)

    assert done.returncode == 1
    assert SHAPED not in done.stderr
    assert "RuntimeError: it quotes sk-pr[key]" in done.stderr


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_crash_and_a_log_line_hold_no_login_of_the_networks_proxy(variable: str) -> None:
    address = "http://anna:Win/ter%202026@proxy:3128"
    code = f"""
logging.getLogger("a").warning("by %r and %s", [{address!r}], {address!r}.encode())
raise ValueError({address!r}) from RuntimeError("Win/ter 2026 or YW5uYTpXaW4vdGVyIDIwMjY=")
"""
    done = run_python(Path.home(), "-c", BEGIN.replace("{stored!r}", "''") + code, **{variable: address})
    logged = paths.log_file().read_text(encoding="utf-8")

    assert "…@proxy:3128" in logged
    assert "ValueError: http://…@proxy:3128" in done.stderr
    for text in (done.stderr, done.stdout, logged):
        for secret in ("anna", "Win/ter", "ter%20", "YW5uY"):
            assert secret not in "\n".join(line for line in text.splitlines() if "raise " not in line)
