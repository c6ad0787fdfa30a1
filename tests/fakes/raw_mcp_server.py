"""An MCP server without the SDK: it does what its one argument (JSON) says, as real servers do and the SDK would not.

`say`: lines for its output at the start; `cry`: for its error output; `exit`: end at once with this code; `tools`: what
it lists; `capabilities`; `results`: by tool, a result, an error or a raw line; `deaf`: do not end with the input.
"""

import json
import os
import sys
import time
from typing import Any, TextIO

SCRIPT: dict[str, Any] = json.loads(sys.argv[1])


def answer(message: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a request, or its error."""
    method, params = message.get("method"), message.get("params", {})
    if method == "initialize":
        capabilities = SCRIPT.get("capabilities", {"tools": {}})
        about = {"name": "raw", "version": "1"}
        return {"result": {"protocolVersion": "2025-03-26", "capabilities": capabilities, "serverInfo": about}}
    if method == "tools/list" and "tools" in SCRIPT:
        return {"result": {"tools": SCRIPT["tools"]}}
    if method == "tools/call":
        if params["name"] == "environment":
            return {"result": {"content": [{"type": "text", "text": json.dumps(dict(os.environ))}]}}
        if params["name"] == "slow":
            for step in range(SCRIPT["steps"]):
                time.sleep(SCRIPT["pause"])
                token = params.get("_meta", {}).get("progressToken")
                told = {"progressToken": token, "progress": step}
                if SCRIPT.get("tells", True):
                    send({"method": "notifications/progress", "params": told})
            return {"result": {"content": [{"type": "text", "text": "done"}]}}
        result = SCRIPT["results"][params["name"]]
        if "repeat" in result:
            letter, count = result["repeat"]
            return {"result": {"content": [{"type": "text", "text": letter * count}]}}
        if "raw" in result:
            write(result["raw"].replace("ID", json.dumps(message["id"])).replace("LONG", "x" * 2_000_000))
            return {}
        return result if "error" in result else {"result": result}
    return {"error": {"code": -32601, "message": "Method not found"}}


def write(text: str, file: TextIO = sys.stdout) -> None:
    """Write a line."""
    file.write(f"{text}\n")
    file.flush()


def send(message: dict[str, Any]) -> None:
    """Write a message."""
    write(json.dumps({"jsonrpc": "2.0", **message}))


for line in SCRIPT.get("say", ()):
    write(line.replace("LONG", "x" * 2_000_000))
for line in SCRIPT.get("cry", ()):
    write(line, sys.stderr)
if "exit" in SCRIPT:
    sys.exit(SCRIPT["exit"])
for text in sys.stdin:
    given = json.loads(text)
    if "id" in given and (said := answer(given)):
        send({"id": given["id"], **said})
while SCRIPT.get("deaf"):  # it does not end with its input
    time.sleep(1)
