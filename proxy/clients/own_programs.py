"""Programs one writes: Python, Node, and the shell's own profile."""

import os
import shlex
import sys
from pathlib import Path

from proxy import paths
from proxy.clients.client import Client, SettingsFile, Target
from proxy.clients.edits import CannotEdit, Edit, Put
from proxy.clients.shell_block import BLOCK, ShellBlock
from proxy.quoting import for_cmd, for_powershell

PROFILES = {"bash": ".bashrc", "zsh": ".zshrc"}


def python_program(target: Target) -> str:
    """Return a chat with openai-python, and what LangChain takes."""
    where = f'base_url="{target.base_url}", api_key="{target.key}"'
    return (
        "from openai import OpenAI\n\n"
        f"client = OpenAI({where})\n"
        f'answer = client.chat.completions.create(model="{target.model}", '
        'messages=[{"role": "user", "content": "Hello!"}])\n'
        "print(answer.choices[0].message.content)\n\n"
        "# LangChain:\n"
        f'# from langchain_openai import ChatOpenAI; ChatOpenAI(model="{target.model}", {where})\n'
    )


def node_program(target: Target) -> str:
    """Return a chat with openai-node."""
    return (
        'import OpenAI from "openai";\n\n'
        f'const client = new OpenAI({{ baseURL: "{target.base_url}", apiKey: "{target.key}" }});\n'
        f'const answer = await client.chat.completions.create({{ model: "{target.model}", '
        'messages: [{ role: "user", content: "Hello!" }] });\n'
        "console.log(answer.choices[0].message.content);\n"
    )


def variables(target: Target) -> dict[str, str]:
    """Return what OpenAI's and Anthropic's SDKs, and what is built on them, read from the environment."""
    return {
        "OPENAI_BASE_URL": target.base_url,
        "OPENAI_API_BASE": target.base_url,
        "OPENAI_API_KEY": target.key,
        "ANTHROPIC_BASE_URL": target.root_url,
    }


def exports(target: Target) -> str:
    """Return the variables as the user's shell sets them."""
    if sys.platform == "win32":
        return "".join(f'setx {name} "{value}"\n' for name, value in variables(target).items())
    word = "set -gx {} '{}'\n" if is_fish() else "export {}='{}'\n"
    return "".join(word.format(name, value) for name, value in variables(target).items())


def shell_profile() -> Path:
    """Return the file that the user's shell reads at its start; raises CannotEdit for a shell that is not known.

    Not .profile: a desktop reads that too, and the proxy would be started with its own address as its upstream.
    """
    if is_fish():
        return Path(os.environ.get("XDG_CONFIG_HOME") or paths.home() / ".config") / "fish" / "config.fish"
    shell = Path(os.environ.get("SHELL", "")).name
    if shell not in PROFILES:
        raise CannotEdit(f"{shell or 'the shell'} is none whose profile is known ({', '.join(PROFILES)}, fish)")
    return paths.home() / PROFILES[shell]


def is_fish() -> bool:
    """Tell whether the user's shell is fish."""
    return Path(os.environ.get("SHELL", "")).name == "fish"


def shell_edits(target: Target) -> tuple[Edit, ...]:
    """Return what is written."""
    return (Put((BLOCK,), exports(target)),)


CHAT = '{{"model": "{}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'


def curl_command(target: Target) -> str:
    """Return a chat by curl, for the shell of this system: cmd.exe on Windows."""
    quote, onward = (for_cmd, "^") if sys.platform == "win32" else (shlex.quote, "\\")
    words = [
        f"curl {quote(f'{target.base_url}/chat/completions')}",
        f"-H {quote('Content-Type: application/json')}",
        f"-H {quote(f'Authorization: Bearer {target.key}')}",
        f"-d {quote(CHAT.format(target.model))}",
    ]
    return f" {onward}\n  ".join(words) + "\n"


def powershell_commands(target: Target) -> str:
    """Return a chat by PowerShell, and the variables for its window."""
    settings = "".join(f"$env:{name} = {for_powershell(value)}\n" for name, value in variables(target).items())
    return (
        f"Invoke-RestMethod -Method POST -Uri {for_powershell(f'{target.base_url}/chat/completions')} `\n"
        f"  -Headers @{{ Authorization = {for_powershell(f'Bearer {target.key}')} }} `\n"
        f"  -ContentType 'application/json' -Body {for_powershell(CHAT.format(target.model))}\n\n"
        f"# For the programs of this window:\n{settings}"
    )


CURL = Client("curl", "curl", "", curl_command, user_agents=("curl",))
POWERSHELL = Client("powershell", "PowerShell", "", powershell_commands)
PYTHON = Client("python", "Python", "", python_program, user_agents=("OpenAI/Python", "AsyncOpenAI/Python"))
NODE = Client("node", "Node", "", node_program, user_agents=("OpenAI/JS",))
SHELL = Client(
    "shell",
    "Shell profile",
    "For every terminal opened from then on. The proxy itself reads these variables too: start it from its launcher, "
    "or from a terminal without them. `openai-tray-proxy run -- COMMAND` does it for one command.",
    exports,
    None if sys.platform == "win32" else SettingsFile(shell_profile, ShellBlock(), shell_edits),
)
