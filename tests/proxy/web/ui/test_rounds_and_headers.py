"""What the page shows of a request with rounds of tools, and of headers: the client's, and those that were sent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted, form_token
from fakes.scripted_upstream import Json, Sse, completion
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from fakes.tool_turns import TOOLS_FILE, called, called_chunks, text_chunks
from proxy.capture.headers import HIDDEN
from proxy.usage import summaries
from waiting import wait_for

CHAT = "/v1/chat/completions"
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "What is the weather?"}]}
PRICES = {"m": {"input": 1_000_000, "output": 1_000_000}}  # a dollar a token
ULM, BONN = ("call_1", "weather", '{"city": "Ulm"}'), ("call_2", "weather", '{"city": "Bonn"}')
KEY_OF_THE_CLIENT = "a-secret-of-the-client"


@pytest.fixture
def hosted(upstream: Fresh, tmp_path: Path) -> Iterator[Hosted]:
    (tmp_path / "tools.py").write_text(TOOLS_FILE, encoding="utf-8")
    with Hosted(
        openai_base_url=upstream.base_url,
        openai_api_key=UPSTREAM_KEY,
        enable_tool_execution=True,
        function_tools_file=str(tmp_path / "tools.py"),
        proxy_prices=PRICES,
    ) as running:
        yield running


@pytest.fixture
def page(hosted: Hosted) -> Iterator[httpx2.Client]:
    with hosted.enter() as browser:
        browser.headers["X-Form-Token"] = form_token(browser.get("/").text)
        yield browser


@pytest.mark.parametrize("stream", [False, True])
def test_two_rounds_of_tools_are_one_row_with_what_all_of_them_used(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, stream: bool
) -> None:
    if stream:
        turns = [called_chunks(ULM, usage=True), called_chunks(BONN, usage=True), text_chunks("Rain.", usage=True)]
        upstream.answers([Sse(turn) for turn in turns])
    else:
        upstream.answers([Json(called(ULM)), Json(called(BONN)), Json(completion("Rain."))])
    one = completion()["usage"]
    used = (40, 10) if stream else (3 * one["prompt_tokens"], 3 * one["completion_tokens"])

    answer = hosted.http.post(CHAT, json={**BODY, "stream": stream})

    assert "Rain." in answer.text
    [row] = page.get("/api/requests").json()["requests"]
    assert (row["tool_rounds"], row["attempts"], row["outcome"]) == (2, 3, "whole")
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == (*used, sum(used))
    assert not row["is_estimated"]
    told = page.get(f"/api/requests/{row['id']}").json()
    assert [call["result"] for each in told["tool_rounds"] for call in each["calls"]] == [
        "It rains in Ulm.",
        "It rains in Bonn.",
    ]
    assert [each["status"] for each in told["attempts"]] == [200] * 3
    assert [json.loads(each["body"])["messages"][-1].get("content") for each in told["attempts"]] == [
        "What is the weather?",
        "It rains in Ulm.",
        "It rains in Bonn.",
    ]
    assert {change["name"] for change in told["attempts"][0]["changes"]} >= {"tools"}
    assert {change["name"] for change in told["attempts"][2]["changes"]} >= {"tools", "messages"}
    archive = page.get(f"/api/requests/{row['id']}.har").json()["log"]["entries"]
    assert [entry["response"]["status"] for entry in archive] == [200] * 4
    assert "Rain." in archive[0]["response"]["content"]["text"]
    assert "It rains in Bonn." in archive[3]["request"]["postData"]["text"]
    [stored] = wait_for(lambda: summaries.latest(hosted.services.ledger.file, 2), "the row")
    assert (stored["tool_rounds"], stored["attempts"], stored["cost_usd"]) == (2, 3, sum(used))


HEADERS = [
    {"User-Agent": "editor/1.0", "X-Title": "The editor"},
    {"Authorization": f"Bearer {KEY_OF_THE_CLIENT}", "OpenAI-Organization": "org-of-the-client"},
    {"X-Api-Key": KEY_OF_THE_CLIENT, "Accept-Encoding": "br", "Cookie": f"session={KEY_OF_THE_CLIENT}"},
    {"x_under_scored": "with underscores", "X-Mine": "<b>bold</b>", "Accept": "text/event-stream"},
]


@pytest.mark.parametrize("headers", HEADERS)
def test_headers_are_the_clients_as_they_came_and_what_was_sent_with_what_was_added(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, headers: dict[str, str]
) -> None:
    upstream.answer(Json(completion("Hello")))
    hosted.http.post(CHAT, json=BODY, headers=headers)

    [row] = page.get("/api/requests").json()["requests"]
    answer = page.get(f"/api/requests/{row['id']}")
    told = answer.json()
    shown, [attempt] = dict(told["client"]["headers"]), told["attempts"]

    for name, value in headers.items():
        assert shown[name.lower()] == (HIDDEN if KEY_OF_THE_CLIENT in value else value)
    assert shown["host"].startswith("127.0.0.1:")
    on_the_wire = {name.lower(): value for name, value in upstream.request.headers}
    del on_the_wire["content-length"]
    sent = dict(map(tuple, attempt["headers"]))
    assert sent == {**on_the_wire, "authorization": HIDDEN}
    origins = dict(zip(sent, attempt["header_origins"], strict=True))
    assert (origins["host"], origins["content-type"]) == ("changed", "client")
    assert origins["authorization"] == ("changed" if "authorization" in shown else "added")
    assert all(origins[name] == "added" for name in sent if name not in shown)
    assert all(origins[name] == "client" for name in sent if sent[name] == shown.get(name) != HIDDEN)
    assert {"connection", *({"cookie", "x-api-key"} & set(shown))} <= set(told["client"]["not_sent"])
    archive = page.get(f"/api/requests/{row['id']}.har")
    [asked, sending] = archive.json()["log"]["entries"]
    assert {each["name"]: each["value"] for each in asked["request"]["headers"]} == shown
    assert {each["name"]: each["value"] for each in sending["request"]["headers"]} == sent
    for text in (answer.text, archive.text, page.get(f"/api/requests/{row['id']}.json").text):
        assert KEY_OF_THE_CLIENT not in text
        assert UPSTREAM_KEY not in text
