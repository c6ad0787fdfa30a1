"""The functions' process: load the file, run calls until the proxy has gone. Never imported by the proxy.

The main thread reads, and answers a ping at once; a loop of its own runs the calls, and the functions run in threads
and on loops beside it, as `Workers` has them. Whoever holds the interpreter stops all three, and the proxy takes note.
"""

import asyncio
import base64
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from proxy.tools.functions.channel import Channel, take_channel
from proxy.tools.functions.frames import MAX_FRAME_BYTES, Message, frame
from proxy.tools.functions.memory import OUT_OF_MEMORY, limit_memory
from proxy.tools.invocation import result_of
from proxy.tools.loader import BrokenToolsFile, LoadedTools, load_tools
from proxy.tools.rich_result import RichResult
from proxy.tools.tool import CallFailed, JsonObject, Outcome, Tool, told_of
from proxy.tools.workers import Workers, run_loop

SWITCH_INTERVAL_S = 0.0005  # between threads: a function that computes lets a ping through
END_S = 1.0  # for what runs at the interpreter's end
KEPT_SOURCE_BYTES = 1024 * 1024  # a larger file is read again where the process begins anew


class Calls:
    """Load the file and run its tools, each message a task. Lives on one loop."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._workers = Workers()
        self._tools: dict[str, Tool] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def take(self, message: Message) -> None:
        """Begin what a message asks for."""
        number = message["id"]
        if message["do"] == "drop":
            if number in self._tasks:
                self._tasks[number].cancel()
            return
        work = self._load if message["do"] == "load" else self._call
        task = self._tasks[number] = asyncio.get_running_loop().create_task(self._answered(number, work(message)))
        task.add_done_callback(lambda _: self._tasks.pop(number, None))

    def stop(self) -> None:
        """Cancel what awaits. For any thread."""
        self._workers.stop()

    async def _answered(self, number: int, work: Coroutine[Any, Any, JsonObject]) -> None:
        """Send what a piece of work gives, or why it gives nothing."""
        try:
            answer = {"id": number, **await work}
            if len(frame(answer)) > MAX_FRAME_BYTES:
                answer = {"id": number, **failure("too large", "What it gives is too large.")}
            self._channel.send(answer)
        except MemoryError:
            os._exit(OUT_OF_MEMORY)
        except Exception as error:  # noqa: BLE001  whatever it is, the proxy waits for an answer
            self._channel.send({"id": number, **failure("failed", f"The tool failed: {told_of(error)}")})

    async def _load(self, message: Message) -> JsonObject:
        limit_memory(message["memory_bytes"])
        path = Path(message["path"])
        given = message.get("source")
        source = base64.b64decode(given) if given is not None else None
        loaded = await asyncio.wrap_future(self._workers.call(lambda: loaded_or_broken(path, source)))
        if isinstance(loaded, BrokenToolsFile):
            return {"broken": str(loaded)}
        left_out = list(loaded.left_out)
        listed: list[JsonObject] = []
        for tool in loaded.tools:
            definition = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            try:
                frame(definition)
            except (TypeError, ValueError, RecursionError):
                left_out.append(f"{tool.name} is no tool: its schema cannot be written as JSON")
            else:
                self._tools.setdefault(tool.name, tool)
                listed.append(definition)
        kept = base64.b64encode(loaded.source).decode() if len(loaded.source) <= KEPT_SOURCE_BYTES else None
        return {"tools": listed, "left_out": left_out, "source": kept}

    async def _call(self, message: Message) -> JsonObject:
        tool = self._tools.get(message["name"])
        if tool is None:
            return failure("unknown name", f"There is no tool named {message['name']!r} any more.")
        try:
            text = await result_of(self._workers, tool, message["arguments"], message["seconds"], message["bytes"])
        except CallFailed as failed:
            return failure(failed.outcome, str(failed))
        return {"text": text, "media": text.media if type(text) is RichResult else ()}


def failure(outcome: Outcome, told: str) -> JsonObject:
    """Return the answer to a call, or to a load, that gives nothing."""
    return {"outcome": outcome, "told": told, "broken": told}


def loaded_or_broken(path: Path, source: bytes | None) -> LoadedTools | BrokenToolsFile:
    """Return what the file holds, or why it cannot be loaded: what is raised in it may not travel through a future."""
    try:
        return load_tools(path, source)
    except BrokenToolsFile as broken:
        return broken


def main() -> None:
    """Serve the proxy until its end of the pipe is closed."""
    channel = take_channel()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("proxy").setLevel(logging.DEBUG)  # the traceback of a tool that raised
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    calls = Calls(channel)
    loop = asyncio.new_event_loop()
    threading.Thread(target=run_loop, args=(loop,), name="calls", daemon=True).start()
    try:
        while (message := channel.receive()) is not None:
            if message["do"] == "ping":
                channel.send({"id": message["id"]})
            else:
                loop.call_soon_threadsafe(calls.take, message)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    threading.Thread(target=end_all, name="end", daemon=True).start()
    calls.stop()


def end_all() -> None:
    """End this process and what it has started, should what runs at the interpreter's end take its time."""
    time.sleep(END_S)
    if sys.platform != "win32":
        with suppress(OSError):
            os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main()
