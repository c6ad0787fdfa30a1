"""Bodies with names twice and in every spelling: whatever an upstream reads, it reads what the rules say."""

import random
from typing import Any

import pytest

from fakes.json_readers import MISSING, READERS, like_c, like_go, like_protobuf, pairs_of, spelt
from fakes.random_json import SPACES, random_text
from proxy.policy.body import read_object
from proxy.policy.params import ParameterRules
from proxy.settings.parsing import fold_name

SEED = 20240609
RULES = ParameterRules.of(
    {"user": "me", "o3*": {"top_k": 1}},
    ("logit_bias", "o3*:top_p"),
    {"temperature": 0, "stop": ["x"], "gpt-4o*": {"model": "gpt-5-mini"}},
)
MODELS = ["o3", "O3-Mini", " o3", "gpt-4o", "GPT-4O-x", "other", "", None, 5, ["o3"]]
NAMES = ["model", "model", "temperature", "stop", "logit_bias", "top_p", "top_k", "user", "seed"]


def random_body(chance: random.Random) -> bytes:
    members = []
    for _ in range(chance.randrange(9)):
        name = chance.choice(NAMES)
        value = chance.choice(MODELS) if name == "model" else chance.choice([0, 1, "x", None, {"model": "o3"}])
        members.append(f"{spelt(chance, name)}:{chance.choice(SPACES)}{random_text(chance, value)}")
    return "{{{}}}".format(f"{chance.choice(SPACES)},".join(members)).encode()


def is_model(value: Any, beginning: str) -> bool:
    return isinstance(value, str) and value.strip().lower().startswith(beginning)


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_reads_what_the_rules_say(reader: str) -> None:
    chance, read = random.Random(SEED), READERS[reader]
    for number in range(4_000):
        body = random_body(chance)
        written, _ = RULES.apply(body, read_object(body))
        model = read(written, "model")

        assert read(written, "temperature") == 0, (number, body)
        assert read(written, "stop") == ["x"], (number, body)
        assert read(written, "logit_bias") == MISSING, (number, body)
        assert not is_model(model, "gpt-4o"), (number, body)
        if is_model(model, "o3"):
            assert read(written, "top_p") == MISSING, (number, body)


def test_every_reader_reads_the_same_model() -> None:
    chance = random.Random(SEED + 1)
    models = 0
    for number in range(4_000):
        body = random_body(chance)
        written, _ = RULES.apply(body, read_object(body))
        read = {repr(reader(written, "model")) for reader in READERS.values()}

        assert len(read - {"None", repr(MISSING)}) + bool(read & {"None", repr(MISSING)}) == 1, (number, body, read)
        models += "'gpt-5-mini'" in read
    assert models > 300


def test_what_no_rule_names_stays_in_its_place() -> None:
    chance = random.Random(SEED + 2)
    for number in range(4_000):
        body = random_body(chance)
        written, _ = RULES.apply(body, read_object(body))
        ruled = {fold_name(name) for name in ("model", "temperature", "stop", "logit_bias", "top_p")}
        given, left = pairs_of(body), pairs_of(written)

        kept = [pair for pair in given if fold_name(pair[0]) not in ruled]
        assert [pair for pair in left if fold_name(pair[0]) not in ruled][: len(kept)] == kept, (number, body)
        has_user = any(fold_name(name) == "user" for name, _ in given)
        assert has_user or left.count(("user", "me")) == 1, (number, body)


def test_a_body_the_rules_have_changed_once_is_right() -> None:
    chance = random.Random(SEED + 3)
    for number in range(2_000):
        body = random_body(chance)
        once, _ = RULES.apply(body, read_object(body))
        twice, changes = RULES.apply(once, read_object(once))

        assert (twice, dict(changes)) == (once, {}), (number, body)


def test_the_readers_read_as_those_they_stand_for() -> None:
    body = b'{"Model":1,"model":2,"MODEL":null,"topP":3,"top_p":4,"\\u017ftop":5,"user\\u0000x":6}'

    assert [reader(body, "model") for reader in READERS.values()] == [2, 2, 2, 1, 2]
    assert [reader(body, "top_p") for reader in READERS.values()] == [4, 4, 4, 4, 4]
    assert like_protobuf(b'{"top_p":4,"topP":3}', "top_p") == 3
    assert [reader(body, "stop") for reader in READERS.values()] == [MISSING, MISSING, 5, MISSING, MISSING]
    assert like_go(b'{"Model":"a","model":null}', "model") == "a"
    assert like_c(body, "user") == 6
