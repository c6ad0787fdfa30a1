"""When the keys are read again: after a refusal, after a change by another process, and not too often."""

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.memory_keychain import MemoryKeychain
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json
from fakes.shared_upstream import Fresh
from proxy.errors.keyring import KeyringFailure, KeyringLocked
from proxy.keys.changes import AnnouncingKeychain, KeyChanges
from proxy.keys.proxy_keys import KEPT_AS, ProxyKeys
from proxy.keys.reading import Rereading
from proxy.keys.upstream_key import UPSTREAM, Secrets
from waiting import wait_for

MODELS = {"object": "list", "data": []}
OLD, NEW = "sk-the-old-upstream-key", "sk-the-new-upstream-key"


# --- rereading --------------------------------------------------------------------------------------------------------


def test_many_questions_are_one_reading_and_one_after_the_rest() -> None:
    reads, rest = [], 0.2
    rereading = Rereading(lambda: reads.append(threading.current_thread().name), rest)
    for _ in range(100):
        rereading.request()
    wait_for(lambda: len(reads) == 2, "what was asked in the rest is read after it")
    rereading.request()
    wait_for(lambda: len(reads) == 3, "a later question is read too")

    assert set(reads) == {"keys-again"}


def test_a_reading_that_fails_does_not_end_all_readings() -> None:
    reads: list[int] = []

    def read() -> None:
        reads.append(1)
        raise RuntimeError("a bug")

    rereading = Rereading(read, 0.01)
    for count in (1, 2):
        rereading.request()
        wait_for(lambda: len(reads) >= count, "it is read again")  # noqa: B023


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_proxy_key_made_elsewhere_is_known_after_its_first_refusal(
    start_proxy: Callable[..., RunningProxy], upstream: Fresh
) -> None:
    upstream.answer(Json(MODELS))
    proxy = start_proxy(openai_base_url=upstream.base_url, openai_api_key=OLD, proxy_require_api_key=True)
    entry = {"name": "elsewhere", "key": "op-made-elsewhere-000000", "made": "2026-01-01"}
    proxy.keychain.kept[KEPT_AS] = json.dumps([entry])

    def status() -> int:
        return proxy.http.get("/v1/models", headers={"x-api-key": entry["key"]}).status_code

    assert status() == 401
    wait_for(lambda: status() == 200, "the key was read after its refusal")


def test_an_upstream_key_changed_elsewhere_is_in_force_after_the_old_one_was_refused(
    start_proxy: Callable[..., RunningProxy], upstream: Fresh
) -> None:
    proxy = start_proxy(openai_base_url=upstream.base_url)
    proxy.services.secrets.keep(OLD)
    proxy.keychain.kept["upstream"] = NEW
    upstream.answer(Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, status=401))
    assert proxy.http.get("/v1/models").status_code == 401
    wait_for(lambda: proxy.services.secrets.state.key == NEW, "the new key is in force")
    upstream.answer(Json(MODELS))

    assert proxy.http.get("/v1/models").status_code == 200
    assert upstream.requests[-1].header("authorization") == f"Bearer {NEW}"


# --- changes by another process ---------------------------------------------------------------------------------------


def test_a_change_is_new_to_the_others_once_and_not_to_who_made_it(tmp_path: Path) -> None:
    mine, other = KeyChanges(tmp_path / "changed"), KeyChanges(tmp_path / "changed")
    keychain = AnnouncingKeychain(MemoryKeychain, mine)
    assert not other.is_new()
    keychain.write("upstream", OLD)

    assert [other.is_new(), other.is_new(), mine.is_new()] == [True, False, False]
    assert OLD.encode() not in (tmp_path / "changed").read_bytes()


def test_a_change_that_cannot_be_announced_is_kept_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("where a folder should be")
    kept = MemoryKeychain()
    AnnouncingKeychain(lambda: kept, KeyChanges(tmp_path / "a file" / "changed")).write("upstream", OLD)

    assert kept.kept["upstream"] == OLD


def test_a_change_by_another_process_is_news_though_we_announced_one_since(tmp_path: Path) -> None:
    mine, other = KeyChanges(tmp_path / "changed"), KeyChanges(tmp_path / "changed")
    other.announce()
    mine.announce()

    assert [mine.is_new(), mine.is_new()] == [True, False]


# --- changes while the keyring is being read --------------------------------------------------------------------------

LONG_ENOUGH_S = 0.1  # for a change that waits for nobody


class SlowKeychain(MemoryKeychain):
    """A keychain whose first answer is what it held when it was asked, and comes once `may_answer` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.may_answer = threading.Event(), threading.Event()

    def read(self, name: str) -> str | None:
        answer = super().read(name)
        if not self.asked.is_set():
            self.asked.set()
            assert self.may_answer.wait(10)
        return answer


def change_meanwhile(keychain: SlowKeychain, read: Callable[[], object], change: Callable[[], object]) -> None:
    """Make a change while a reading is under way."""
    reader, changer = threading.Thread(target=read), threading.Thread(target=change)
    reader.start()
    assert keychain.asked.wait(10)
    changer.start()
    changer.join(LONG_ENOUGH_S)
    keychain.may_answer.set()
    for thread in (reader, changer):
        thread.join(10)


@pytest.mark.parametrize("read", ["load", "reload"])
def test_a_key_set_while_the_keyring_is_read_is_in_force(read: str) -> None:
    keychain = SlowKeychain()
    keychain.kept[UPSTREAM] = OLD
    secrets = Secrets(lambda: None, lambda: keychain)
    change_meanwhile(keychain, getattr(secrets, read), lambda: secrets.keep(NEW))

    assert secrets.state.key == keychain.kept[UPSTREAM] == NEW


@pytest.mark.parametrize("read", ["load", "reload"])
def test_a_key_forgotten_while_the_keyring_is_read_is_gone(read: str) -> None:
    keychain = SlowKeychain()
    keychain.kept[UPSTREAM] = OLD
    secrets = Secrets(lambda: None, lambda: keychain)
    change_meanwhile(keychain, getattr(secrets, read), secrets.forget)

    assert secrets.state.key is None


@pytest.mark.parametrize("read", ["load", "reload", "first"])
def test_a_proxy_key_revoked_while_the_keyring_is_read_opens_nothing(read: str) -> None:
    keychain = SlowKeychain()
    keychain.kept[KEPT_AS] = json.dumps([{"name": name, "key": f"op-{name}"} for name in ("one", "two")])
    keys = ProxyKeys(list, lambda: keychain)
    change_meanwhile(keychain, getattr(keys, read), lambda: keys.revoke("one"))

    assert [key.name for key in keys.current] == ["two"]


# --- what the keyring holds -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", ["no JSON op-with-a-key-000000", '[{"key": 1}]', "7", '[["a"]]'])
def test_a_damaged_entry_is_told_without_what_is_in_it(entry: str) -> None:
    keychain = MemoryKeychain()
    keychain.kept[KEPT_AS] = entry
    keys = ProxyKeys(list, lambda: keychain)
    keys.load()
    with pytest.raises(KeyringFailure, match="is damaged") as caught:
        keys.new("another")

    assert "op-with" not in str(caught.value)
    assert caught.value.__suppress_context__
    assert keychain.kept[KEPT_AS] == entry


@pytest.mark.parametrize("name", ["", "  ", "x" * 61, "two\nlines", "\x1b[31m"])
def test_a_name_that_could_forge_a_line_is_refused(name: str) -> None:
    with pytest.raises(Exception, match="needs a name"):
        ProxyKeys(list, MemoryKeychain).new(name)


def test_listeners_hear_of_each_reading_and_change_and_may_use_the_keyring() -> None:
    keychain = MemoryKeychain()
    secrets = Secrets(lambda: None, lambda: keychain)
    heard: list[str] = []
    secrets.listen(lambda: heard.append(str(secrets.load_once())))

    secrets.load()
    secrets.load_once()
    secrets.keep("sk-a-key-to-keep-1234")
    secrets.keep_for_session("sk-a-key-for-now-5678")
    secrets.forget()

    assert heard == [
        "not set",
        "set, ends in 1234, from the keyring",
        "set, ends in 5678, for this session only",
        "not set",
    ]


def test_listeners_hear_of_a_keyring_that_cannot_be_read_but_of_no_change_that_failed() -> None:
    keychain = MemoryKeychain()
    secrets = Secrets(lambda: None, lambda: keychain)
    heard: list[str] = []
    secrets.listen(lambda: heard.append(str(secrets.state)))
    keychain.trouble = KeyringLocked()

    secrets.load()
    for change in (lambda: secrets.keep("sk-a-key-to-keep-1234"), secrets.forget):
        with pytest.raises(KeyringLocked):
            change()
    secrets.reload()

    assert len(heard) == 1
    assert heard[0].startswith("not set: ")
