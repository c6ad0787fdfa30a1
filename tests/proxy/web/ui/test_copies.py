"""A request taken along: as HAR 1.2, as a command for curl, as a Python program."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx2
import pytest

from fakes.dashboard import Hosted
from fakes.scripted_upstream import CloseBeforeHeaders, Content, Json, Sse, completion, completion_chunks
from fakes.shared_upstream import UPSTREAM_KEY, Fresh
from fakes.windows_shell import arguments_of, read_by_cmd
from proxy.quoting import for_powershell

BODY = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": 'It\'s "quoted" $HOME `x` \\ ü\n'}]}
KEY = "op-the-callers-own"
HEADERS = {"Authorization": f"Bearer {KEY}", "User-Agent": "zed/1.0", "OpenAI-Beta": "x=1"}


@pytest.fixture
def page(hosted: Hosted) -> Iterator[httpx2.Client]:
    with hosted.enter() as browser:
        yield browser


def last_id(page: httpx2.Client) -> str:
    request_id: str = page.get("/api/requests").json()["requests"][0]["id"]
    return request_id


# What http://www.softwareishard.com/blog/har-12-spec/ asks of each object: required members and their types.
TEXT, COUNT, LIST, OBJECT = str, (int, float), list, dict
SPEC: dict[str, dict[str, Any]] = {
    "log": {"version": TEXT, "creator": OBJECT, "entries": LIST},
    "creator": {"name": TEXT, "version": TEXT},
    "entry": {
        "startedDateTime": TEXT,
        "time": COUNT,
        "request": OBJECT,
        "response": OBJECT,
        "cache": OBJECT,
        "timings": OBJECT,
    },
    "request": {
        "method": TEXT,
        "url": TEXT,
        "httpVersion": TEXT,
        "cookies": LIST,
        "headers": LIST,
        "queryString": LIST,
        "headersSize": COUNT,
        "bodySize": COUNT,
    },
    "response": {
        "status": COUNT,
        "statusText": TEXT,
        "httpVersion": TEXT,
        "cookies": LIST,
        "headers": LIST,
        "content": OBJECT,
        "redirectURL": TEXT,
        "headersSize": COUNT,
        "bodySize": COUNT,
    },
    "content": {"size": COUNT, "mimeType": TEXT},
    "postData": {"mimeType": TEXT, "params": LIST, "text": TEXT},
    "timings": {"send": COUNT, "wait": COUNT, "receive": COUNT},
    "pair": {"name": TEXT, "value": TEXT},
}
ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})")


def check(kind: str, value: dict[str, Any]) -> None:
    for name, wanted in SPEC[kind].items():
        assert isinstance(value.get(name), wanted), f"{kind}.{name} is {value.get(name)!r}"


def check_archive(archive: dict[str, Any]) -> list[dict[str, Any]]:
    """Read an archive as the specification has it, and return its entries."""
    log = archive["log"]
    check("log", log)
    check("creator", log["creator"])
    assert log["version"] == "1.2"
    for entry in log["entries"]:
        check("entry", entry)
        assert ISO_8601.fullmatch(entry["startedDateTime"])
        assert datetime.fromisoformat(entry["startedDateTime"]).tzinfo is not None
        check("request", entry["request"])
        check("response", entry["response"])
        check("content", entry["response"]["content"])
        if "postData" in entry["request"]:
            check("postData", entry["request"]["postData"])
        check("timings", entry["timings"])
        spent = sum(value for value in entry["timings"].values() if value != -1)
        assert entry["time"] == pytest.approx(spent, abs=0.01)
        for pairs in (entry["request"]["headers"], entry["request"]["queryString"], entry["response"]["headers"]):
            for pair in pairs:
                check("pair", pair)
    entries: list[dict[str, Any]] = log["entries"]
    return entries


def test_an_archive_holds_what_the_client_asked_and_what_was_sent(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh
) -> None:
    upstream.answer(Sse(completion_chunks("Hel", "lo")))
    body = {**BODY, "stream": True}
    hosted.http.post("/v1/chat/completions?x=1&empty=", json=body, headers=HEADERS)

    asked, sent = check_archive(page.get(f"/api/requests/{last_id(page)}.har").json())

    assert asked["request"]["url"] == f"{hosted.base_url}/chat/completions?x=1&empty="
    assert asked["request"]["queryString"] == [{"name": "x", "value": "1"}, {"name": "empty", "value": ""}]
    assert json.loads(asked["request"]["postData"]["text"]) == body
    assert asked["response"]["status"] == 200
    assert asked["response"]["content"]["text"].endswith("data: [DONE]\n\n")
    assert sent["request"]["url"].startswith(upstream.base_url)
    assert json.loads(sent["request"]["postData"]["text"])["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/x?api_key=hidden", "/v1/files"])
def test_an_archive_of_a_request_without_a_body_is_one_too(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, path: str
) -> None:
    upstream.answer(Json({"object": "list", "data": []}))
    hosted.http.get(path)

    text = page.get(f"/api/requests/{last_id(page)}.har").text

    entries = check_archive(json.loads(text))
    assert all("postData" not in entry["request"] for entry in entries)
    assert "=hidden" not in text


def test_an_archive_of_a_request_that_got_no_answer_is_one_too(
    page: httpx2.Client, hosted: Hosted, upstream: Fresh
) -> None:
    upstream.answer(CloseBeforeHeaders())
    hosted.http.post("/v1/chat/completions", json=BODY)

    asked, *sent = check_archive(page.get(f"/api/requests/{last_id(page)}.har").json())

    assert asked["response"]["status"] == 502
    assert {entry["response"]["status"] for entry in sent} == {0}


def run(command: list[str], **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    done = subprocess.run(
        command, capture_output=True, timeout=60, check=False, env={**environment, "OPENAI_API_KEY": KEY, **more}
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


EMBEDDED = {"data": [{"object": "embedding", "index": 0, "embedding": [0.5]}]}
CASES = [
    ("/v1/chat/completions", {**BODY, "temperature": 0.5, "odd": {"a": [None, True]}}),
    ("/v1/chat/completions", {**BODY, "stream": True}),
    ("/v1/messages", {"model": "claude", "max_tokens": 5, "messages": [{"role": "user", "content": "it's $5"}]}),
    ("/v1/embeddings", {"model": "e", "input": ["a", "b"], "encoding_format": "float"}),
]


def sent_by_copy(upstream: Fresh, body: dict[str, Any]) -> None:
    first, second = upstream.requests
    assert second.target == first.target
    assert second.header("openai-beta") == first.header("openai-beta") == "x=1"
    assert second.header("authorization") == f"Bearer {UPSTREAM_KEY}"
    assert {name: value for name, value in second.json().items() if name != "stream_options"} == body


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("sh") is None, reason="there is no curl")
@pytest.mark.parametrize(("path", "body"), CASES)
def test_the_command_for_curl_asks_the_same(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, path: str, body: dict[str, Any]
) -> None:
    upstream.answer(Sse(completion_chunks("Hi")) if body.get("stream") else Json({**completion("Hi"), **EMBEDDED}))
    hosted.http.post(path, json=body, headers=HEADERS)
    command = page.get(f"/api/requests/{last_id(page)}/curl").text

    run(["sh", "-c", command])

    assert KEY not in command
    assert "$OPENAI_API_KEY" in command
    sent_by_copy(upstream, body)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
@pytest.mark.parametrize(("path", "body"), CASES)
def test_the_command_for_cmd_asks_the_same(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, path: str, body: dict[str, Any]
) -> None:
    upstream.answer(Sse(completion_chunks("Hi")) if body.get("stream") else Json({**completion("Hi"), **EMBEDDED}))
    hosted.http.post(path, json=body, headers=HEADERS)
    command = page.get(f"/api/requests/{last_id(page)}/cmd").text
    key = '"Authorization: Bearer %OPENAI_API_KEY%"'
    line = command.strip().replace(" ^\n", " ").replace(key, "KEY")

    words = arguments_of(read_by_cmd(line))
    run(["Authorization: Bearer any" if word == "KEY" else word for word in words])

    assert KEY not in command
    assert command.isascii()
    sent_by_copy(upstream, body)


@pytest.mark.parametrize(("path", "body"), CASES)
def test_the_command_for_powershell_holds_the_same(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, path: str, body: dict[str, Any]
) -> None:
    upstream.answer(Sse(completion_chunks("Hi")) if body.get("stream") else Json({**completion("Hi"), **EMBEDDED}))
    hosted.http.post(path, json=body, headers=HEADERS)
    sent = hosted.services.capture.find(last_id(page))
    command = page.get(f"/api/requests/{last_id(page)}/powershell").text

    assert KEY not in command
    assert sent is not None
    assert command.startswith(f"Invoke-RestMethod -Method 'POST' -Uri '{hosted.root_url}{path}'")
    assert f"GetBytes({for_powershell((sent.body or b'').decode())})" in command
    assert "'openai-beta' = 'x=1'" in command


@pytest.mark.parametrize(("path", "body"), CASES[1:])
def test_the_python_program_asks_the_same(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, path: str, body: dict[str, Any]
) -> None:
    upstream.answer(Sse(completion_chunks("Hi")) if body.get("stream") else Json({**completion("Hi"), **EMBEDDED}))
    hosted.http.post(path, json=body, headers=HEADERS)
    program = page.get(f"/api/requests/{last_id(page)}/python").text

    run([sys.executable, "-c", program.replace("import httpx\n", "import httpx2 as httpx\n")])

    assert KEY not in program
    sent_by_copy(upstream, body)


def test_a_body_that_is_no_text_is_no_command(hosted: Hosted, page: httpx2.Client, upstream: Fresh) -> None:
    upstream.answer(Json({}))
    hosted.http.post("/v1/files", content=b"\xff\x00\xfe", headers={"Content-Type": "application/octet-stream"})

    assert page.get(f"/api/requests/{last_id(page)}/curl").status_code == 409
    check_archive(page.get(f"/api/requests/{last_id(page)}.har").json())


BINARY = [
    b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    b"RIFF\xff\xfe\x00\x00WAVEfmt ",
    "caf\xe9".encode("latin-1"),
    b"\xff" * 5_000,
]


@pytest.mark.parametrize("body", BINARY)
def test_a_body_that_is_no_text_is_in_the_archive_byte_for_byte_without_keys(
    hosted: Hosted, page: httpx2.Client, upstream: Fresh, body: bytes
) -> None:
    upstream.answer(Content(body + UPSTREAM_KEY.encode(), "application/octet-stream"))
    hosted.http.post("/v1/images/variations", content=body, headers={"Content-Type": "application/octet-stream"})
    hosted.http.post("/v1/audio/speech", json={"model": "tts", "input": "Hello"})

    held = [page.get(f"/api/requests/{row['id']}.har") for row in page.get("/api/requests").json()["requests"]]

    for archive in held:
        [asked, *_] = check_archive(archive.json())
        content = asked["response"]["content"]
        assert content["encoding"] == "base64"
        answered = base64.b64decode(content["text"])
        assert answered.startswith(body)
        assert UPSTREAM_KEY.encode() not in answered
