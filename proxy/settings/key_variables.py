"""The keys that the environment brings: ours alone, so that no child and no tool inherits them."""

from collections import ChainMap
from collections.abc import Mapping, MutableMapping

# Those of further upstreams begin like the first, OPENAI_API_KEY_NAME; PROXY_API_KEYS is the other one's plural.
BEGINNINGS = ("OPENAI_API_KEY", "PROXY_API_KEY")


def is_key_variable(name: str) -> bool:
    """Tell whether a variable of the environment holds a key of ours, in capitals or not."""
    return name.upper().startswith(BEGINNINGS)


def without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment as a child may have it."""
    return {name: value for name, value in environment.items() if not is_key_variable(name)}


def take_keys(environment: MutableMapping[str, str]) -> Mapping[str, str]:
    """Take the keys out of this process's environment; return it as it was, to be read by us.

    For programs of our own alone, and before anything else is started: a server that carries us may start itself again
    from its environment.
    """
    taken = {name: environment.pop(name) for name in list(environment) if is_key_variable(name)}
    return ChainMap(taken, environment)
