"""Keys in a keyring whose entries are small, and in one that is damaged."""

import json
from collections.abc import Iterator
from pathlib import Path

import keyring.core
import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.small_keyring import SmallKeyring
from proxy.errors.keyring import KeyringFailure, KeyTooLong, ProxyKeyTrouble
from proxy.files import held
from proxy.keys.erasing import erase
from proxy.keys.keychain import SystemKeychain
from proxy.keys.pieces import ENTRY_CHARACTERS, MAX_PIECES
from proxy.keys.proxy_keys import KEPT_AS, LONGEST_NAME, ProxyKeys

FITS = ENTRY_CHARACTERS


@pytest.fixture
def small() -> Iterator[SmallKeyring]:
    """Make a small keyring the system's."""
    before, made = keyring.core._keyring_backend, SmallKeyring()
    keyring.core.set_keyring(made)
    yield made
    keyring.core._keyring_backend = before


# --- long keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("secret", "entries"),
    [
        ("k" * FITS, 1),
        ("k" * (FITS + 1), 3),
        ("é" * FITS, 1),
        ("abc" * FITS, 4),
        ("😀" * (FITS // 2), 1),
        ("😀" * FITS, 3),
        ("x" * FITS * MAX_PIECES, MAX_PIECES + 1),
        ("in 2 pieces: 0a1b2c3d, sha256 " + "0" * 64, 2),
        ("", 1),
    ],
)
def test_a_key_of_any_length_is_read_as_it_was_written(small: SmallKeyring, secret: str, entries: int) -> None:
    keychain = SystemKeychain()
    keychain.write("upstream", secret)

    assert keychain.read("upstream") == secret
    assert len(small.kept) == entries
    keychain.delete("upstream")
    keychain.delete("upstream")
    assert (small.kept, keychain.read("upstream")) == ({}, None)


@pytest.mark.parametrize("sizes", [(5 * FITS, 10), (10, 5 * FITS), (5 * FITS, 2 * FITS), (2 * FITS, 5 * FITS)])
def test_the_last_write_counts_and_leaves_no_piece_of_the_one_before(
    small: SmallKeyring, sizes: tuple[int, int]
) -> None:
    keychain = SystemKeychain()
    for letter, size in zip("ab", sizes, strict=True):
        keychain.write("upstream", letter * size)

    assert keychain.read("upstream") == "b" * sizes[1]
    assert not any("a" * 10 in kept for kept in small.kept.values())


@pytest.mark.parametrize("count", [FITS * MAX_PIECES + 1, FITS * 100, 1_000_000])
def test_what_is_longer_than_any_key_is_refused_with_its_length(small: SmallKeyring, count: int) -> None:
    keychain = SystemKeychain()
    keychain.write("upstream", "the one before")
    with pytest.raises(KeyTooLong, match=rf"{count:,} characters, 81,920 fit.*this session"):
        keychain.write("upstream", "k" * count)

    assert keychain.read("upstream") == "the one before"


@pytest.mark.parametrize("writes", [0, 1, 2, 3])
@pytest.mark.parametrize("before", ["short", "long " * FITS])
def test_a_write_that_breaks_off_leaves_the_key_before(small: SmallKeyring, before: str, writes: int) -> None:
    keychain = SystemKeychain()
    keychain.write("upstream", before)
    small.fails_after = writes
    with pytest.raises(KeyringFailure, match=r"OSError.*another way"):
        keychain.write("upstream", "k" * 3 * FITS)

    assert keychain.read("upstream") == before


def test_a_piece_that_is_gone_or_changed_is_told_with_what_to_do(small: SmallKeyring) -> None:
    keychain = SystemKeychain()
    keychain.write("upstream", "secret " * FITS)
    for name in [name for name in small.kept if name != "upstream"]:
        for damaged in (None, "", small.kept[name][:-1], small.kept[name] + "x"):
            whole = small.kept.pop(name)
            if damaged is not None:
                small.kept[name] = damaged
            with pytest.raises(KeyringFailure, match=r"'upstream' is in pieces .* store the key again") as caught:
                keychain.read("upstream")
            assert "secret" not in str(caught.value)
            small.kept[name] = whole

    keychain.write("upstream", "another")
    assert small.kept == {"upstream": "another"}


# --- proxy keys -------------------------------------------------------------------------------------------------------


def test_as_many_proxy_keys_as_anybody_makes_have_room(small: SmallKeyring) -> None:
    keys = ProxyKeys(list, SystemKeychain)
    made = [keys.new(f"{number} {'é' * (LONGEST_NAME - 4)}") for number in range(100)]
    again = ProxyKeys(list, SystemKeychain)
    again.read()

    assert [(key.name, key.key) for key in again.current] == [(key.name, key.key) for key in made]
    assert not any(key.key in small.kept[KEPT_AS] for key in made)
    again.revoke(made[50].name)
    assert not any(made[50].key in kept for kept in small.kept.values())
    assert len(again.current) == 99
    erase(SystemKeychain())
    assert small.kept == {}


def test_keys_that_stood_in_the_list_itself_stay_and_move_to_entries_with_the_next_change() -> None:
    keychain = MemoryKeychain()
    keychain.kept[KEPT_AS] = json.dumps([{"name": name, "key": f"op-{name}", "made": "2026-01-01"} for name in "ab"])
    keys = ProxyKeys(list, lambda: keychain)
    keys.read()
    assert [key.key for key in keys.current] == ["op-a", "op-b"]

    made = keys.new("c")
    again = ProxyKeys(list, lambda: keychain)
    again.read()

    assert [(key.key, key.made) for key in again.current[:2]] == [("op-a", "2026-01-01"), ("op-b", "2026-01-01")]
    assert again.current[2].key == made.key
    assert "op-" not in keychain.kept[KEPT_AS]


@pytest.mark.parametrize("kept", [None, "", " ", "two words", "not\nprintable", "schlüssel", '"quoted"'])
def test_a_listed_key_whose_entry_holds_none_opens_nothing_and_can_be_revoked(
    caplog: pytest.LogCaptureFixture, kept: str | None
) -> None:
    keychain = MemoryKeychain()
    keys = ProxyKeys(list, lambda: keychain)
    good, lost = keys.new("good"), keys.new("lost")
    del keychain.kept[lost.entry]
    if kept is not None:
        keychain.kept[lost.entry] = kept

    keys.read()

    assert [key.name for key in keys.current] == ["good"]
    assert "the proxy key 'lost' is listed in the keyring and its entry is gone" in caplog.text
    with pytest.raises(ProxyKeyTrouble, match="is taken"):
        keys.new("lost")
    keys.revoke("lost")
    assert set(keychain.kept) == {KEPT_AS, good.entry}


@pytest.mark.parametrize(
    "rows",
    [
        '[{"name": "a"}]',
        '[{"name": 1, "key": "op-a"}]',
        '[{"name": "a", "key": null}]',
        '[{"name": "a", "key": ["op-a"]}]',
        '[{"name": "a", "entry": "upstream"}]',
        '[{"name": "a", "key": "op-a"}, 7]',
        '{"name": "a", "key": "op-a"}',
        '"op-a"',
        '[{"name": "a", "key": "op-a"}',
        "[" * 100_000,
        "true",
        '\ufeff[{"name": "a", "key": "op-a"}]',
    ],
)
def test_a_damaged_list_leaves_the_keys_as_they_were_and_is_not_written_over(rows: str) -> None:
    keychain = MemoryKeychain()
    keys = ProxyKeys(list, lambda: keychain)
    before = keys.new("before")
    keychain.kept[KEPT_AS], kept = rows, keychain.kept[KEPT_AS]

    keys.load()
    keys.begin()
    for use in (keys.read, lambda: keys.new("another"), lambda: keys.revoke("a")):
        with pytest.raises(KeyringFailure, match=f"its entry '{KEPT_AS}' is damaged") as caught:
            use()
        assert "op-a" not in str(caught.value)

    assert keychain.kept[KEPT_AS] == rows
    assert [key.key for key in keys.current] == [before.key]
    erase(keychain)
    assert KEPT_AS not in keychain.kept
    assert kept


def test_two_processes_that_make_keys_at_once_lose_none(tmp_path: Path) -> None:
    keychain, lock = MemoryKeychain(), tmp_path / "lock"
    tray = ProxyKeys(list, lambda: keychain, lambda: held(lock, 0.1))
    terminal = ProxyKeys(list, lambda: keychain, lambda: held(lock, 0.1))

    with held(lock, 1):
        for use in (lambda: tray.new("a"), lambda: terminal.revoke("a")):
            with pytest.raises(KeyringFailure, match="are being changed elsewhere"):
                use()
        tray.begin()
    tray.new("a")
    terminal.new("b")
    tray.read()

    assert [key.name for key in tray.current] == ["a", "b"]
