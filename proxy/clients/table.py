"""Every client that can be connected, in the order they are shown, and what cannot be."""

from proxy.clients import aider, claude_code, codex, continue_dev, llm, opencode, zed
from proxy.clients.by_hand import CLINE, JETBRAINS, ROO, VSCODE
from proxy.clients.client import Client
from proxy.clients.own_programs import CURL, NODE, POWERSHELL, PYTHON, SHELL

CLIENTS: tuple[Client, ...] = (
    *(continue_dev.CLIENT, CLINE, ROO, zed.CLIENT, VSCODE, JETBRAINS),
    *(codex.CLIENT, opencode.CLIENT, aider.CLIENT, llm.CLIENT, claude_code.CLIENT),
    *(PYTHON, NODE, SHELL, CURL, POWERSHELL),
)
BY_NAME = {client.name: client for client in CLIENTS}

IMPOSSIBLE = {
    "cursor": (
        "Cursor cannot use it: requests with your own key come from Cursor's servers, which cannot reach an address of "
        "your computer and refuse it"
    )
}
