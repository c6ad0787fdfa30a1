"""Files that are uploaded: they have a limit of their own, and pass while they arrive."""

from collections.abc import Callable

import pytest

from fakes.running_proxy import RunningProxy
from fakes.scripted_upstream import Json
from fakes.shared_upstream import Fresh

MIB = 1_048_576

Start = Callable[..., RunningProxy]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files",
        "/v1/uploads/upload_1/parts",
        "/v1/audio/transcriptions",
        "/v1/images/edits",
        "/v1/containers/c1/files",
        "/audio/translations/",
    ],
)
def test_an_upload_may_be_larger_than_other_bodies(start: Start, upstream: Fresh, path: str) -> None:
    upstream.answer(Json({"id": "file-1"}))
    proxy = start(upstream.base_url, proxy_max_body_mb=1, proxy_max_upload_mb=3)
    form = {"file": ("a.bin", bytes(2 * MIB))}

    answer = proxy.http.post(path, files=form)

    assert answer.status_code == 200
    assert len(upstream.request.body) > 2 * MIB


@pytest.mark.parametrize("path", ["/v1/files/a/b", "/v1/batches", "/v1/filesystem", "/v1/audio/speech"])
def test_any_other_body_keeps_its_limit(start: Start, upstream: Fresh, path: str) -> None:
    proxy = start(upstream.base_url, proxy_max_body_mb=1)

    answer = proxy.http.post(path, content=bytes(2 * MIB))

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    assert "PROXY_MAX_BODY_MB" in answer.text
    assert upstream.requests == []


def test_an_upload_over_its_own_limit_names_the_setting(start: Start, upstream: Fresh) -> None:
    proxy = start(upstream.base_url, proxy_max_body_mb=1, proxy_max_upload_mb=2)

    answer = proxy.http.post("/v1/files", files={"file": ("a.bin", bytes(2 * MIB))})

    assert answer.status_code == 413
    assert "PROXY_MAX_UPLOAD_MB" in answer.text
    assert upstream.requests == []


def test_a_larger_limit_of_all_bodies_holds_for_uploads_too(start: Start, upstream: Fresh) -> None:
    upstream.answer(Json({"id": "file-1"}))
    proxy = start(upstream.base_url, proxy_max_body_mb=3, proxy_max_upload_mb=1)

    assert proxy.http.post("/v1/files", files={"file": ("a.bin", bytes(2 * MIB))}).status_code == 200
