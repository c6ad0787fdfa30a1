"""The environment of one command that is pointed at the proxy; nothing is written anywhere."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import PurePath

from proxy.clients.client import Target
from proxy.clients.own_programs import variables
from proxy.clients.table import CLIENTS

PROGRAMS = {"claude": "claude-code"}  # whose command is called otherwise
LOCAL = "127.0.0.1,localhost,::1"


def prepared(
    command: Sequence[str], target: Target, environment: Mapping[str, str], own: Collection[str]
) -> tuple[list[str], dict[str, str]]:
    """Return a command with what points it at the proxy; `own` names the proxy's variables, which are not passed on."""
    program = PurePath(command[0]).stem.lower()
    client = next((each for each in CLIENTS if each.name == PROGRAMS.get(program, program)), None)
    kept = {name: value for name, value in environment.items() if name.upper() not in own}
    kept.update(variables(target), ANTHROPIC_API_KEY=target.key)
    kept.pop("ANTHROPIC_AUTH_TOKEN", None)  # a real one is not the proxy's to see
    for name in ("NO_PROXY", "no_proxy"):  # a network proxy cannot reach this computer
        kept[name] = ",".join(filter(None, (kept.get(name), LOCAL)))
    words = list(command)
    if client is not None:
        kept.update(client.environment(target))
        words[1:1] = client.arguments(target)
    return words, kept
