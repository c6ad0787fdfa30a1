"""What an upstream says of an error is passed on as it came, but for what is secret in it."""

import json

import pytest

from proxy.exchange.refusals import hide_in, hide_in_event
from proxy.logs.redaction import redact

LOGIN = "http://anna:Winter2026x@proxy"
WITH_LOGINS = {
    "plain": {"error": {"message": f"at {LOGIN}", "code": None}, "n": [1.50, True]},
    "nested": [{"a": [{"b": {LOGIN: [LOGIN, 1]}}]}],
    "quotes": {"error": f'"{LOGIN}" and \\ "{LOGIN}?key=s3cr3t"'},
    "letters": {"error": f"für {LOGIN} \U0001f600 日本 \ud800"},
    "a key": {"error": f"sk-abcdefghijkl and Bearer abcdef and {LOGIN}"},
    "a text": LOGIN,
}


@pytest.mark.parametrize("value", WITH_LOGINS.values(), ids=WITH_LOGINS)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 2])
def test_json_stays_json(value: object, ascii_only: bool, indent: int | None) -> None:
    body = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")

    hidden = hide_in(body, redact)

    text = json.dumps(json.loads(hidden.decode("utf-8", "surrogatepass")), ensure_ascii=False)
    assert "…@proxy" in text
    assert len(json.loads(hidden)) == len(value) if isinstance(value, (dict, list)) else True
    for secret in ("anna", "Winter2026x", "s3cr3t", "abcdefghijkl"):
        assert secret not in text


@pytest.mark.parametrize(
    "body",
    [
        b'{ "error":{"message":"no","code":"own","new":[1.50, 1e5]} }',
        b'{"error": "mail a@b.c, http:\\/\\/host\\/path@2x.png", "key": "value"}',
        b'{"code": 20261225, "token": "none"}',
        b"<html>http://host/</html>",
        b"\xff\xfe\x00 no text",
        b"",
        b'{"a": "unfinished',
        '{"a": "für"}'.encode("utf-16"),
        b'\xef\xbb\xbf{"a": 1}',
    ],
)
def test_what_holds_no_secret_stays_byte_for_byte(body: bytes) -> None:
    assert hide_in(body, redact) == body


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1"])
def test_json_is_read_in_every_encoding_that_clients_read(encoding: str) -> None:
    text = json.dumps({"error": f"für {LOGIN}"}, ensure_ascii=False)

    hidden = hide_in(text.encode(encoding), redact)

    assert b"Winter2026x" not in hidden.replace(b"\0", b"")


def test_a_password_of_digits_leaves_the_numbers_of_json_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:20261225@proxy")

    hidden = hide_in(b'{"n": 20261225, "message": "by 20261225"}', redact)

    assert json.loads(hidden) == {"n": 20261225, "message": "by …"}


def test_an_escaped_login_is_hidden_too() -> None:
    body = b'{"error": "http:\\/\\/anna:Winter2026x\\u0040proxy\\/"}'

    assert json.loads(hide_in(body, redact)) == {"error": "http://…@proxy/"}


def test_an_event_stays_an_event() -> None:
    raw = f'event: error\r\ndata: {{"message": "at {LOGIN}"}}\r\nid: 1\r\n\r\n'.encode()

    first, data, *rest = hide_in_event(raw, redact).split(b"\r\n")

    assert (first, rest) == (b"event: error", [b"id: 1", b"", b""])
    assert json.loads(data.removeprefix(b"data: ")) == {"message": "at http://…@proxy"}


def test_an_event_without_a_secret_stays_byte_for_byte() -> None:
    raw = b'event: error\ndata:{ "message":"no" }\n\n'

    assert hide_in_event(raw, redact) == raw
