"""An import of the SDK that fails is the trouble of one request, not of all that follow."""

import json
from pathlib import Path

from fakes.asking import CHAT
from fakes.program import Program
from fakes.wire_client import JSON_TYPE
from waiting import wait_for

CHAT_BODY = b'{"model":"demo-chat","messages":[{"role":"user","content":"Hi"}]}'
# Fails to import the module that a file names, with the error that it names.
FAILING = """
import importlib.abc, sys
class Failing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        try:
            module, _, error = open({flag!r}).read().partition(" ")
        except FileNotFoundError:
            return None
        if name == module:
            raise eval(error)
sys.meta_path.insert(0, Failing())
from proxy.cli.main import main
main()
"""
FAILURES = {
    "openai ImportError('half installed')": "ImportError: half installed",
    "openai._models OSError(24, 'Too many open files')": "Too many open files",
    "openai._client SyntaxError('invalid syntax')": "SyntaxError: invalid syntax",
    "openai._exceptions MemoryError()": "MemoryError",
    "proxy.upstream.transport PermissionError(13, 'Permission denied')": "Permission denied",
}


def test_a_request_that_finds_no_sdk_is_told_and_the_next_one_tries_again(tmp_path: Path) -> None:
    home, flag = tmp_path / "own", tmp_path / "flag"
    home.mkdir()
    flag.write_text(next(iter(FAILURES)))
    command = ("-c", FAILING.format(flag=str(flag)))
    with Program(home, "serve", "--demo", "--port", "0", command=command) as program, program.connect() as client:
        assert client.ask("GET", "/v1/health").status == 200
        ask = client.request("POST", CHAT, CHAT_BODY, JSON_TYPE)
        failed = {}
        for failure in FAILURES:
            flag.write_text(failure)
            failed[failure] = client.send(ask).read_reply()
        flag.unlink()
        reply, listed = client.send(ask).read_reply(), client.ask("GET", "/v1/models")
        log = next((home / "xdg_state_home").rglob("proxy.log"))
        wait_for(lambda: "the SDK cannot be loaded" in log.read_text(encoding="utf-8"), "the line in the log")

    for failure, said in FAILURES.items():
        assert (failed[failure].status, failed[failure].error["code"]) == (503, "sdk_not_loaded")
        assert said in failed[failure].error["message"]
        assert "install the program again" in failed[failure].error["message"]
    assert (reply.status, listed.status) == (200, 200)
    assert json.loads(reply.body)["choices"][0]["message"]["content"]
