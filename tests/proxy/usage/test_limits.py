"""Limits of a day and a month: a notice for all requests together, a refusal for one proxy key."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted.answers import Answer, Json, Sse
from fakes.scripted.recorded import Recorded
from fakes.scripted.samples import completion, completion_chunks
from fakes.scripted.steps import Step
from fakes.scripted.wire import Wire
from fakes.shared_upstream import Fresh
from proxy.flow.flow import Flow, Outcome
from proxy.settings.model import Settings
from proxy.usage.ledger import Ledger
from proxy.usage.limits import period_at
from proxy.usage.row import row_of
from proxy.usage.schema import connect
from proxy.usage.spending import Notice, Spending, Spent
from waiting import wait_for

CHAT = "/v1/chat/completions"
BODY = {"model": "my-model", "messages": [{"role": "user", "content": "Hi"}]}
MESSAGE = {"model": "my-model", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
EDITOR, OTHER = "key-of-the-editor", "key-of-another"
PRICES = {"my-model": {"input": 1_000_000, "output": 1_000_000}}  # a dollar a token


def using(tokens: int) -> Json:
    usage = {"prompt_tokens": tokens - 1, "completion_tokens": 1, "total_tokens": tokens}
    return Json({**completion("Hello"), "usage": usage})


def with_key(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def limited(upstream: Fresh, start: Callable[..., RunningProxy]) -> Callable[..., RunningProxy]:
    """Return a function that starts a proxy with two proxy keys and limits of them."""

    def begin(limits: dict[str, Any] | None, **settings: Any) -> RunningProxy:
        upstream.answer(using(10))
        return start(
            upstream.base_url,
            proxy_require_api_key=True,
            proxy_api_keys=f"{EDITOR},{OTHER}",
            **({} if limits is None else {"proxy_key_limits": limits}),
            **{"proxy_prices": PRICES, **settings},
        )

    return begin


def name_of(proxy: RunningProxy, key: str) -> str:
    return next(each.name for each in proxy.services.proxy_keys.current if each.key == key)


@pytest.mark.parametrize("limit", [{"day_usd": 10}, {"month_usd": 10}, {"day_tokens": 10}, {"month_tokens": 10}])
def test_the_request_after_the_one_that_reaches_a_limit_is_refused(
    limited: Callable[..., RunningProxy], upstream: Fresh, limit: dict[str, float]
) -> None:
    proxy = limited({"*": limit})

    first, second = (proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR)) for _ in range(2))

    assert first.status_code == 200
    assert second.status_code == 402
    assert second.headers["x-should-retry"] == "false"
    error = second.json()["error"]
    assert (error["type"], error["code"], error["param"]) == ("insufficient_quota", "budget_reached", None)
    assert name_of(proxy, EDITOR) in error["message"]
    assert "This resets on" in error["message"]
    assert "PROXY_KEY_LIMITS" in error["message"]
    assert len(upstream.requests) == 1


def test_the_limit_of_one_key_does_not_hold_for_another(limited: Callable[..., RunningProxy]) -> None:
    proxy = limited({"*": {"day_tokens": 10}})

    statuses = [
        proxy.http.post(CHAT, json=BODY, headers=with_key(key)).status_code for key in (EDITOR, EDITOR, OTHER, OTHER)
    ]

    assert statuses == [200, 402, 200, 402]


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1_000_000, "completion_tokens": 0},
        {"prompt_tokens": 0, "completion_tokens": -1_000_000},
        {"prompt_tokens": 0, "completion_tokens": 0, "prompt_tokens_details": {"cached_tokens": 1_000_000}},
        {"input_tokens": 1, "output_tokens": 0, "cache_read_input_tokens": -1_000_000},
        {"input_tokens": 0, "output_tokens": 0, "cache_creation_input_tokens": -1_000_000},
    ],
)
@pytest.mark.parametrize("limit", [{"day_usd": 10}, {"day_tokens": 10}])
def test_an_upstream_that_counts_below_zero_gives_nothing_back(
    limited: Callable[..., RunningProxy], upstream: Fresh, usage: dict[str, Any], limit: dict[str, float]
) -> None:
    proxy = limited({"*": limit}, proxy_prices={"my-model": {**PRICES["my-model"], "cached": 0}})
    upstream.answers([Json({**completion("Hello"), "usage": usage}), using(10)])

    statuses = [proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR)).status_code for _ in range(3)]

    assert statuses == [200, 200, 402]


def test_a_key_that_is_named_has_its_own_limits_and_no_other(limited: Callable[..., RunningProxy]) -> None:
    proxy = limited({})
    name = name_of(proxy, EDITOR)
    proxy = limited({"*": {"day_tokens": 10}, name: {"day_tokens": 15, "month_tokens": 1000}})

    statuses = [proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR)).status_code for _ in range(3)]

    assert statuses == [200, 200, 402]


@pytest.mark.parametrize(
    ("path", "body", "shape"),
    [
        ("/v1/chat/completions", BODY, "openai"),
        ("/v1/responses", {"model": "my-model", "input": "Hi"}, "openai"),
        ("/v1/embeddings", {"model": "my-model", "input": "Hi"}, "openai"),
        ("/v1/audio/speech", {"model": "my-model", "input": "Hi"}, "openai"),
        ("/v1/messages", MESSAGE, "claude"),
        ("/v1/messages/count_tokens", MESSAGE, "claude"),
    ],
)
def test_a_refusal_has_the_form_of_the_api_that_was_called(
    limited: Callable[..., RunningProxy], upstream: Fresh, path: str, body: dict[str, Any], shape: str
) -> None:
    proxy = limited({"*": {"day_tokens": 0}})

    refused = proxy.http.post(path, json=body, headers=with_key(EDITOR))

    assert refused.status_code == 402
    assert refused.headers["x-should-retry"] == "false"
    told = refused.json()
    if shape == "claude":
        assert (told["type"], told["error"]["type"]) == ("error", "billing_error")
    assert "This resets on" in told["error"]["message"]
    assert upstream.requests == []


def test_a_websocket_is_refused_before_it_opens(limited: Callable[..., RunningProxy], upstream: Fresh) -> None:
    proxy = limited({"*": {"day_tokens": 0}})
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    refused = proxy.http.get("/v1/realtime?model=m", headers={**with_key(EDITOR), **handshake})
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_reached")
    assert upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/models", "/v1/files", "/v1/health"])
def test_what_costs_nothing_is_not_refused(limited: Callable[..., RunningProxy], path: str) -> None:
    proxy = limited({"*": {"day_tokens": 0}})

    assert proxy.http.get(path, headers=with_key(EDITOR)).status_code == 200


def test_a_stream_that_runs_when_the_limit_is_reached_goes_on_to_its_end(
    limited: Callable[..., RunningProxy], upstream: Fresh
) -> None:
    proxy = limited({"*": {"day_tokens": 10}})
    upstream.answers([Sse(completion_chunks("Hello"), gap_s=0.1), using(10)])
    with proxy.http.stream("POST", CHAT, json={**BODY, "stream": True}, headers=with_key(EDITOR)) as running:
        pieces = running.iter_raw()
        told = [next(pieces)]
        statuses = [proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR)).status_code for _ in range(2)]
        told += pieces

    assert statuses == [200, 402]
    assert b"data: [DONE]" in b"".join(told)


def test_requests_of_unknown_price_count_as_unknown_and_the_refusal_says_so(
    limited: Callable[..., RunningProxy], upstream: Fresh
) -> None:
    proxy = limited({"*": {"day_usd": 10}})
    spending = proxy.services.ledger.spending
    assert spending is not None
    name = name_of(proxy, EDITOR)
    flow = Flow("POST", "/chat/completions", model_asked="nobody-knows", key_name=name)
    flow.end(Outcome.WHOLE, None, {"prompt_tokens": 10**9, "completion_tokens": 1})
    spending.add([row_of(flow, {})] * 2)
    assert proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR)).status_code == 200

    refused = proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR))

    assert refused.status_code == 402
    assert "2 requests whose price is unknown" in refused.json()["error"]["message"]


def test_limits_hold_after_a_restart(limited: Callable[..., RunningProxy], tmp_path: Path) -> None:
    before = limited({"*": {"day_tokens": 10}})
    before.http.post(CHAT, json=BODY, headers=with_key(EDITOR))
    before.server.stop()

    after = limited({"*": {"day_tokens": 10}}, ledger_file=before.services.ledger.file)

    assert after.http.post(CHAT, json=BODY, headers=with_key(EDITOR)).status_code == 402
    assert after.http.post(CHAT, json=BODY, headers=with_key(OTHER)).status_code == 200


def test_a_limit_that_is_raised_lets_the_next_request_pass(limited: Callable[..., RunningProxy]) -> None:
    proxy = limited(None)
    proxy.services.store.update(proxy_key_limits={"*": {"day_tokens": 0}})
    assert proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR)).status_code == 402
    proxy.services.store.update(proxy_key_limits={"*": {"day_tokens": 5}})
    assert proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR)).status_code == 200


# --- a clock that is set back ---------------------------------------------------------------------------------------


class Clock:
    """A clock that anybody may set."""

    def __init__(self, *date: int) -> None:
        self.set(*date)

    def set(self, *date: int) -> None:
        self.now = time.mktime((*date, *(0,) * (6 - len(date)), 0, 0, -1))

    def __call__(self) -> float:
        return self.now


def used_at(clock: Clock, tokens: int, key: str = "editor") -> Any:
    flow = Flow("POST", "/chat/completions", model_asked="my-model", key_name=key, began_at=clock())
    flow.end(Outcome.WHOLE, None, {"prompt_tokens": tokens, "completion_tokens": 0})
    return row_of(flow, PRICES)


SET_BACK = [
    ("day", (2026, 11, 12, 10), (2026, 11, 12, 8)),
    ("day", (2026, 11, 12, 0, 10), (2026, 11, 11, 23, 50)),
    ("day", (2026, 11, 12), (2026, 11, 2)),
    ("day", (2026, 12, 1, 0, 1), (2026, 11, 30, 23, 59)),
    ("month", (2026, 12, 1, 0, 1), (2026, 11, 30, 23, 59)),
    ("month", (2026, 12, 20), (2026, 10, 1)),
    ("month", (2027, 1, 1, 0, 1), (2026, 12, 31, 23, 59)),
    ("day", (2027, 1, 1, 0, 1), (2026, 12, 31, 23, 59)),
]


@pytest.mark.parametrize(("period", "date", "back"), SET_BACK)
@pytest.mark.parametrize("unit", ["usd", "tokens"])
def test_a_clock_that_is_set_back_opens_no_limit(
    period: str, date: tuple[int, ...], back: tuple[int, ...], unit: str
) -> None:
    clock = Clock(*date)
    settings = Settings(proxy_key_limits={"*": {f"{period}_{unit}": 10}}, proxy_prices=PRICES)
    spending = Spending(lambda: settings, clock)
    spending.add([used_at(clock, 10)])
    reached = spending.reached("editor", settings)
    assert reached is not None

    clock.set(*back)
    still = spending.reached("editor", settings)

    assert still is not None
    assert (still.used, still.period.ends) == (10, reached.period.ends)
    spending.add([used_at(clock, 1)])
    clock.set(*date)
    assert spending.reached("editor", settings) is not None
    assert spending.reached("another", settings) is None


@pytest.mark.parametrize(("period", "date", "back"), SET_BACK)
def test_a_clock_that_is_set_back_opens_no_limit_after_a_restart_either(
    tmp_path: Path, period: str, date: tuple[int, ...], back: tuple[int, ...]
) -> None:
    clock = Clock(*date)
    settings = Settings(proxy_key_limits={"*": {f"{period}_tokens": 10}})
    before = Spending(lambda: settings, clock)
    ledger = Ledger(tmp_path / "usage.sqlite3", lambda: 400, lambda: PRICES, spending=before)
    flow = Flow("POST", "/chat/completions", model_asked="my-model", key_name="editor", began_at=clock())
    flow.end(Outcome.WHOLE, None, {"prompt_tokens": 10, "completion_tokens": 0})
    ledger.ended(flow)
    ledger.stop()

    clock.set(*back)
    after = Spending(lambda: settings, clock)
    with closing(connect(tmp_path / "usage.sqlite3")) as file:
        after.sync(file)

    assert after.reached("editor", settings) is not None


def test_what_the_last_month_used_counts_again_once_the_clock_is_set_back_into_it() -> None:
    clock = Clock(2026, 11, 30, 23, 50)
    settings = Settings(proxy_key_limits={"*": {"month_tokens": 10}})
    spending = Spending(lambda: settings, clock)
    spending.add([used_at(clock, 10)])
    clock.set(2026, 12, 1, 0, 5)
    assert spending.reached("editor", settings) is None
    spending.add([used_at(clock, 1)])
    assert spending.today().tokens == 1

    clock.set(2026, 11, 30, 23, 55)

    assert spending.reached("editor", settings) is not None
    assert spending.today().tokens == 10


@pytest.mark.parametrize("wrong", [(2036, 5, 5), (2030, 1, 1)])
def test_a_clock_that_was_years_ahead_closes_no_limit_for_years(wrong: tuple[int, ...]) -> None:
    clock = Clock(*wrong)
    settings = Settings(proxy_key_limits={"*": {"day_tokens": 10, "month_tokens": 10}})
    spending = Spending(lambda: settings, clock)
    spending.add([used_at(clock, 10)])
    clock.set(2026, 11, 12)
    assert spending.reached("editor", settings) is None
    spending.add([used_at(clock, 10)])
    assert spending.reached("editor", settings) is not None
    clock.set(2026, 12, 12)
    assert spending.reached("editor", settings) is None


# --- requests that run at the same time -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held(Answer):
    """An answer that begins once it may."""

    answer: Answer
    may_begin: threading.Event

    def script(self, request: Recorded) -> Iterable[Step]:
        return [Wait(self.may_begin), *self.answer.script(request)]


@dataclass(frozen=True)
class Wait(Step):
    """Wait for an event."""

    event: threading.Event

    async def run(self, wire: Wire) -> None:
        await asyncio.to_thread(self.event.wait, 30)


def at_once(
    proxy: RunningProxy, upstream: Fresh, answer: Answer, body: dict[str, Any], path: str = CHAT, *, until: int = 5
) -> list[int]:
    """Send six requests that run at the same time, until so many are over; return the statuses, in order of size."""
    may_begin = threading.Event()
    upstream.answer(Held(answer, may_begin))

    def send() -> int:
        return proxy.http.post(path, json=body, headers=with_key(EDITOR), timeout=60).status_code

    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(send) for _ in range(6)]
        try:
            wait_for(lambda: sum(each.done() for each in asked) >= until and upstream.requests, "the refusals")
        finally:
            may_begin.set()
    return sorted(each.result() for each in asked)


SAME_TIME = [
    (CHAT, BODY),
    (CHAT, {**BODY, "stream": True}),
    (CHAT, {**BODY, "max_completion_tokens": 50}),
    ("/v1/responses", {"model": "my-model", "input": "Hi", "max_output_tokens": 30}),
    ("/v1/messages", {**MESSAGE, "max_tokens": 99}),
    ("/v1/embeddings", {"model": "my-model", "input": "A long text to embed. " * 20}),
]


@pytest.mark.parametrize(("path", "body"), SAME_TIME)
def test_requests_at_the_same_time_do_not_all_pass_by_the_same_rest(
    limited: Callable[..., RunningProxy], upstream: Fresh, path: str, body: dict[str, Any]
) -> None:
    proxy = limited({"*": {"day_tokens": 10} if "messages" in path else {"month_usd": 10}})
    answer = Sse(completion_chunks("Hello")) if body.get("stream") else using(10)

    statuses = at_once(proxy, upstream, answer, body, path)

    assert statuses == [200] + [402] * 5
    assert len(upstream.requests) == 1


def test_what_was_reserved_is_free_again_once_a_request_has_used_less_or_failed(
    limited: Callable[..., RunningProxy], upstream: Fresh
) -> None:
    proxy = limited({"*": {"day_tokens": 100}})
    upstream.answers([using(10), Json({"error": {"message": "no"}}, status=400), using(10)])

    statuses = [proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR)).status_code for _ in range(5)]

    assert statuses == [200, 400, 200, 200, 200]


def test_requests_at_the_same_time_are_let_in_by_what_others_of_the_key_used(
    limited: Callable[..., RunningProxy], upstream: Fresh
) -> None:
    proxy = limited({"*": {"day_tokens": 500}})
    for _ in range(5):
        proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR))
    assert at_once(proxy, upstream, using(10), BODY, until=0) == [200] * 6


def test_a_refusal_for_what_still_runs_says_so(limited: Callable[..., RunningProxy], upstream: Fresh) -> None:
    proxy = limited({"*": {"day_tokens": 10}})
    may_begin = threading.Event()
    upstream.answer(Held(using(10), may_begin))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(proxy.http.post, CHAT, json=BODY, headers=with_key(EDITOR))
        try:
            wait_for(lambda: upstream.requests, "the first at the upstream")
            refused = proxy.http.post(CHAT, json=BODY, headers=with_key(EDITOR))
        finally:
            may_begin.set()
        assert first.result().status_code == 200
    assert refused.status_code == 402
    assert "reserved for a running request" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"


# --- the sums, and notices --------------------------------------------------------------------------------------------


class Desk:
    """A ledger with limits of all requests, and what it tells."""

    def __init__(self, file: Path, **settings: Any) -> None:
        self.settings = Settings.model_validate(settings)
        self.spending = Spending(lambda: self.settings)
        self.ledger = Ledger(file, lambda: 400, lambda: PRICES, spending=self.spending)
        self.notices: list[Notice] = []
        self.spending.listen(lambda notice: self.notices.append(notice) if notice else None)

    def use(self, tokens: int, **facts: Any) -> None:
        flow = Flow("POST", "chat/completions", model_asked="my-model", **facts)
        flow.end(Outcome.WHOLE, None, {"prompt_tokens": tokens, "completion_tokens": 0})
        self.ledger.ended(flow)
        self.ledger.stop()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def begin(**settings: Any) -> Desk:
        made.append(Desk(tmp_path / "usage.sqlite3", **settings))
        return made[-1]

    yield begin
    for each in made:
        each.ledger.stop()


@pytest.mark.parametrize(
    ("limit", "word"),
    [
        ({"proxy_daily_limit_usd": 10}, "daily"),
        ({"proxy_monthly_limit_usd": 10}, "monthly"),
        ({"proxy_daily_limit_tokens": 10}, "daily"),
        ({"proxy_monthly_limit_tokens": 10}, "monthly"),
        ({"proxy_key_limits": {"editor": {"day_usd": 10}}}, "daily"),
    ],
)
def test_a_limit_gives_notice_once_in_its_period_also_after_a_restart(
    desk: Callable[..., Desk], limit: dict[str, Any], word: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = desk(**limit), desk(**limit)

    first.use(9, key_name="editor")
    assert first.notices == []
    for each in (first, first, second):
        each.use(1, key_name="editor")

    [notice] = first.notices
    assert word in notice.title
    assert "This resets on" in notice.text
    assert second.notices == []
    assert sum("limit" in record.message and "is reached" in record.message for record in caplog.records) == 1


def test_a_limit_that_was_raised_gives_notice_again(desk: Callable[..., Desk]) -> None:
    first, second = desk(proxy_daily_limit_tokens=10), desk(proxy_daily_limit_tokens=20)
    first.use(15)
    second.use(15)
    assert [len(each.notices) for each in (first, second)] == [1, 1]


@pytest.mark.parametrize("days_ago", [1, 40, 400])
def test_what_was_used_in_another_period_does_not_count(desk: Callable[..., Desk], days_ago: int) -> None:
    made = desk(proxy_daily_limit_tokens=10)
    made.use(100, began_at=time.time() - days_ago * 86_400)
    assert made.spending.today() == Spent()
    assert made.notices == []


def test_what_another_program_writes_counts_too(desk: Callable[..., Desk]) -> None:
    one, other = desk(), desk()
    for number in range(3):
        one.use(number + 1)
        other.use(10)
    one.use(0)
    assert one.spending.today() == Spent(7, 36, 36.0, 0)


@pytest.mark.parametrize("held", [b"no ledger at all" * 400, b"SQLite format 3\0" + b"\xff" * 4096, None])
def test_a_file_that_cannot_be_read_leaves_the_counting_to_memory(
    desk: Callable[..., Desk], tmp_path: Path, held: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "usage.sqlite3"
    if held is None:
        newer = connect(file)
        newer.execute("PRAGMA user_version = 1000")
        newer.close()
    else:
        file.write_bytes(held)
    made = desk(proxy_daily_limit_tokens=10)

    made.use(6)
    made.use(6)

    assert made.spending.today().tokens == 12
    assert len(made.notices) == 1
    assert sum("cannot be written" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        ((2026, 2, 28, 23, 59, 59), (2026, 3, 1)),
        ((2026, 12, 31, 0, 0, 0), (2027, 1, 1)),
        ((2028, 2, 28, 12, 0, 0), (2028, 2, 29)),
    ],
)
def test_a_day_ends_at_midnight_of_the_local_clock(moment: tuple[int, ...], ends: tuple[int, ...]) -> None:
    period = period_at("day", time.mktime((*moment, 0, 0, -1)))
    assert time.localtime(period.ends)[:6] == (*ends, 0, 0, 0)


@pytest.mark.parametrize(
    ("moment", "ends"), [((2026, 2, 28), (2026, 3, 1)), ((2026, 12, 1), (2027, 1, 1)), ((2026, 10, 31), (2026, 11, 1))]
)
def test_a_month_ends_at_its_last_midnight(moment: tuple[int, ...], ends: tuple[int, ...]) -> None:
    period = period_at("month", time.mktime((*moment, 0, 0, 0, 0, 0, -1)))
    assert time.localtime(period.ends)[:6] == (*ends, 0, 0, 0)


@pytest.mark.parametrize(
    "limits",
    [
        {"editor": {"week_usd": 1}},
        {"editor": {"day_usd": -1}},
        {"editor": {"day_usd": True}},
        {"editor": {}},
        {"editor": 5},
        {"editor": {"day_tokens": float("inf")}},
    ],
)
def test_a_limit_that_is_none_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="limit"):
        Settings(proxy_key_limits=limits)
