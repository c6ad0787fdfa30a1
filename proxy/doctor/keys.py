"""Check the keyring, the key of the first upstream, and the proxy keys."""

from proxy.command import command
from proxy.doctor.finding import Check, Examination, Finding
from proxy.errors.keyring import KeyringFailure

LIMIT_S = 15.0  # the keyring may ask its user, and has limits of its own


def check_keyring(examination: Examination) -> Finding:
    """Check which keyring there is, and whether it is open."""
    parts = examination.parts
    examination.key_of(parts.store.current.upstreams[0])  # a locked one asks its user once: the state after that counts
    is_needed = any(map(examination.lacks_key, parts.store.current.upstreams))
    try:
        name, is_open = parts.keychain.name(), parts.keychain.is_open()
    except KeyringFailure as failure:
        return Finding("Keyring", not is_needed, f"{failure}{'' if is_needed else ' (No key is needed from it.)'}")
    if is_open:
        return Finding("Keyring", is_good=True, detail=f"{name}, open")
    told = "locked, or without a collection yet; unlock it, and the keys in it are read"
    return Finding("Keyring", is_good=not is_needed, detail=f"{name}, {told}")


def check_key(examination: Examination) -> Finding:
    """Check that there is an upstream key."""
    store = examination.parts.store
    first = store.current.upstreams[0]
    state = examination.key_of(first)
    if state.key is None and store.is_known and first.is_local:
        return Finding("Upstream key", is_good=True, detail="none: an upstream on this computer is asked without one")
    missing = f"not set: store it with `{command('key set')}`, enter it on the program's page, or set OPENAI_API_KEY"
    is_missing = state.key is None and state.problem is None
    return Finding("Upstream key", is_good=state.key is not None, detail=missing if is_missing else str(state))


def check_access(examination: Examination) -> Finding:
    """Check that there is a proxy key if one is required."""
    parts = examination.parts
    examination.key_of(parts.store.current.upstreams[0])
    parts.proxy_keys.reload()  # where the keyring is open: its user has been asked
    making = f"`{command('proxy-key new NAME')}` makes one"
    if parts.store.current.proxy_require_api_key and not parts.proxy_keys.current:
        return Finding("Proxy keys", is_good=False, detail=f"one is asked for, but there is none: {making}")
    asked = "asked for" if parts.store.current.proxy_require_api_key else "not asked for"
    return Finding("Proxy keys", is_good=True, detail=f"{len(parts.proxy_keys.current)} there, {asked}")


CHECKS = (
    Check("Keyring", check_keyring, LIMIT_S),
    Check("Upstream key", check_key, LIMIT_S),
    Check("Proxy keys", check_access, LIMIT_S),
)
