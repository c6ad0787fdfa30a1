"""Clients whose settings are no file of theirs that a program may write: their user enters what is shown."""

import json

from proxy.clients.client import TITLE, Client, Target


def two_fields(target: Target) -> str:
    """Return what an "OpenAI compatible" form asks for."""
    return f"Base URL:  {target.base_url}\nAPI key:   {target.key}\nModel ID:  {target.model}\n"


def vscode_models(target: Target) -> str:
    """Return the entry for VS Code's chatLanguageModels.json."""
    models = [
        {
            "id": model,
            "name": model,
            "url": f"{target.base_url}/chat/completions",
            "toolCalling": True,
            "vision": True,
            "maxInputTokens": 128_000,
            "maxOutputTokens": 16_000,
        }
        for model in target.models or (target.model,)
    ]
    entry = {"name": TITLE, "vendor": "customendpoint", "apiType": "chat-completions", "models": models}
    return json.dumps([entry], indent=2) + "\n"


CLINE = Client(
    "cline",
    "Cline",
    "Settings of Cline, API Provider: OpenAI Compatible. Cline keeps them in VS Code's own secret storage.",
    two_fields,
    user_agents=("Cline/",),
)
ROO = Client(
    "roo",
    "Roo Code, Kilo Code",
    "Settings, Providers, API Provider: OpenAI Compatible. They are kept in VS Code's own secret storage.",
    two_fields,
    user_agents=("RooCode/", "Kilo-Code/"),
)
VSCODE = Client(
    "vscode",
    "VS Code (Copilot)",
    "“Chat: Manage Language Models”, Add Models, Custom Endpoint; enter the key there, then put these models into the "
    "chatLanguageModels.json that opens. VS Code 1.122 or newer.",
    vscode_models,
    user_agents=("GitHubCopilotChat/",),
)
JETBRAINS = Client(
    "jetbrains",
    "JetBrains AI Assistant",
    "Settings, Tools, AI Assistant, Providers & API keys: choose the OpenAI-compatible provider and test the "
    "connection.",
    two_fields,
)
