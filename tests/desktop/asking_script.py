"""The tray program with a tool call in it that waits for the user; prints what came of it."""

import asyncio
import sys
import threading

from proxy import paths
from proxy.services import Services, assemble
from proxy.tools.tool import Tool
from tray_app.app import TrayApp
from tray_app.single_instance import SingleInstance

TOOL = Tool("write_file", "", {}, print, source="files", is_trusted=False)


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  read by the test


def ask(services: Services) -> None:
    """Wait until somebody can put the question, put it, and say what the user decided."""
    while not services.tools.consent._askers:
        threading.Event().wait(0.05)
    say(f"allowed: {asyncio.run(services.tools.consent.permits(TOOL, sys.argv[1]))}")


def main() -> None:
    with SingleInstance(paths.runtime_dir()) as instance:
        services = assemble()
        threading.Thread(target=ask, args=(services,), daemon=True).start()
        TrayApp(services, instance, "auto", say).run()


if __name__ == "__main__":
    main()
