"""A body whose members are known is changed as any other is."""

import random

import pytest

from fakes.random_json import NAMES, SPACES, random_text, random_value
from proxy.http.json_text import Written
from proxy.policy.additions import rewrite_known
from proxy.policy.body import REMOVED, read_object, rewrite

SEED = 20261128


@pytest.mark.parametrize(
    ("body", "changes", "expected"),
    [
        (b"{}", {"a": 1}, b'{"a":1}'),
        (b"{ \n}", {"a": 1, "b": [2]}, b'{"a":1,"b":[2] \n}'),
        (b'{"a":{"b":1} \r\n\t}', {"b": 2}, b'{"a":{"b":1},"b":2 \r\n\t}'),
        (b'{"a":1}', {"b": REMOVED}, b'{"a":1}'),
        (b'{"a":"\xc3\xa4"}', {"b": "\u00fc", "\u00e9": "\ud800"}, '{"a":"ä","b":"ü","\\u00e9":"\\ud800"}'.encode()),
        (b'{"a":1}', {"tools": Written('[{"x": 1}]')}, b'{"a":1,"tools":[{"x": 1}]}'),
        # what stands there already is changed where it stands, in every spelling
        (b'{"topP":1,"a":2}', {"top_p": 0}, b'{"top_p":0,"a":2}'),
        (b'{"A":1,"a":2,"b":3}', {"a": 0, "c": 4}, b'{"a":0,"b":3,"c":4}'),
        (b'{"tools":[],"a":2}', {"tools": Written("[1]")}, b'{"tools":[1],"a":2}'),
        (b' {"a":1} ', {"b": 2}, b' {"a":1,"b":2} '),
    ],
)
def test_members_are_added_at_the_end_and_changed_where_they_stand(
    body: bytes, changes: dict[str, object], expected: bytes
) -> None:
    assert rewrite_known(body, changes, read_object(body)) == expected == rewrite(body, changes)


def test_it_writes_what_a_reader_of_all_members_writes_for_thousands_of_random_bodies() -> None:
    chance = random.Random(SEED)
    for number in range(3000):
        fields = {chance.choice(NAMES): random_value(chance) for _ in range(chance.randrange(6))}
        body = f"{chance.choice(SPACES)}{random_text(chance, fields)}{chance.choice(SPACES)}".encode()
        names = [chance.choice([*NAMES, "new", "Other"]) for _ in range(chance.randrange(4))]
        changes = {name: chance.choice([REMOVED, random_value(chance)]) for name in names}

        assert rewrite_known(body, changes, read_object(body)) == rewrite(body, changes), (number, body, changes)
