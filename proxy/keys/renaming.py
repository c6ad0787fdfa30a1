"""Rename an upstream: in the settings, in whatever names it there, and in the keyring, where its key is moved."""

from contextlib import suppress

from proxy.errors.configuration import SettingError
from proxy.errors.keyring import KeyringAbsent, KeyringFailure
from proxy.keys.upstream_key import Secrets
from proxy.keys.upstream_keys import UpstreamKeys, entry_of
from proxy.settings.renaming import renaming
from proxy.settings.store import SettingsStore
from proxy.settings.upstreams import Upstream


def rename(store: SettingsStore, keys: UpstreamKeys, old: str, new: str) -> str:
    """Give an upstream another name, and return what there is to say of it. Blocks on the keyring.

    The key is stored under its new name first, for the same server, and removed under the old one last. Raises
    SettingError, OSError and KeyringFailure; nothing has changed then.
    """
    changes = renaming(store.current, old, new)
    row = next(each for each in store.current.upstreams if each.name == old)
    renamed = row.model_copy(update={"name": new})
    held, holder = keys.of(row), keys.of(renamed)
    state = held.load()
    if held.stored_problem is not None and not isinstance(held.stored_problem, KeyringAbsent):
        raise KeyringFailure(f"the key of {old} cannot be read, and would stay behind: {held.stored_problem}")
    if (found := holder.load()).source == "environment" and found.key != state.key:
        raise SettingError(f"the key in {renamed.key_variable} would be shown to {row.origin}; take it out first")
    before = holder.stored
    if held.stored is not None:
        holder.keep(held.stored)
    elif state.source == "this session" and state.key is not None:
        holder.keep_for_session(state.key)
    try:
        store.update(**changes)
    except BaseException:
        if held.stored is not None:
            put_back(holder, before)
        raise
    return f"{old} is named {new} now, also for tools: {new}/MODEL.{told_of_key(row, renamed, held, holder)}"


def put_back(holder: Secrets, before: str | None) -> None:
    """Leave the entry of a new name as it was before."""
    with suppress(KeyringFailure):
        if before is None:
            holder.forget()
        else:
            holder.keep(before)


def told_of_key(row: Upstream, renamed: Upstream, held: Secrets, holder: Secrets) -> str:
    """Remove the key under the old name, and return what there is to say of it."""
    is_left = held.state.source == "environment" and holder.state.source != "environment"
    said = f" Its key comes from {row.key_variable}: call that variable {renamed.key_variable}." if is_left else ""
    key = held.stored
    if key is None:
        return said
    try:
        held.forget()
        if entry_of(row).lower() == entry_of(renamed).lower():  # which is one entry to some keyrings
            holder.keep(key)
    except KeyringFailure as failure:
        return f"{said} Its key is also in the keyring under the old name: {failure}"
    return said or " Its key goes with it."
