"""Several upstreams behind one address: which is asked, with which key and model, and who is asked next."""

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import (
    Answer,
    CloseBeforeHeaders,
    Fin,
    HeadThenStall,
    Html,
    Json,
    Redirect,
    SilentBeforeHeaders,
    Sse,
    completion,
    completion_chunks,
)
from fakes.shared_upstream import UPSTREAM_KEY, Fresh, proxy_before
from fakes.two_upstreams import OTHERS_KEY as KEY
from fakes.two_upstreams import PLAIN, Desk, chat, text
from proxy.keys.upstream_keys import entry_of
from waiting import wait_for


def test_a_prefix_chooses_the_upstream_and_is_not_sent(desk: Desk) -> None:
    with desk.run() as proxy:
        reply = chat(proxy, "other/m")
    assert text(reply) == "of the other"
    assert desk.other.request.json()["model"] == "m"
    assert desk.other.request.header("Authorization") == f"Bearer {KEY}"
    assert reply.headers["x-proxy-upstream"] == "other"
    assert desk.first.requests == []


@pytest.mark.parametrize("model", ["m", "meta/llama", None])
def test_the_chosen_one_gets_the_rest(desk: Desk, model: str | None) -> None:
    with desk.run() as proxy:
        assert text(chat(proxy, model)) == "of the first"
        proxy.services.store.update(proxy_upstream="other")
        assert text(chat(proxy, model)) == "of the other"
    assert desk.other.request.json().get("model") == model
    assert KEY not in str(desk.first.request.headers)


def test_a_pattern_and_an_alias_choose(desk: Desk) -> None:
    with desk.run({"models": ["llama-*"]}, proxy_aliases={"fast": "other/small", "llama-1": "default/big"}) as proxy:
        assert text(chat(proxy, "llama-3")) == "of the other"
        assert text(chat(proxy, "fast")) == "of the other"
        assert text(chat(proxy, "llama-1")) == "of the first"
    assert [request.json()["model"] for request in desk.other.requests] == ["llama-3", "small"]
    assert desk.first.request.json()["model"] == "big"


def test_a_header_names_the_upstream_and_is_not_sent(desk: Desk) -> None:
    desk.other.answer(Json({"id": "f"}), path="/v1/files")
    with desk.run() as proxy:
        reply = proxy.http.post("/v1/files", content=b"x", headers={"X-Proxy-Upstream": "other"})
    assert reply.json() == {"id": "f"}
    assert desk.other.request.header("X-Proxy-Upstream") is None
    assert desk.first.requests == []


@pytest.mark.parametrize("name", ["othr", "Other", "other/m", "x" * 500])
@pytest.mark.parametrize("path", ["/v1/files", "/v1/chat/completions", "/v1/messages", "/v1/models"])
def test_a_header_that_names_nobody_sends_nothing_to_anybody(desk: Desk, name: str, path: str) -> None:
    method = "GET" if path.endswith("models") else "POST"
    with desk.run() as proxy:
        asked = {"json": {**PLAIN, "model": "m", "max_tokens": 1}} if method == "POST" else {}
        reply = proxy.http.request(method, path, headers={"X-Proxy-Upstream": name}, **asked)
    said = reply.json()["error"]["message"]
    assert reply.status_code == 400
    assert "names no upstream" in said
    assert name[:60] in said
    assert "x" * 70 not in said
    assert desk.first.requests == desk.other.requests == []


def test_where_the_model_says_whom_the_header_is_not_looked_at(desk: Desk) -> None:
    with desk.run(proxy_aliases={"fast": "other/small"}) as proxy:
        for model in ("other/m", "fast"):
            assert text(chat(proxy, model, headers={"X-Proxy-Upstream": "nobody"})) == "of the other"


@pytest.mark.parametrize(("name", "status"), [("default", 200), ("nobody", 400), ("", 200)])
def test_with_one_upstream_the_header_may_name_it_alone(desk: Desk, tmp_path: Path, name: str, status: int) -> None:
    with proxy_before(desk.first.base_url, tmp_path) as proxy:
        for path in ("/v1/chat/completions", "/v1/embeddings", "/v1/audio/speech"):
            reply = proxy.http.post(path, json={**PLAIN, "model": "m"}, headers={"X-Proxy-Upstream": name})
            assert reply.status_code == status
            assert status == 200 or reply.json()["error"]["code"] == "unknown_upstream"


@pytest.mark.parametrize(
    ("row", "header", "value"),
    [
        ({"auth": "x-api-key"}, "X-Api-Key", KEY),
        ({"auth": "api-key"}, "Api-Key", KEY),
        ({"auth": "none"}, "Authorization", None),
        ({"headers": {"X-Title": "desk", "Authorization": "Token {key}"}}, "Authorization", f"Token {KEY}"),
        ({"headers": {"X-Title": "desk"}}, "X-Title", "desk"),
    ],
)
def test_the_key_comes_in_the_form_the_upstream_takes(
    desk: Desk, row: dict[str, Any], header: str, value: str | None
) -> None:
    with desk.run(row) as proxy:
        assert text(chat(proxy, "other/m")) == "of the other"
    assert desk.other.request.header(header) == value
    shown = [value for _, value in desk.other.request.headers if KEY in value]
    assert len(shown) == (0 if row.get("auth") == "none" else 1)


def test_the_query_of_a_base_url_is_kept(desk: Desk) -> None:
    row = {"base_url": f"{desk.other.base_url}?api-version=1&a=b", "query": {"c": "d e"}}
    with desk.run(row) as proxy:
        assert text(chat(proxy, "other/m")) == "of the other"
    assert desk.other.request.target == "/v1/chat/completions?api-version=1&a=b&c=d%20e"


def test_an_upstream_on_this_computer_needs_no_key(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY_OTHER")
    with desk.run() as proxy:
        assert text(chat(proxy, "other/m")) == "of the other"
    assert desk.other.request.header("Authorization") is None


def test_each_key_stays_with_its_origin(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY_OTHER")
    with desk.run() as proxy:
        keys, store = proxy.services.upstream_keys, proxy.services.store
        keys.of(store.current.upstreams[1]).keep(KEY)
        assert text(chat(proxy, "other/m")) == "of the other"
        assert desk.other.request.header("Authorization") == f"Bearer {KEY}"
    with desk.run({"base_url": desk.first.base_url}) as moved:
        moved.services.upstream_keys._keychain = lambda: proxy.keychain
        assert text(chat(moved, "other/m")) == "of the first"
    assert desk.first.request.header("Authorization") is None


def keys_shown(upstream: Fresh) -> set[str | None]:
    return {request.header("Authorization") for request in upstream.requests}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_with_a_key(desk: Desk, status: int) -> None:
    desk.first.answer(Redirect(f"{desk.other.base_url}/chat/completions", status))
    with desk.run() as proxy:
        chat(proxy, "m")
    assert desk.other.requests == []


def test_a_fallback_shows_each_its_own_key(desk: Desk) -> None:
    desk.first.answer(Json({"error": {"message": "down"}}, 500))
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        assert text(chat(proxy, "smart")) == "of the other"
    assert keys_shown(desk.first) == {f"Bearer {UPSTREAM_KEY}"}
    assert keys_shown(desk.other) == {f"Bearer {KEY}"}


@pytest.mark.parametrize(
    "row",
    [{"name": "renamed"}, {"name": "other", "moves": True}, {"name": "other", "auth": "x-api-key", "moves": True}],
)
@pytest.mark.parametrize("kept_in", ["environment", "keyring"])
def test_a_key_follows_no_new_name_and_no_new_address(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, row: dict[str, Any], kept_in: str
) -> None:
    if kept_in == "keyring":
        monkeypatch.delenv("OPENAI_API_KEY_OTHER")
    with proxy_before(desk.first.base_url, desk.folder) as proxy:
        services = proxy.services
        services.store.update(proxy_upstreams=[{"name": "other", "base_url": desk.other.base_url}])
        if kept_in == "keyring":
            services.upstream_keys.of(services.store.current.upstreams[1]).keep(KEY)
        assert text(chat(proxy, "other/m")) == "of the other"
        assert keys_shown(desk.other) == {f"Bearer {KEY}"}
        new = {"base_url": desk.other.base_url, **row}
        if new.pop("moves", False):
            new["base_url"] = desk.first.base_url
        services.store.update(proxy_upstreams=[new])
        chat(proxy, f"{new['name']}/m")
    asked = (desk.other if new["name"] == "renamed" else desk.first).requests[-1]
    assert KEY not in str(asked.headers)


def test_a_key_that_the_caller_brings_is_shown_to_whom_it_is_for(desk: Desk) -> None:
    desk.first.answer(Json({"error": {"message": "down"}}, 500))
    desk.first.answer(Json(OWN), path="/v1/models")
    chain = {"smart": ["default/a", "other/b"]}
    with desk.run(proxy_aliases=chain, proxy_forward_auth_header=True) as proxy:
        brought = {"Authorization": "Bearer key-of-the-caller"}
        assert chat(proxy, "smart", headers=brought).status_code == 500
        ids = [row["id"] for row in proxy.http.get("/v1/models", headers=brought).json()["data"]]
    assert ids == ["smart", "a"]
    assert desk.other.requests == []
    assert keys_shown(desk.first) == {"Bearer key-of-the-caller"}


def test_a_key_that_another_process_stores_is_read_without_a_restart(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY_OTHER")
    with desk.run() as proxy:
        assert text(chat(proxy, "other/m")) == "of the other"
        assert desk.other.request.header("Authorization") is None
        services = proxy.services
        proxy.keychain.kept[entry_of(services.store.current.upstreams[1])] = KEY
        services.keys.after_refusal()
        held = services.upstream_keys.of(services.store.current.upstreams[1])
        wait_for(lambda: held.state.key == KEY, "the keyring has been read again")
        assert text(chat(proxy, "other/m")) == "of the other"
    assert desk.other.requests[-1].header("Authorization") == f"Bearer {KEY}"


FAILING: list[Answer] = [
    CloseBeforeHeaders(),
    SilentBeforeHeaders(),
    Html(),
    Html(status=502),
    Json({"error": {"message": "down"}}, 500),
    Json({"error": {"message": "slow down"}}, 429, headers=[("Retry-After", "60")]),
    Redirect("https://elsewhere.example"),
]


@pytest.mark.parametrize("failing", FAILING, ids=lambda failing: type(failing).__name__)
def test_the_next_of_a_chain_is_asked_where_one_fails(desk: Desk, failing: Answer) -> None:
    desk.first.answer(failing)
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        reply = chat(proxy, "smart")
        assert text(reply) == "of the other"
        assert reply.headers["x-proxy-upstream"] == "other"
        asked = len(desk.first.requests)
        assert text(chat(proxy, "smart")) == "of the other"  # the first one rests
    assert len(desk.first.requests) == asked
    assert [request.json()["model"] for request in desk.other.requests] == ["b", "b"]


ROLE = {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}


@pytest.mark.parametrize(
    "events",
    [
        [],
        [{"id": "c", "object": "chat.completion.chunk", "choices": [ROLE]}],
        [{"error": {"message": "overloaded", "type": "server_error", "code": None}}],
        [{"id": "c", "choices": [ROLE]}, {"error": {"message": "overloaded"}}],
    ],
)
def test_the_next_is_asked_where_a_stream_ends_before_its_content(desk: Desk, events: list[Any]) -> None:
    desk.first.answer(Sse(events, done=False))
    desk.other.answer(Sse(completion_chunks("of ", "the other")))
    with desk.run({}, proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy, proxy.sdk() as sdk:
        chunks = list(sdk.chat.completions.create(model="smart", messages=[], stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said == "of the other"


@pytest.mark.parametrize(
    "event",
    [
        {"error": "overloaded"},
        {"id": "g", "choices": [], "error": {"code": 502, "message": "x"}},
        {"id": "g", "choices": [{"delta": {"content": ""}, "finish_reason": "error"}], "error": {"message": "x"}},
        {"type": "error", "message": "x"},
    ],
)
def test_an_error_beside_an_empty_choice_is_no_content(desk: Desk, event: dict[str, Any]) -> None:
    desk.first.answer(Sse([{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}, event]))
    desk.other.answer(Sse(completion_chunks("of the other")))
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        reply = chat(proxy, "smart", stream=True)
    assert reply.headers["x-proxy-upstream"] == "other"
    assert "error" not in reply.text


@pytest.mark.parametrize("said", ['"error":{"a":1}', 'say "error": "x"', "finish_reason error"])
def test_content_that_speaks_of_errors_is_content(desk: Desk, said: str) -> None:
    desk.first.answer(Sse(completion_chunks(said)))
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        chat(proxy, "smart", stream=True)
    assert desk.other.requests == []


def test_nobody_is_asked_once_content_has_come(desk: Desk) -> None:
    chunks = completion_chunks("of the first")[:-1]
    desk.first.answer(Sse(chunks, done=False, end=Fin()))
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        reply = chat(proxy, "smart", stream=True)
    assert "of the first" in reply.text
    assert "upstream_truncated" in reply.text
    assert desk.other.requests == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_of_the_request_is_the_answer(desk: Desk, status: int) -> None:
    desk.first.answer(Json({"error": {"message": "no", "type": "t", "param": None, "code": "c"}}, status))
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        assert chat(proxy, "smart").status_code == status
    assert desk.other.requests == []


def test_a_short_rate_limit_is_the_answer(desk: Desk) -> None:
    desk.first.answer(Json({"error": {"message": "slow"}}, 429, headers=[("Retry-After", "5")]))
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        assert chat(proxy, "smart").status_code == 429
    assert desk.other.requests == []


def test_where_all_fail_the_first_ones_answer_counts(desk: Desk) -> None:
    desk.first.answer(Json({"error": {"message": "the first is down"}}, 503))
    desk.other.answer(Json({"error": {"message": "the other is down"}}, 500))
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        for _ in range(2):
            reply = chat(proxy, "smart")
            assert (reply.status_code, reply.json()["error"]["message"]) == (503, "the first is down")


def test_an_upstream_may_fall_back_whatever_the_model(desk: Desk) -> None:
    desk.other.answer(CloseBeforeHeaders())
    with desk.run({"fallback": ["default"]}) as proxy:
        assert text(chat(proxy, "other/m")) == "of the first"
    assert desk.first.request.json()["model"] == "m"


def test_what_lies_with_one_upstream_stays_there(desk: Desk) -> None:
    desk.other.answer(Json({"error": {"message": "down"}}, 500))
    with desk.run({"fallback": ["default"]}) as proxy:
        body = {"model": "other/m", "input": "hi", "previous_response_id": "resp_1"}
        assert proxy.http.post("/v1/responses", json=body).status_code == 500
    assert desk.first.requests == []


def test_what_was_begun_is_closed_before_the_next_is_asked(desk: Desk) -> None:
    desk.first.answer(HeadThenStall())
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
        assert text(chat(proxy, "smart")) == "of the other"
    desk.first.wait_for_hangup()


def state(proxy: RunningProxy, name: str) -> str:
    """Return in words how an upstream of a proxy is doing."""
    services = proxy.services
    row = services.store.current.upstream_named(name)
    assert row is not None
    return str(services.state_of(row))


DOWN = {"error": {"message": "the other is down", "type": "server_error", "param": None, "code": None}}


def test_each_upstream_has_a_state_and_recovers_with_its_next_good_answer(desk: Desk) -> None:
    desk.other.answer(Json(DOWN, 500))
    with desk.run(openai_max_retries=0) as proxy:
        for _ in range(3):
            chat(proxy, "other/m")
        chat(proxy, "m")
        assert (state(proxy, "default"), state(proxy, "other")) == (
            "healthy",
            "failing: status 500, the other is down",
        )
        desk.other.answer(Json(completion("good again")))
        chat(proxy, "other/m")
        assert state(proxy, "other") == "healthy"


@pytest.mark.parametrize(
    ("failing", "said"),
    [
        (Json(DOWN, 503), ": status 503, the other is down"),
        (CloseBeforeHeaders(), ": The upstream broke off"),
        (Json(DOWN, 429, (("retry-after", "60"),)), ": rate limited for 60 s"),
    ],
)
def test_one_that_cools_down_says_until_when_and_why(desk: Desk, failing: Answer, said: str) -> None:
    desk.first.answer(failing)
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}, openai_max_retries=0) as proxy:
        changes: list[None] = []
        proxy.services.router.cooldown.listen(lambda: changes.append(None))
        assert text(chat(proxy, "smart")) == "of the other"
        assert state(proxy, "default").startswith("cooling down until ")
        assert said in state(proxy, "default")
        assert (state(proxy, "other"), len(changes)) == ("healthy", 1)
        desk.first.answer(Json(completion("good again")))
        chat(proxy, "default/a")
        assert (state(proxy, "default"), len(changes)) == ("healthy", 2)


def test_where_all_fail_the_first_answer_is_told_as_the_firsts(desk: Desk) -> None:
    desk.first.answer(CloseBeforeHeaders())
    desk.other.answer(Json(DOWN, 500))
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}, openai_max_retries=0) as proxy:
        assert chat(proxy, "smart").status_code == 502
        assert "status 500" in proxy.services.router.cooldown.last_failure("other")
        health = proxy.services.health
        wait_for(lambda: health.of("default").current.kind == "failing", "the state of the first")
        assert health.of("other").current.kind == "healthy"  # one server error is none yet


def test_one_without_a_key_says_so_and_a_new_address_begins_anew(desk: Desk) -> None:
    with proxy_before(desk.first.base_url, desk.folder, openai_max_retries=0) as proxy:
        rows = [
            {"name": "other", "base_url": desk.other.base_url},
            {"name": "far", "base_url": "https://far.example"},
        ]
        proxy.services.store.update(proxy_upstreams=rows)
        proxy.services.upstream_keys.of(proxy.services.store.current.upstreams[-1]).load()
        assert state(proxy, "far") == "no key"
        desk.other.answer(Json(DOWN, 500))
        for _ in range(3):
            chat(proxy, "other/m")
        moved = {"name": "other", "base_url": f"{desk.other.base_url}/elsewhere"}
        proxy.services.store.update(proxy_upstreams=[moved])
        assert state(proxy, "other") == "healthy"


def test_rules_see_the_model_that_is_sent(desk: Desk) -> None:
    rules = {"small": {"temperature": 1}}
    with desk.run(proxy_aliases={"fast": "other/small"}, openai_param_defaults={"small*": rules["small"]}) as proxy:
        chat(proxy, "fast")
    assert desk.other.request.json()["temperature"] == 1


@pytest.mark.parametrize("model", ["fast", "other/small", "llama-1"])
def test_rules_may_be_limited_to_an_upstream(desk: Desk, model: str) -> None:
    rules = {"other/*": {"temperature": 1, "reasoning.effort": "low"}, "default/*": {"temperature": 2}}
    with desk.run({"models": ["llama-*"]}, proxy_aliases={"fast": "other/small"}, openai_param_defaults=rules) as proxy:
        chat(proxy, model)
        chat(proxy, "small")
    assert (desk.other.request.json()["temperature"], desk.first.request.json()["temperature"]) == (1, 2)
    assert desk.other.request.json()["reasoning"] == {"effort": "low"}
    assert "reasoning" not in desk.first.request.json()


def test_a_chain_has_the_rules_of_each_upstream(desk: Desk) -> None:
    desk.first.answer(Json({"error": {"message": "down"}}, 500))
    rules = {"default/*": {"seed": 1}, "other/*": {"seed": 2}}
    with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}, openai_param_overrides=rules) as proxy:
        chat(proxy, "smart")
    assert (desk.first.request.json()["seed"], desk.other.request.json()["seed"]) == (1, 2)


@pytest.mark.parametrize("rules", [{"a.b": 1}, {"metadata.x": "y"}, {"default/*": {"reasoning.effort": "low"}}])
def test_rules_reach_into_the_objects_of_a_large_body(desk: Desk, rules: dict[str, Any]) -> None:
    with desk.run(openai_param_defaults=rules) as proxy:
        held = {"a": {"b": 0}, "metadata": {"x": "mine"}, "reasoning": {"effort": "high"}}
        body = {"model": "m", "messages": [{"role": "user", "content": "x" * 1_200_000}], **held}
        assert proxy.http.post("/v1/chat/completions", json=body).status_code == 200
    assert {name: desk.first.request.json()[name] for name in held} == held


def form(model: str | None, file: bytes = b"RIFF", boundary: str = "b0", *, file_first: bool = True) -> dict[str, Any]:
    """Return what sends a form with a file, and with a model where one is named."""
    named = 'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    parts = [named.encode() + file]
    if model is not None:
        field = f'Content-Disposition: form-data; name="model"\r\n\r\n{model}'.encode()
        parts = [*parts, field] if file_first else [field, *parts]
    line = f"--{boundary}".encode()
    body = b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"
    return {"content": body, "headers": {"Content-Type": f"multipart/form-data; boundary={boundary}"}}


SPEECH = "/v1/audio/transcriptions"


@pytest.mark.parametrize("file_first", [True, False])
@pytest.mark.parametrize(("model", "sent"), [("hear", "whisper-1"), ("other/w-2", "w-2"), ("whisper-3", "whisper-3")])
@pytest.mark.parametrize("size", [10, 1_500_000])
def test_a_form_goes_where_its_model_says(desk: Desk, model: str, sent: str, size: int, *, file_first: bool) -> None:
    with desk.run({"models": ["whisper-3*"]}, proxy_aliases={"hear": "other/whisper-1"}) as proxy:
        file = b"\r\n--b\r\n" * (size // 8)
        assert text(proxy.http.post(SPEECH, **form(model, file, file_first=file_first))) == "of the other"
    assert desk.other.request.body == form(sent, file, file_first=file_first)["content"]
    assert desk.other.request.header("Authorization") == f"Bearer {KEY}"
    assert desk.first.requests == []


@pytest.mark.parametrize("model", [None, "", "whisper-1", "meta/whisper"])
def test_a_form_without_a_model_goes_to_the_chosen_one_or_the_named(desk: Desk, model: str | None) -> None:
    with desk.run() as proxy:
        asked = form(model)
        assert text(proxy.http.post(SPEECH, **asked)) == "of the first"
        asked["headers"]["X-Proxy-Upstream"] = "other"
        assert text(proxy.http.post(SPEECH, **asked)) == "of the other"
    assert desk.first.request.body == desk.other.request.body == asked["content"]


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/images/generations", "/v1/moderations", "/v1/rerank"])
def test_json_that_is_passed_on_goes_where_its_model_says(desk: Desk, path: str) -> None:
    with desk.run(proxy_aliases={"fast": "other/m-1"}) as proxy:
        assert text(proxy.http.post(path, json={"input": "x", "model": "fast"})) == "of the other"
        assert text(proxy.http.post(path, content=b'{"model":', headers={"Content-Type": "application/json"}))
    assert desk.other.request.json() == {"input": "x", "model": "m-1"}
    assert desk.first.request.body == b'{"model":'


@pytest.mark.parametrize(
    "body",
    [
        b'--b0\r\nContent-Disposition: form-data; name="model"; filename="m"\r\n\r\nother/x\r\n--b0--\r\n',
        b'--b0\r\nContent-Disposition: form-data; name="models"\r\n\r\nother/x\r\n--b0--\r\n',
        b'--b1\r\nContent-Disposition: form-data; name="model"\r\n\r\nother/x\r\n--b1--\r\n',
        b'--b0\r\nContent-Disposition: form-data; name="model"\r\n\r\n\xff/x\r\n--b0--\r\n',
        b'--b0\r\nContent-Disposition: form-data; name="model"\r\n\r\nother/x',
        b"--b0",
        b"",
    ],
)
def test_what_is_no_model_of_a_form_decides_nothing(desk: Desk, body: bytes) -> None:
    with desk.run() as proxy:
        kind = {"Content-Type": "multipart/form-data; boundary=b0"}
        assert text(proxy.http.post(SPEECH, content=body, headers=kind)) == "of the first"
    assert desk.first.request.body == body


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("model=other%2Frt-1&a=%2F", "model=rt-1&a=%2F"),
        ("a=1&model=voice", "a=1&model=rt-2"),
        ("model=rt-3", "model=rt-3"),
    ],
)
def test_the_model_of_an_address_chooses_too(desk: Desk, query: str, sent: str) -> None:
    with desk.run({"models": ["rt-3"]}, proxy_aliases={"voice": "other/rt-2"}) as proxy:
        assert text(proxy.http.post(f"/v1/realtime/calls?{query}", content=b"v=0")) == "of the other"
    assert desk.other.request.target.endswith(f"?{sent}")


def test_with_one_upstream_the_answer_is_its_own(desk: Desk, tmp_path: Path) -> None:
    with proxy_before(desk.first.base_url, tmp_path) as proxy:
        reply = chat(proxy, "default/m")
    assert "x-proxy-upstream" not in reply.headers
    assert desk.first.request.json()["model"] == "m"


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        (form("default/w-1"), form("w-1")["content"]),
        (form("meta/w-1"), form("meta/w-1")["content"]),
        ({"json": {"input": "x", "model": "default/m"}}, b'{"input":"x","model":"m"}'),
        (
            {"content": b'{"model":"default\\/m"}', "headers": {"Content-Type": "application/json"}},
            b'{"model":"m"}',
        ),
        ({"json": {"input": "default/m", "model": "m"}}, b'{"input":"default/m","model":"m"}'),
        ({"content": b"default/m"}, b"default/m"),
    ],
)
def test_with_one_upstream_its_prefix_is_taken_off_what_is_passed_on_too(
    desk: Desk, tmp_path: Path, asked: dict[str, Any], sent: bytes
) -> None:
    with proxy_before(desk.first.base_url, tmp_path) as proxy:
        assert text(proxy.http.post(SPEECH, **asked)) == "of the first"
        assert text(proxy.http.post(f"{SPEECH}?model=default%2Fq", **asked)) == "of the first"
    plain, queried = desk.first.requests
    assert plain.body == queried.body == sent


OWN: dict[str, Any] = {"object": "list", "data": [{"id": "a", "created": 5, "owned_by": "x", "extra": [1]}]}
OTHERS: dict[str, Any] = {"object": "list", "data": [{"id": "llama-1"}, {"id": "org/b", "context_length": 7}]}


class TestModels:
    """The list of models."""

    def test_all_are_listed(self, desk: Desk) -> None:
        desk.first.answer(Json(OWN), path="/v1/models")
        desk.other.answer(Json(OTHERS), path="/v1/models")
        row = {"context_length": {"*": 100, "llama-*": 1}, "max_output_tokens": {"llama-*": 9}}
        with desk.run(row, proxy_aliases={"fast": "other/llama-1"}) as proxy:
            rows = {row["id"]: row for row in proxy.http.get("/v1/models").json()["data"]}
        assert list(rows) == ["fast", "a", "other/llama-1", "other/org/b"]
        assert rows["a"] == {**OWN["data"][0], "object": "model"}
        assert rows["other/org/b"]["context_length"] == 7
        assert (rows["other/llama-1"]["context_length"], rows["other/llama-1"]["max_output_tokens"]) == (100, 9)
        assert rows["other/llama-1"]["created"] == 0

    def test_the_chosen_ones_come_without_a_prefix(self, desk: Desk) -> None:
        desk.first.answer(Json(OWN), path="/v1/models")
        desk.other.answer(Json(OTHERS), path="/v1/models")
        with desk.run(proxy_upstream="other") as proxy:
            ids = [row["id"] for row in proxy.http.get("/v1/models").json()["data"]]
        assert ids == ["llama-1", "org/b", "default/a"]

    @pytest.mark.parametrize(
        "failing", [CloseBeforeHeaders(), SilentBeforeHeaders(), Html(), Json({"data": 1}), Json([], 500)]
    )
    def test_one_that_fails_is_left_out_or_told_from_memory(self, desk: Desk, failing: Answer) -> None:
        desk.first.answer(Json(OWN), path="/v1/models")
        desk.other.answer(failing, path="/v1/models")
        with desk.run() as proxy:
            reply = proxy.http.get("/v1/models")
            assert [row["id"] for row in reply.json()["data"]] == ["a"]
            desk.other.answer(Json(OTHERS), path="/v1/models")
            proxy.http.get("/v1/models")
            desk.other.answer(failing, path="/v1/models")
            reply = proxy.http.get("/v1/models")
        assert [row["id"] for row in reply.json()["data"]] == ["a", "other/llama-1", "other/org/b"]
        assert reply.headers["x-proxy-stale"] == "other"

    @pytest.mark.parametrize("failing", [CloseBeforeHeaders(), Html(), Redirect("http://127.0.0.1:9/")])
    def test_one_that_fails_is_said_to_and_the_others_are_not(self, desk: Desk, failing: Answer) -> None:
        desk.first.answer(Json(OWN), path="/v1/models")
        desk.other.answer(failing, path="/v1/models")
        with desk.run() as proxy:
            states = [lambda row=row: proxy.services.state_of(row) for row in proxy.services.store.current.upstreams]
            proxy.http.get("/v1/models")
            assert [state().is_good for state in states] == [True, False]
            assert states[1]().kind in ("failing", "unreachable")
            assert proxy.services.router.cooldown.resting_s("other") == 0
            desk.first.answer(failing, path="/v1/models")
            desk.other.answer(Json(OTHERS), path="/v1/models")
            proxy.http.get("/v1/models")
            assert [state().is_good for state in states] == [False, True]

    @pytest.mark.parametrize("answer", [Json({}, 404), Json({"data": 1}), Json([]), Json({}, 405)])
    def test_one_that_has_no_list_is_well(self, desk: Desk, answer: Answer) -> None:
        desk.first.answer(Json(OWN), path="/v1/models")
        desk.other.answer(answer, path="/v1/models")
        with desk.run() as proxy:
            proxy.http.get("/v1/models")
            assert proxy.services.state_of(proxy.services.store.current.upstreams[1]).is_good

    def test_a_list_ends_no_rest(self, desk: Desk) -> None:
        desk.first.answer(Json({"error": {"message": "down"}}, 503))
        desk.first.answer(Json(OWN), path="/v1/models")
        desk.other.answer(Json(OTHERS), path="/v1/models")
        with desk.run(proxy_aliases={"smart": ["default/a", "other/b"]}) as proxy:
            chat(proxy, "smart")
            proxy.http.get("/v1/models")
            assert proxy.services.router.cooldown.resting_s("default") > 0

    def test_thousands_of_models_are_listed(self, desk: Desk) -> None:
        many = {"data": [{"id": f"org/m-{n}", "description": "x" * 100 + "\ud800"} for n in range(5_000)]}
        desk.first.answer(Json(OWN), path="/v1/models")
        desk.other.answer(Json(many), path="/v1/models")
        with desk.run() as proxy:
            rows = proxy.http.get("/v1/models").json()["data"]
        assert (len(rows), rows[-1]["id"]) == (5_001, "other/org/m-4999")

    @pytest.mark.parametrize("written", ["a%3Fb", "a%20b", "%ff%fe", "%C3%BC", "a:b@c", "a%25b"])
    def test_the_name_of_a_model_arrives_as_it_was_written(self, desk: Desk, written: str) -> None:
        desk.other.answer(Json({"id": "x"}))
        with desk.run() as proxy:
            assert proxy.http.get(f"/v1/models/other/{written}").status_code == 200
        assert desk.other.request.target.lower() == f"/v1/models/{written}".lower()

    @pytest.mark.parametrize("method", ["HEAD", "DELETE"])
    @pytest.mark.parametrize("written", ["other/org/b", "other%2Forg%2Fb", "other/org%2Fb"])
    def test_a_prefix_says_whom_to_ask_with_any_method(self, desk: Desk, method: str, written: str) -> None:
        desk.other.answer(Json({"id": "org/b", "deleted": True}))
        with desk.run() as proxy:
            assert proxy.http.request(method, f"/v1/models/{written}").status_code == 200
        assert (desk.other.request.method, desk.other.request.path) == (method, "/v1/models/org/b")
        assert desk.first.requests == []

    def test_an_alias_is_there_for_head_too(self, desk: Desk) -> None:
        with desk.run(proxy_aliases={"fast": "other/m"}) as proxy:
            reply = proxy.http.head("/v1/models/fast")
            assert (reply.status_code, reply.content) == (200, b"")
            assert proxy.http.get("/v1/models/fast").json()["id"] == "fast"
        assert desk.first.requests == desk.other.requests == []

    def test_with_one_upstream_the_bytes_are_its_own(self, desk: Desk, tmp_path: Path) -> None:
        desk.first.answer(Json(OWN), path="/v1/models")
        with proxy_before(desk.first.base_url, tmp_path) as proxy:
            assert proxy.http.get("/v1/models").json() == OWN

    @pytest.mark.parametrize("written", ["other/org/b", "other%2Forg%2Fb"])
    def test_one_model_is_found_by_prefix(self, desk: Desk, written: str) -> None:
        desk.other.answer(Json({"id": "org/b", "object": "model"}))
        with desk.run() as proxy:
            reply = proxy.http.get(f"/v1/models/{written}")
        assert reply.json()["id"] == "other/org/b"
        assert desk.other.request.path == "/v1/models/org/b"

    def test_an_alias_is_a_model(self, desk: Desk) -> None:
        with desk.run(proxy_aliases={"fast": "other/m"}) as proxy:
            assert proxy.http.get("/v1/models/fast").json()["aliases_for"] == ["other/m"]
        assert json.dumps(desk.other.requests) == "[]"


@pytest.mark.parametrize(
    ("row", "answer", "own"),
    [
        (
            {"base_url": "http://127.0.0.1:9/v1?team=sales-7"},
            None,
            "base_url of the upstream other (http://127.0.0.1:9/v1)",
        ),
        ({"base_url": "https://nobody.invalid/v1", "auth": "none"}, None, "other (https://nobody.invalid/v1)"),
        ({}, Redirect("http://127.0.0.1:9/"), "correct base_url of the upstream other"),
        ({}, Html(), "Check base_url of the upstream other"),
        ({"timeout": 0.2}, SilentBeforeHeaders(), "timeout of the upstream other sets"),
    ],
)
def test_a_failure_names_the_settings_of_the_upstream_that_failed(
    desk: Desk, row: dict[str, Any], answer: Answer | None, own: str
) -> None:
    if answer is not None:
        desk.other.answer(answer)
    with desk.run(row) as proxy:
        reply = chat(proxy, "other/m")
    said = reply.json()["error"]["message"]
    assert own in said
    assert "OPENAI_" not in said
    assert "sales-7" not in said


def test_a_failure_of_the_first_upstream_names_its_variable(desk: Desk, tmp_path: Path) -> None:
    with proxy_before("http://127.0.0.1:9/v1", tmp_path, openai_max_retries=0) as proxy:
        assert "OPENAI_BASE_URL" in chat(proxy, "m").json()["error"]["message"]
