"""Another model in a body: the quick way and the thorough one say the same."""

import json
import random

import pytest

from fakes.random_json import random_text, random_value
from proxy.policy.body import read_object, rewrite
from proxy.policy.model_name import with_model

BODIES = [
    b'{"model":"a"}',
    b'{ "model" :\n "a" , "x":"\\"model\\"" }',
    b'{"x":{"model":"inner"},"model":"a"}',
    b'{"contents":[{"role":"model"}],"model":"a"}',
    b'{"model":"a","model":"b"}',
    b'{"Model":"a","model":"b"}',
    b'{"mod\\u0065l":"a"}',
    b'{"mod\\u0065l":"b","model":"a"}',
    b'{"x":"mod\\u0065l","model":"a"}',
    b'{"model":null}',
    b'{"model":"a\\"b"}',
    b'{"model":5,"x":1}',
    b'{"x":1}',
    b'{"MODEL":"a"}',
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("model", ["b", "org/m-1", 'a"b', "gr\u00fc\u00df", "\ud800"])
def test_both_ways_say_the_same(body: bytes, model: str) -> None:
    written = with_model(body, read_object(body), model)
    assert written == rewrite(body, {"model": model})
    assert json.loads(written)["model"] == model


def test_they_do_for_any_body() -> None:
    chance = random.Random(20261128)
    for _ in range(300):
        fields = {name: random_value(chance) for name in ("messages", "x", "role") if chance.random() < 0.7}
        fields["model"] = chance.choice(["a", "b/c", 'q"', "model", None])
        body = random_text(chance, fields).encode()
        assert with_model(body, read_object(body), "new") == rewrite(body, {"model": "new"}), body
