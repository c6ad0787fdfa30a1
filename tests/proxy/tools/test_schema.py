"""A function's type hints and docstring become what the model is told, and what its arguments are held against."""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass as pydantic_dataclass

from proxy.tools.schema import tool_of
from proxy.tools.tool import CallFailed, NotATool


@dataclass
class Place:
    """A place."""

    name: str
    height: float = 0.0


def everything(
    text: str,
    count: int,
    share: float = 0.5,
    flag: bool = False,
    way: Literal["up", "down"] = "up",
    maybe: Optional[str] = None,  # noqa: UP045  people write it
    words: list[str] = [],  # noqa: B006  people write it
    table: dict[str, int] | None = None,
    place: Place | None = None,
) -> str:
    """Take everything.

    And tell it all.

    Args:
        text: A text.
        count: How many,
            over two lines.
        place: Where.
    """
    return repr((text, count, share, flag, way, maybe, words, table, place))


def call(function: Any, **arguments: Any) -> Any:
    return tool_of(function, "test").invoke(json.dumps(arguments))


@pytest.mark.core
def test_hints_and_docstring_become_the_definition() -> None:
    tool = tool_of(everything, "test")

    assert tool.name == "everything"
    assert tool.description == "Take everything.\n\nAnd tell it all."
    properties = tool.parameters["properties"]
    assert tool.parameters["required"] == ["text", "count"]
    assert tool.parameters["additionalProperties"] is False
    assert properties["text"] == {"type": "string", "description": "A text."}
    assert properties["count"] == {"type": "integer", "description": "How many, over two lines."}
    assert properties["share"] == {"type": "number", "default": 0.5}
    assert properties["way"] == {"type": "string", "enum": ["up", "down"], "default": "up"}
    assert properties["words"]["items"] == {"type": "string"}
    assert "title" not in json.dumps(tool.parameters)


def test_arguments_arrive_as_the_hints_say() -> None:
    told = call(everything, text="a", count=2, place={"name": "Brocken", "height": 1141}, words=["x"], table={"k": 1})

    assert told == repr(("a", 2, 0.5, False, "up", None, ["x"], {"k": 1}, Place("Brocken", 1141.0)))


def test_a_mutable_default_is_not_shared_between_calls() -> None:
    def add(words: list[str] = []) -> list[str]:  # noqa: B006  that is the point
        """Add."""
        words.append("x")
        return words

    tool = tool_of(add, "test")
    assert [tool.invoke("{}"), tool.invoke("{}")] == [["x"], ["x"]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ('{"text": "a"}', "count: Field required"),
        ('{"text": "a", "count": "many"}', "count: "),
        ('{"text": "a", "count": 1, "way": "left"}', "way: "),
        ('{"text": "a", "count": 1, "other": 1}', "other: Extra inputs are not permitted"),
        ('{"text": "a", "count": 1, "share": NaN}', "share"),
        ("[]", "The arguments do not fit"),
        ("{", "The arguments do not fit"),
        ("", "text: Field required"),
    ],
)
def test_arguments_that_do_not_fit_are_told(arguments: str, said: str) -> None:
    with pytest.raises(CallFailed, match=said) as failure:
        tool_of(everything, "test").invoke(arguments)

    assert failure.value.outcome == "bad arguments"


class Room(BaseModel):
    """A room, as pydantic has it: what it does not know it drops."""

    beds: int = 1


@pydantic_dataclass
class Guest:
    """A guest, likewise."""

    name: str = "nobody"
    room: Room | None = None


class Anything(BaseModel):
    """Whatever there is."""

    model_config = ConfigDict(extra="allow")


def book(
    rooms: list[Room] = [],  # noqa: B006  people write it
    guest: Guest | None = None,
    place: Place | None = None,
    either: Room | dict[str, int] | None = None,
) -> str:
    """Book."""
    return repr((rooms, guest, place, either))


@pytest.mark.parametrize(
    "arguments",
    [
        '{"room": []}',
        '{"rooms": [{"beds": 2}, {"bed": 2}]}',
        '{"guest": {"nmae": "x"}}',
        '{"guest": {"name": "x", "room": {"bed": 2}}}',
        '{"place": {"name": "x", "hieght": 2}}',
    ],
)
def test_nothing_the_model_gave_is_dropped(arguments: str) -> None:
    with pytest.raises(CallFailed, match=r"not permitted|Unexpected keyword") as failure:
        tool_of(book, "test").invoke(arguments)

    assert failure.value.outcome == "bad arguments"


def test_the_type_that_keeps_everything_is_taken() -> None:
    assert call(book, either={"bed": 2}) == "([], None, None, {'bed': 2})"


def test_a_type_that_says_it_keeps_what_it_does_not_know_does() -> None:
    def note(thing: Anything) -> Any:
        """Note."""
        return thing.model_extra

    assert call(note, thing={"colour": "red"}) == {"colour": "red"}


def plan(
    count: int = 0,
    share: float = 0,
    money: Decimal = Decimal(0),
    numbers: list[int] = [],  # noqa: B006  people write it
    maybe: int | None = None,
    day: date | None = None,
    moment: datetime | None = None,
    while_: timedelta | None = None,
    flag: bool = False,
) -> Any:
    """Plan."""
    return count, share, money, numbers, maybe, day, moment, while_, flag


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": True},
        {"share": False},
        {"numbers": [1, True]},
        {"maybe": True},
        {"count": "2", "maybe": True},
        {"count": 1.5},
        {"count": "1.9"},
        {"day": 0},
        {"moment": 20240105},
        {"while_": 5},
        {"flag": 2},
    ],
    ids=str,
)
def test_one_kind_of_value_is_not_taken_for_another(arguments: dict[str, Any]) -> None:
    with pytest.raises(CallFailed, match="The arguments do not fit"):
        call(plan, **arguments)


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        ({"count": "5"}, 0, 5),
        ({"count": 5.0}, 0, 5),
        ({"share": "0.5"}, 1, 0.5),
        ({"money": "1.10"}, 2, Decimal("1.10")),
        ({"day": "2024-01-05"}, 5, date(2024, 1, 5)),
        ({"moment": "2024-01-05"}, 6, datetime(2024, 1, 5)),  # noqa: DTZ001  as it is given
        ({"flag": 1}, 8, True),
        ({"flag": "true"}, 8, True),
    ],
    ids=str,
)
def test_the_same_value_in_other_letters_is_taken(arguments: dict[str, Any], field: int, value: object) -> None:
    assert call(plan, **arguments)[field] == value


def test_argument_names_that_pydantic_keeps_for_itself_are_free() -> None:
    def names(schema: str, model_config: int, _private: int = 0, *, copy: str = "c", json: str = "") -> str:
        """Take names."""
        return f"{schema} {model_config} {copy}"

    assert call(names, schema="s", model_config=1) == "s 1 c"


def test_positional_arguments_are_passed_by_position() -> None:
    def divide(a: int, b: int, /) -> float:
        """Divide."""
        return a / b

    assert call(divide, b=4, a=1) == 0.25


def test_descriptions_may_stand_in_the_hint() -> None:
    def look(city: Annotated[str, Field(description="A city", max_length=5)]) -> str:
        """Look.

        Args:
            city: Something else.
        """
        return city

    assert tool_of(look, "test").parameters["properties"]["city"] == {
        "type": "string",
        "description": "A city",
        "maxLength": 5,
    }


@pytest.mark.parametrize("style", [":param city: Where.", "Parameters\n----------\ncity : str\n    Where."])
def test_docstrings_of_other_styles_are_read(style: str) -> None:
    def look(city: str) -> str:
        return city

    look.__doc__ = f"Look.\n\n{style}\n"
    tool = tool_of(look, "test")

    assert tool.description == "Look."
    assert tool.parameters["properties"]["city"]["description"] == "Where."


def untyped(a) -> int: ...  # type: ignore[no-untyped-def]
def half_typed(a: int, b) -> int: ...  # type: ignore[no-untyped-def]
def bare(): ...  # type: ignore[no-untyped-def]
def any_number(*numbers: int) -> int: ...
def any_names(**names: int) -> int: ...
def unknown(a: "Nowhere") -> int: ...  # type: ignore[name-defined]  # noqa: F821
def connection(a: pytest.Item) -> int: ...
def größe(a: int) -> int: ...


@pytest.mark.parametrize(
    "function", [untyped, half_typed, bare, any_number, any_names, unknown, connection, größe], ids=lambda f: f.__name__
)
def test_what_cannot_be_a_tool_says_why(function: Any) -> None:
    with pytest.raises(NotATool) as reason:
        tool_of(function, "test")

    assert str(reason.value)
    assert "\n" not in str(reason.value)
