"""A tool runs with exactly the arguments the model gave, in whatever form they come; else it does not run."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from fakes.response_turns import call, events, raw
from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Answer, Content, Json, Sse
from fakes.shared_upstream import Fresh
from fakes.streaming import RESPONSES
from fakes.tool_turns import chunk
from fakes.tool_ways import WAYS, Way
from proxy.tools.arguments import UNREADABLE, Unreadable, agreed, join_pieces, read_arguments, sent_back, text_of
from proxy.tools.consent import Consent, Question

PARIS = {"city": "Paris", "nights": 3}
PARIS_TEXT = json.dumps(PARIS)
BOOKED = "booked Paris 3"
NOT_RUN = "Error: The arguments of book cannot be read, so it was not run: "
every_way = pytest.mark.parametrize("way", WAYS, ids=str)


def told(proxy: RunningProxy, upstream: Fresh, way: Way, turn: Answer, **fields: Any) -> tuple[list[str], Any]:
    """Have the model take a turn, and return what it was told of its calls, and the request it was told in."""
    upstream.answers([turn, way.last()])
    answer = proxy.http.post(way.path, json=way.body(**fields))
    assert answer.status_code == 200, answer.text
    assert b"Done." in answer.content
    _, follow_up = upstream.requests
    return way.results(follow_up.json()), follow_up.json()


# --- whole, in every form ---------------------------------------------------------------------------------------------


@pytest.mark.core
@every_way
@pytest.mark.parametrize("given", [PARIS, PARIS_TEXT, f" \n{PARIS_TEXT}\t"], ids=["object", "text", "spaced text"])
def test_arguments_are_run_as_they_were_given(
    tool_proxy: RunningProxy, upstream: Fresh, way: Way, given: object
) -> None:
    results, follow_up = told(tool_proxy, upstream, way, way.turn({"name": "book", "arguments": given}))

    assert results == [BOOKED]
    [sent] = way.calls(follow_up)
    assert isinstance(sent["arguments"], str)
    assert json.loads(sent["arguments"]) == PARIS


@pytest.mark.parametrize("is_chat", [True, False])
def test_arguments_that_come_whole_though_a_stream_was_asked_for_are_run_too(
    tool_proxy: RunningProxy, upstream: Fresh, is_chat: bool
) -> None:
    whole_turn = Way(is_chat, is_streamed=False).turn({"name": "book", "arguments": PARIS})

    assert told(tool_proxy, upstream, Way(is_chat, is_streamed=True), whole_turn)[0] == [BOOKED]


@every_way
@pytest.mark.parametrize("given", [{}, {"arguments": None}, {"arguments": ""}, {"arguments": " \n"}], ids=str)
def test_where_the_model_gave_none_the_defaults_hold_and_what_is_needed_is_missed(
    tool_proxy: RunningProxy, upstream: Fresh, way: Way, given: dict[str, Any]
) -> None:
    turn = way.turn({"name": "book", **given}, {"name": "weather", **given})

    results, follow_up = told(tool_proxy, upstream, way, turn)

    assert results == ["booked NOWHERE 1", "Error: The arguments do not fit. city: Field required"]
    assert [sent["arguments"] for sent in way.calls(follow_up)] == ["{}", "{}"]


UNREADABLES: dict[str, tuple[object, str]] = {
    "a list": ([PARIS], "they are a list"),
    "a number": (5, "they are a number"),
    "true": (True, "they are true or false"),
    "false": (False, "they are true or false"),
    "zero": (0, "they are a number"),
    "an empty list": ([], "they are a list"),
    "a list as text": ('["Paris"]', "they are a list"),
    "an object as text as text": (json.dumps(PARIS_TEXT), "they are a string"),
    "null as text": ("null", "they are null"),
    "no JSON": ("city=Paris", "they are not valid JSON"),
    "Python": ("{'city': 'Paris'}", "they are not valid JSON"),
    "cut off": (PARIS_TEXT[:-1], "they are not valid JSON"),
    "two objects": (PARIS_TEXT + PARIS_TEXT, "they are more than one JSON value"),
    "an empty object before another": ("{}" + PARIS_TEXT, "they are more than one JSON value"),
    "a member twice": ('{"city": "Paris", "city": "Rome"}', "'city' stands in them twice"),
    "a member twice, spelled otherwise": ('{"city": "Paris", "cit\\u0079": "Rome"}', "'city' stands in them twice"),
    "a member twice, deep within": ('{"city": {"a": [{"b": 1, "b": 2}]}}', "'b' stands in them twice"),
    "NaN": ('{"nights": NaN}', "NaN is not a JSON number"),
    "an infinite number": ('{"nights": -Infinity}', "-Infinity is not a JSON number"),
    "a number too large": ('{"nights": 1e999}', "the number 1e999 is too large"),
    "a number too long": ('{"nights": %s}' % ("9" * 5000), "they hold a number with too many digits"),
    "half of a character": ('{"city": "\\ud83d"}', "they hold half of a character"),
    "half of a character in an object": ({"city": "\ud83d"}, "they hold half of a character"),
    "nested too deeply": ('{"city": ' + "[" * 20_000 + "]" * 20_000 + "}", "they are nested too deeply"),
}


@every_way
@pytest.mark.parametrize(("given", "why"), UNREADABLES.values(), ids=UNREADABLES)
def test_what_is_no_object_is_told_and_nothing_runs(
    tool_proxy: RunningProxy, upstream: Fresh, way: Way, given: object, why: str
) -> None:
    [result], follow_up = told(tool_proxy, upstream, way, way.turn({"name": "book", "arguments": given}))

    assert result.startswith(NOT_RUN + why)
    assert result.count("\n") == 0
    assert len(result) < 250
    [sent] = way.calls(follow_up)
    assert json.loads(sent["arguments"]) == {UNREADABLE: text_of(given)}


@every_way
def test_an_object_over_the_limit_is_told_and_not_run(tool_proxy: RunningProxy, upstream: Fresh, way: Way) -> None:
    turn = way.turn({"name": "book", "arguments": {"city": "x" * 65_536}})

    assert told(tool_proxy, upstream, way, turn)[0] == ["Error: The arguments are larger than 65536 bytes."]


@every_way
def test_letters_beyond_ascii_count_as_much_in_an_object_as_in_a_text(
    tool_proxy: RunningProxy, upstream: Fresh, way: Way
) -> None:
    city = "ä" * 20_000  # 40 kB; as escapes it would be 120

    [result], _ = told(tool_proxy, upstream, way, way.turn({"name": "book", "arguments": {"city": city}}))

    assert result == f"booked {city} 1"


@every_way
def test_an_object_that_names_a_member_twice_is_no_better_than_a_text_that_does(
    tool_proxy: RunningProxy, upstream: Fresh, way: Way
) -> None:
    turn = way.turn({"name": "book", "arguments": {"city": "Paris", "MARK": "Rome"}})
    doubled = Content(as_bytes(turn).replace(b"MARK", b"city"), content_type(way))

    [result], follow_up = told(tool_proxy, upstream, way, doubled)

    assert result == f"{NOT_RUN}'city' stands in them twice."
    assert "Paris" in way.calls(follow_up)[0]["arguments"]


def content_type(way: Way) -> str:
    """Return how an answer is named."""
    return "text/event-stream" if way.is_streamed else "application/json"


def as_bytes(turn: Answer) -> bytes:
    """Return the body of a scripted answer."""
    return b"".join(turn._pieces()) if isinstance(turn, Sse) else json.dumps(turn.value).encode()  # type: ignore[attr-defined]  # Json


@every_way
@pytest.mark.parametrize("name", [None, "", 5, True, ["book"], {"name": "book"}], ids=str)
def test_a_call_without_a_name_is_told(tool_proxy: RunningProxy, upstream: Fresh, way: Way, name: object) -> None:
    turn = way.turn({"name": name, "arguments": PARIS}, {"arguments": PARIS}, {"name": "book", "arguments": PARIS})

    results, follow_up = told(tool_proxy, upstream, way, turn)

    assert results == ["Error: There is no tool named ''."] * 2 + [BOOKED]
    assert [sent["name"] for sent in way.calls(follow_up)] == ["unnamed", "unnamed", "book"]


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("call_id", [5, True, ["a"], {"a": 1}, "", None], ids=str)
def test_an_id_of_any_kind_goes_back_as_a_text(
    tool_proxy: RunningProxy, upstream: Fresh, is_streamed: bool, call_id: object
) -> None:
    way = Way(is_chat=True, is_streamed=is_streamed)
    own = {"id": call_id, "type": "function", "function": {"name": "book", "arguments": PARIS}}
    whole = Json({"choices": [{"index": 0, "message": {"tool_calls": [own]}, "finish_reason": "tool_calls"}]})

    results, follow_up = told(tool_proxy, upstream, way, odd_pieces({"index": 0, **own}) if is_streamed else whole)

    assert results == [BOOKED]
    _, asking, answering = follow_up["messages"]
    assert asking["tool_calls"][0]["id"] == answering["tool_call_id"]
    assert isinstance(answering["tool_call_id"], str)
    assert answering["tool_call_id"]


@every_way
def test_calls_of_both_sides_under_one_id_are_kept_apart(tool_proxy: RunningProxy, upstream: Fresh, way: Way) -> None:
    function = {"name": "open_file", "parameters": {"type": "object"}}
    own = {"type": "function", **({"function": function} if way.is_chat else function)}
    turn = way.turn({"name": "book", "arguments": PARIS}, {"name": "open_file", "arguments": "{}"})
    upstream.answer(Content(as_bytes(turn).replace(b"call_0", b"call_1"), content_type(way)))

    shown = tool_proxy.http.post(way.path, json=way.body(tools=[own]))

    assert [call["name"] for call in way.calls_shown(shown.content)] == ["open_file"]


@every_way
def test_a_name_the_api_does_not_take_goes_back_as_one_it_does(
    tool_proxy: RunningProxy, upstream: Fresh, way: Way
) -> None:
    turn = way.turn({"name": "functions.book", "arguments": "{}"})

    results, follow_up = told(tool_proxy, upstream, way, turn)

    assert results == ["Error: There is no tool named 'functions.book'."]
    assert way.calls(follow_up)[0]["name"] == "functions_book"


@every_way
@pytest.mark.parametrize("member", ["parameters", "input"])
def test_arguments_under_the_name_models_are_trained_on_are_not_dropped(
    tool_proxy: RunningProxy, upstream: Fresh, way: Way, member: str
) -> None:
    results, follow_up = told(tool_proxy, upstream, way, way.turn({"name": "book", member: PARIS}))

    assert results == [BOOKED]
    assert json.loads(way.calls(follow_up)[0]["arguments"]) == PARIS
    assert member not in way.calls(follow_up)[0]


class SomeoneWilling:
    """Allow every call, and keep what was shown."""

    def __init__(self, consent: Consent) -> None:
        self.consent = consent
        self.shown: list[str] = []

    def ask(self, question: Question) -> None:
        self.shown.append(question.arguments)
        asyncio.get_running_loop().run_in_executor(None, self.consent.answer, question.id, "yes")

    def withdraw(self, question: Question) -> None:
        pass


@every_way
def test_the_question_to_the_user_shows_what_will_run(tool_proxy: RunningProxy, upstream: Fresh, way: Way) -> None:
    someone = SomeoneWilling(tool_proxy.services.tools.consent)
    detach = someone.consent.attach(someone)
    tool_proxy.services.store.update(tool_consent={"book": "ask"})
    try:
        turn = way.turn(*({"name": "book", "arguments": given} for given in (PARIS, None, "[1]", PARIS_TEXT)))
        results, _ = told(tool_proxy, upstream, way, turn)
    finally:
        tool_proxy.services.store.update(tool_consent={})
        detach()

    assert results == [BOOKED, "booked NOWHERE 1", f"{NOT_RUN}they are a list, not an object.", BOOKED]
    assert [json.loads(arguments) for arguments in someone.shown] == [PARIS, {}, PARIS]


@every_way
def test_the_clients_own_call_stays_as_it_came_and_goes_back_as_the_api_has_it(
    tool_proxy: RunningProxy, upstream: Fresh, way: Way
) -> None:
    function = {"name": "open_file", "parameters": {"type": "object"}}
    own = {"type": "function", **({"function": function} if way.is_chat else function)}
    turn = way.turn({"name": "book", "arguments": PARIS}, {"name": "open_file", "arguments": {"path": "a"}})
    upstream.answers([turn, way.last()])

    shown = tool_proxy.http.post(way.path, json=way.body(tools=[own]))

    assert [call["arguments"] for call in way.calls_shown(shown.content)] == [{"path": "a"}]
    assert len(upstream.requests) == 1

    back = '{ "path":"a" }'
    if way.is_chat:
        called = {"id": "call_1", "type": "function", "function": {"name": "open_file", "arguments": back}}
        more: Any = [{"role": "assistant", "content": None, "tool_calls": [called]}]
        more.append({"role": "tool", "tool_call_id": "call_1", "content": "text of a"})
        asked = way.body(tools=[own])
        asked["messages"] = [*asked["messages"], *more]
    else:
        item = {"id": "fc_1", **call("call_1", "open_file", back)}
        output = {"type": "function_call_output", "call_id": "call_1", "output": "text of a"}
        asked = way.body(tools=[own], input=[{"role": "user", "content": "Hi"}, item, output])
    tool_proxy.http.post(way.path, json=asked)

    sent = upstream.requests[1].json()
    assert way.results(sent) == [BOOKED, "text of a"]
    assert [json.loads(one["arguments"]) for one in way.calls(sent)] == [PARIS, {"path": "a"}]


# --- streamed chats: in pieces ----------------------------------------------------------------------------------------


def pieces(*given: object, **more: Any) -> Sse:
    """Return a streamed call whose arguments come in these pieces."""
    head: dict[str, Any] = {"index": 0, "id": "a", "type": "function", "function": {"name": "book"}}
    calls = [head, *({"index": 0, "function": {"arguments": piece}} for piece in given)]
    return odd_pieces(*calls)


def odd_pieces(*calls: dict[str, Any]) -> Sse:
    """Return a streamed turn of these pieces of calls."""
    told = [chunk({"role": "assistant", "content": ""}), *(chunk({"tool_calls": [call]}) for call in calls)]
    return Sse([*told, chunk({}, "tool_calls")])


ONE = '{"city": "Paris"'
PIECES: dict[str, tuple[Sequence[object], str]] = {
    "text": ((ONE, ', "nights": 3}'), BOOKED),
    "text between nothings": ((None, "", ONE, None, "", ', "nights": 3}', "", None), BOOKED),
    "one object": ((PARIS,), BOOKED),
    "an object between nothings": (("", None, PARIS, None, ""), BOOKED),
    "an empty object": (({},), "booked NOWHERE 1"),
    "nothing": ((None, "", None), "booked NOWHERE 1"),
    "an object after half a text": ((ONE, PARIS), NOT_RUN),
    "an object after a whole text": ((PARIS_TEXT, PARIS), NOT_RUN),
    "text after an object": ((PARIS, ', "nights": 3}'), NOT_RUN),
    "an object after an empty one": (({}, PARIS), NOT_RUN),
    "text after an empty object": (({}, ONE, ', "nights": 3}'), NOT_RUN),
    "an object in two halves": (({"city": "Paris"}, {"nights": 3}), NOT_RUN),
    "the same object twice": ((PARIS, PARIS), NOT_RUN),
    "a list": (([PARIS],), NOT_RUN),
    "a number": ((3,), NOT_RUN),
    "false": ((False,), NOT_RUN),
    "text and a number": ((ONE, 3, "}"), NOT_RUN),
}


@pytest.mark.parametrize(("given", "result"), PIECES.values(), ids=PIECES)
def test_pieces_that_make_no_object_are_told(
    tool_proxy: RunningProxy, upstream: Fresh, given: Sequence[object], result: str
) -> None:
    [got], _ = told(tool_proxy, upstream, Way(is_chat=True, is_streamed=True), pieces(*given))

    assert got.startswith(result)
    assert (got == result) is (result != NOT_RUN)


def whole(city: str, **more: Any) -> dict[str, Any]:
    """Return a whole call in one piece, without an id."""
    return {"index": 0, "function": {"name": "book", "arguments": json.dumps({"city": city, "nights": 3})}, **more}


HEAD: dict[str, Any] = {"id": "a", "type": "function", "function": {"name": "book", "arguments": ""}}
REST: dict[str, Any] = {"function": {"arguments": PARIS_TEXT}}
ROME = "booked Rome 3"
CALLS: dict[str, tuple[Sequence[dict[str, Any]], list[str]]] = {
    "whole calls under one index": ((whole("Paris"), whole("Rome")), [BOOKED, ROME]),
    "whole calls with empty ids": ((whole("Paris", id=""), whole("Rome", id="")), [BOOKED, ROME]),
    "whole calls without an index": ((whole("Paris", index=None), whole("Rome", index=None)), [BOOKED, ROME]),
    "whole objects under one index": (
        ({"index": 0, "function": {"name": "book", "arguments": PARIS}}, whole("Rome")),
        [BOOKED, ROME],
    ),
    "two names under one index": (
        ({"index": 0, "function": {"name": "meteo", "arguments": "{}"}}, whole("Rome")),
        ["Error: There is no tool named 'meteo'.", ROME],
    ),
    "the same whole call twice": ((whole("Paris"), whole("Paris")), [NOT_RUN]),
    "the same whole call twice under its id": ((whole("Paris", id="a"), whole("Paris", id="a")), [NOT_RUN]),
    "two whole calls under one id": ((whole("Paris", id="a"), whole("Rome", id="a")), [NOT_RUN]),
    "a name again after the whole": (
        (whole("Paris"), {"index": 0, "function": {"name": "book", "arguments": ""}}),
        [BOOKED],
    ),
    "halves of two calls under one index": (
        ({"index": 0, "function": {"name": "book", "arguments": ONE}}, whole("Rome")),
        [NOT_RUN],
    ),
    "the id in every piece and no index": ((HEAD, {"id": "a", **REST}), [BOOKED]),
    "no index after one counted from 1": (({"index": 1, **HEAD}, REST), [BOOKED]),
    "an index that counts pieces": (({"index": 0, **HEAD}, {"index": 1, **REST}), [BOOKED]),
    "an index after none": ((HEAD, {"index": 0, **REST}), [BOOKED]),
    "without the member around": (({"index": 0, "id": "a", "name": "book", "arguments": PARIS},), [BOOKED]),
    "without the member around, in pieces": (
        (
            {"index": 0, "id": "a", "name": "book", "arguments": ONE},
            {"index": 0, "arguments": ', "nights": 3}'},
            {"index": 0, "arguments": " "},
        ),
        [BOOKED],
    ),
    "arguments beside the function": (
        ({"index": 0, "id": "a", "function": {"name": "book"}, "arguments": PARIS},),
        [BOOKED],
    ),
    "a function that is no object": (
        ({"index": 0, "id": "a", "function": "book"}, {"index": 0, "function": None}),
        ["Error: There is no tool named ''."],
    ),
    "a name of two kinds": (
        ({"index": 0, "id": "a", "function": {"name": 5}}, {"index": 0, "function": {"name": "book"}}),
        ["Error: There is no tool named ''."],
    ),
}


@pytest.mark.parametrize(("calls", "results"), CALLS.values(), ids=CALLS)
def test_pieces_belong_to_one_call_or_are_told(
    tool_proxy: RunningProxy, upstream: Fresh, calls: Sequence[dict[str, Any]], results: list[str]
) -> None:
    got, _ = told(tool_proxy, upstream, Way(is_chat=True, is_streamed=True), odd_pieces(*calls))

    assert [NOT_RUN if one.startswith(NOT_RUN) else one for one in got] == results


@pytest.mark.parametrize("own", [{"name": "book", "arguments": PARIS}, {"function": {"name": "book"}, "input": PARIS}])
def test_a_whole_call_with_its_members_elsewhere_is_run_too(
    tool_proxy: RunningProxy, upstream: Fresh, own: dict[str, Any]
) -> None:
    way = Way(is_chat=True, is_streamed=False)
    flat = {"id": "a", "type": "function", "extra": 1, **own}
    turn = Json({"choices": [{"index": 0, "message": {"tool_calls": [flat]}, "finish_reason": "tool_calls"}]})

    results, follow_up = told(tool_proxy, upstream, way, turn)

    assert results == [BOOKED]
    [sent] = follow_up["messages"][1]["tool_calls"]
    assert sent.keys() == {"id", "type", "function", "extra"}


# --- streamed responses: what is told in several places ---------------------------------------------------------------

DELTA, WHOLE = "response.function_call_arguments.delta", "response.function_call_arguments.done"
ITEM = "response.output_item.done"
ROME_TEXT = json.dumps({"city": "Rome", "nights": 3})
NOTHING = object()


def telling(*, deltas: Sequence[object] = (), done: object = NOTHING, item: object = "", last: object = NOTHING) -> Sse:
    """Return a streamed response that tells the arguments of its call as given in each place."""
    own = {**call("a", "book", "")}
    plain = [one for one in events(own) if one["type"] not in (DELTA, WHOLE)]
    place = {"item_id": own["id"], "output_index": 0}
    told: list[dict[str, Any]] = []
    for event in plain:
        if event["type"] == ITEM:
            told += [{"type": DELTA, **place, "delta": delta} for delta in deltas]
            told += [] if done is NOTHING else [{"type": WHOLE, **place, "arguments": done}]
            event = {**event, "item": {**own, "arguments": item}}
        if event["type"] == "response.completed":
            output = [] if last is NOTHING else [{**own, "arguments": last}]
            event = {**event, "response": {**event["response"], "output": output}}
        told.append(event)
    return Sse(raw([{**event, "sequence_number": n} for n, event in enumerate(told)]), done=False)


TELLINGS: dict[str, tuple[Sse, str]] = {
    "everywhere": (telling(deltas=[ONE, ', "nights": 3}'], done=PARIS_TEXT, item=PARIS_TEXT, last=PARIS_TEXT), BOOKED),
    "the item alone": (telling(item=PARIS_TEXT), BOOKED),
    "the item alone, an object": (telling(item=PARIS), BOOKED),
    "the last event alone": (telling(last=PARIS), BOOKED),
    "the pieces alone": (telling(deltas=[ONE, ', "nights": 3}']), BOOKED),
    "the pieces, and nothing in the last event": (telling(deltas=[PARIS_TEXT], last=""), BOOKED),
    "one piece that is an object": (telling(deltas=["", PARIS, None]), BOOKED),
    "the whole alone, an object": (telling(done=PARIS, item=None), BOOKED),
    "the same in other words": (telling(done='{"nights":3,"city":"Paris"}', item=PARIS, last=PARIS_TEXT), BOOKED),
    "other pieces": (telling(deltas=[ROME_TEXT], item=PARIS_TEXT), NOT_RUN),
    "half of the pieces": (telling(deltas=[ONE], item=PARIS_TEXT), NOT_RUN),
    "another whole": (telling(done=ROME_TEXT, item=PARIS_TEXT), NOT_RUN),
    "another last event": (telling(item=PARIS_TEXT, last=ROME_TEXT), NOT_RUN),
    "an empty object against the whole": (telling(done=PARIS_TEXT, item="{}"), NOT_RUN),
    "pieces of two kinds": (telling(deltas=[ONE, PARIS], item=""), NOT_RUN),
}


@pytest.mark.parametrize(("turn", "result"), TELLINGS.values(), ids=TELLINGS)
def test_what_a_response_tells_in_several_places_must_agree(
    tool_proxy: RunningProxy, upstream: Fresh, turn: Sse, result: str
) -> None:
    [got], follow_up = told(tool_proxy, upstream, Way(is_chat=False, is_streamed=True), turn)

    assert got == result if result == BOOKED else got.startswith(result)
    assert isinstance(follow_up["input"][1]["arguments"], str)


def test_items_that_are_counted_alike_are_still_two(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    both = [call("a", "book", PARIS_TEXT), call("b", "book", ROME_TEXT)]
    alike = [{**event, "output_index": 0} if "output_index" in event else event for event in events(*both)]

    results, _ = told(tool_proxy, upstream, Way(is_chat=False, is_streamed=True), Sse(raw(alike), done=False))

    assert results == [BOOKED, ROME]


def test_a_call_of_a_response_without_an_id_is_given_one(tool_proxy: RunningProxy, upstream: Fresh) -> None:
    for way in (Way(is_chat=False, is_streamed=False), Way(is_chat=False, is_streamed=True)):
        upstream.answers([way.turn({"name": "book", "arguments": PARIS, "call_id": None}), way.last()])
        tool_proxy.http.post(RESPONSES, json=way.body())

        sent, output = upstream.requests[-1].json()["input"][1:]
        assert sent["call_id"] == output["call_id"] != ""


# --- the parts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        (" \r\n", {}),
        ("{}", {}),
        ('{"a": {"b": [1, -0.5, 1e300, null, true]}}', {"a": {"b": [1, -0.5, 1e300, None, True]}}),
        ('{"a": 9007199254740993}', {"a": 9007199254740993}),
        ('{"a": {"x": 1}, "b": {"x": 2}}', {"a": {"x": 1}, "b": {"x": 2}}),
        ('{"a": "\\ud83d\\ude00 ü"}', {"a": "😀 ü"}),
    ],
)
def test_one_object_is_read(text: str, value: object) -> None:
    assert read_arguments(text) == value


def test_many_members_cost_no_more_than_they_should() -> None:
    many = {f"name {number}": number for number in range(20_000)}

    assert read_arguments(json.dumps(many)) == many


def test_pieces_that_are_alone_stay_what_they_are() -> None:
    assert join_pieces(join_pieces(None, ""), PARIS) is PARIS
    assert join_pieces(PARIS, None) is PARIS
    assert join_pieces("a", "b") == "ab"


def test_texts_agree_by_what_they_say() -> None:
    assert agreed(["", '{"a":1,"b":2}', '{ "b": 2, "a": 1 }']) == '{ "b": 2, "a": 1 }'
    assert agreed(["", " "]) == ""
    for one, other in (('{"a":1}', '{"a":true}'), ('{"a":1}', '{"a":1,"a":1}'), ("{}", '{"a":1}')):
        with pytest.raises(Unreadable):
            read_arguments(agreed([one, other]))


@pytest.mark.parametrize(("text", "sent"), [("", "{}"), (" ", "{}"), ("{ }", "{}"), ('{"a": 1}', '{"a": 1}')])
def test_what_goes_back_is_an_object(text: str, sent: str) -> None:
    assert sent_back(text) == sent
