"""The tree of errors: each says what happened and what to do, in HTTP's and OpenAI's terms."""

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from http import HTTPStatus

import pytest

import proxy
from proxy import errors
from proxy.errors import configuration, keyring, proxy_error, request, upstream
from proxy.errors.proxy_error import ProxyError, error_body

ENTRY = re.compile(r"[├└]── (\w+)(?: +(\d{3})\b)?")
INDENT = 4
SECOND_COLUMN = 20  # what begins further right stands beside its sibling, not below it


def classes_below(error: type[ProxyError]) -> Iterator[type[ProxyError]]:
    yield error
    for child in error.__subclasses__():
        yield from classes_below(child)


def drawn_tree() -> dict[str, tuple[str, str | None]]:
    """Return what the docstring draws: name to (parent, status)."""
    tree: dict[str, tuple[str, str | None]] = {}
    above = ["ProxyError"]
    for line in (inspect.getdoc(errors) or "").splitlines():
        for entry in ENTRY.finditer(line):
            if entry.start() < SECOND_COLUMN:
                depth = entry.start() // INDENT
                above[depth + 1 :] = [entry[1]]
            tree[entry[1]] = (above[-2], entry[2])
    return tree


def import_everything() -> None:
    """Import every module of the program, so that every class exists."""
    for module in pkgutil.walk_packages(proxy.__path__, "proxy."):
        if module.name != "proxy.__main__":
            importlib.import_module(module.name)


MODULES = (proxy_error, configuration, keyring, request, upstream)
DEFINED = {name: value for module in MODULES for name, value in vars(module).items()}
EVERY_ERROR = [value for value in DEFINED.values() if inspect.isclass(value) and issubclass(value, ProxyError)]


def test_the_tree_is_drawn_as_it_is() -> None:
    existing = {error.__name__: error.__mro__[1].__name__ for error in EVERY_ERROR if error is not ProxyError}

    assert {name: parent for name, (parent, _) in drawn_tree().items()} == existing


def test_the_statuses_in_the_drawing_are_the_real_ones() -> None:
    drawn = {name: status for name, (_, status) in drawn_tree().items() if status is not None}

    assert len(drawn) > 10
    assert drawn == {name: str(DEFINED[name].status) for name in drawn}


def test_no_error_is_missing_in_the_drawing() -> None:
    import_everything()

    below = [error for error in classes_below(ProxyError) if error.__module__.startswith("proxy.")]  # the tray has more
    everywhere = {error.__name__ for error in below} - {"ProxyError"}

    assert everywhere == set(drawn_tree())


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_an_error_has_a_title_a_type_a_code_and_a_status(error: type[ProxyError]) -> None:
    assert re.fullmatch(r"[A-Z].*[^.\s]", error.title)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.type)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert 400 <= error.status <= 599
    assert HTTPStatus(error.status).phrase
    assert error.should_retry in (None, True, False)


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_no_two_errors_share_a_title(error: type[ProxyError]) -> None:
    assert [other.__name__ for other in EVERY_ERROR if other.title == error.title] == [error.__name__]


def test_a_refusal_is_not_worth_a_second_try() -> None:
    refusals = [error for error in EVERY_ERROR if issubclass(error, request.RequestRefused)]

    assert {error.should_retry for error in refusals} == {False}
    assert {error.type for error in refusals} == {"invalid_request_error"}


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_a_body_is_the_error_object_of_the_api(error: type[ProxyError]) -> None:
    raised = error("with \u00e9, \U0001f600 and a\nbreak", param="model")

    assert json.loads(raised.body()) == {
        "error": {"message": raised.message, "type": error.type, "param": "model", "code": error.code}
    }


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_a_message_ends_with_one_mark(error: type[ProxyError]) -> None:
    for detail in ("", "port 8000", "port 8000."):
        message = error(detail).message

        assert re.search(r"[^.?!:,;][.?]$", message), detail  # a question keeps its own
        assert detail.rstrip(".") in message


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_a_sentence_of_a_message_ends_with_one_mark_alone(error: type[ProxyError]) -> None:
    assert re.search(r"[.?!:,;]{2}", error().message) is None


def test_a_message_is_title_detail_and_hint() -> None:
    assert configuration.PortTaken("port 8000 is taken by nginx").message == (
        "The port is taken: port 8000 is taken by nginx. "
        "Stop that program, or choose another port with --port or PROXY_PORT."
    )


def test_a_message_without_detail_is_title_and_hint() -> None:
    assert keyring.NoUpstreamKey().message.startswith(f"{keyring.NoUpstreamKey.title}. {keyring.NoUpstreamKey.hint}")


def test_a_message_without_detail_and_hint_is_the_title() -> None:
    assert request.InvalidJson().message == "The request body is not a JSON object."


def test_an_error_prints_as_its_message() -> None:
    error = configuration.PortTaken("port 8000 is taken by nginx")

    assert str(error) == error.message


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (request.InvalidJson, {"content-type": "application/json", "x-should-retry": "false"}),
        (keyring.NoUpstreamKey, {"content-type": "application/json", "x-should-retry": "false"}),
        (upstream.UpstreamTimeout, {"content-type": "application/json", "x-should-retry": "false"}),
        (upstream.UpstreamUnreachable, {"content-type": "application/json"}),
        (proxy_error.ServerFault, {"content-type": "application/json"}),
    ],
)
def test_an_error_tells_the_sdks_whether_to_try_again(error: type[ProxyError], headers: dict[str, str]) -> None:
    assert dict(error().headers()) == headers


@pytest.mark.parametrize(
    "message", ['quotes " and \\', "line\nbreak\t", "\u00e9\U0001f600", "\x00\x1f", "half \ud800 \udcff", ""]
)
def test_any_message_makes_valid_json(message: str) -> None:
    error = json.loads(error_body(message, type="t", code=None))["error"]

    assert error == {"message": message, "type": "t", "param": None, "code": None}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (request.MalformedRequest, 400, "malformed_request"),
        (request.InvalidJson, 400, "invalid_json"),
        (request.ProxyKeyMissing, 401, "missing_proxy_key"),
        (request.ProxyKeyRefused, 401, "invalid_proxy_key"),
        (request.UnknownUpstream, 400, "unknown_upstream"),
        (request.BudgetReached, 402, "budget_reached"),
        (request.HostNotAllowed, 403, "host_not_allowed"),
        (request.OriginNotAllowed, 403, "origin_not_allowed"),
        (request.UnknownPath, 404, "unknown_path"),
        (request.WrongMethod, 405, "method_not_allowed"),
        (request.BodyTooLarge, 413, "request_too_large"),
        (request.ContentTypeNotAllowed, 415, "unsupported_media_type"),
        (keyring.NoUpstreamKey, 503, "no_upstream_key"),
        (upstream.UpstreamUnreachable, 502, "upstream_unreachable"),
        (upstream.UpstreamDnsFailure, 502, "upstream_dns_error"),
        (upstream.UpstreamTlsFailure, 502, "upstream_tls_error"),
        (upstream.UpstreamTimeout, 504, "upstream_timeout"),
        (upstream.UpstreamProtocolFailure, 502, "upstream_protocol_error"),
        (upstream.UpstreamTruncated, 502, "upstream_truncated"),
        (upstream.UpstreamInvalidResponse, 502, "upstream_invalid_response"),
        (upstream.UpstreamUnexpectedStatus, 502, "upstream_unexpected_status"),
        (upstream.NetworkProxyUnreachable, 502, "network_proxy_unreachable"),
        (upstream.NetworkProxyRefused, 502, "network_proxy_refused"),
        (upstream.NetworkProxyAuth, 502, "network_proxy_auth"),
        (proxy_error.ServerFault, 500, "server_error"),
    ],
)
def test_the_codes_that_clients_know_stay_as_they_are(error: type[ProxyError], status: int, code: str) -> None:
    assert (error.status, error.code) == (status, code)
