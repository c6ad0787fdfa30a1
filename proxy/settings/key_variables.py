"""Take the keys out of the process's environment, so that no child process and no tool inherits them."""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping

# Those of further upstreams begin like the first, OPENAI_API_KEY_NAME; PROXY_API_KEYS is the other one's plural.
BEGINNINGS = ("OPENAI_API_KEY", "PROXY_API_KEY")


def is_key_variable(name: str) -> bool:
    """Return whether an environment variable, in any letter case, holds a key of this program."""
    return name.upper().startswith(BEGINNINGS)


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without keys, for a child process."""
    return {name: value for name, value in environment.items() if not is_key_variable(name)}


def take_keys(environment: MutableMapping[str, str]) -> Mapping[str, str]:
    """Remove the keys from this process's environment; return the environment as it was before.

    Call it only in our own programs, and before any thread or process is started: a foreign server may restart itself
    from its environment.
    """
    taken = {name: environment.pop(name) for name in list(environment) if is_key_variable(name)}
    return ChainMap(taken, environment)
