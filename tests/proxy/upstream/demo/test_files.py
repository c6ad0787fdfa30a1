"""The files of the demo upstream through the official SDK."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from proxy.upstream.demo.files import FILES_LIMIT, SIZE_LIMIT_BYTES

CONTENT = bytes(range(256)) + b"\r\n--not the boundary\r\n\r\n"


@pytest.fixture(autouse=True)
def empty_store(client: openai.OpenAI) -> Iterator[None]:
    yield
    for stored in client.files.list():
        client.files.delete(stored.id)


def test_a_file_comes_back_byte_for_byte(client: openai.OpenAI, check_shape: Callable[[Any], None]) -> None:
    stored = client.files.create(file=("notes.bin", CONTENT), purpose="user_data")

    check_shape(stored)
    assert (stored.filename, stored.bytes, stored.purpose) == ("notes.bin", len(CONTENT), "user_data")
    assert client.files.content(stored.id).content == CONTENT
    assert client.files.retrieve(stored.id) == stored


def test_files_are_listed_by_purpose(client: openai.OpenAI) -> None:
    first = client.files.create(file=("a", b"a"), purpose="batch")
    second = client.files.create(file=("b", b"b"), purpose="user_data")

    assert [stored.id for stored in client.files.list()] == [first.id, second.id]
    assert [stored.id for stored in client.files.list(purpose="batch")] == [first.id]


def test_a_deleted_file_is_gone(client: openai.OpenAI) -> None:
    stored = client.files.create(file=("a", b"a"), purpose="batch")

    assert client.files.delete(stored.id).deleted

    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match="No such File"):
            ask(stored.id)


def test_the_store_refuses_more_than_it_holds(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="at most"):
        client.files.create(file=("big", bytes(SIZE_LIMIT_BYTES + 1)), purpose="batch")

    for _ in range(FILES_LIMIT):
        client.files.create(file=("a", b"a"), purpose="batch")
    with pytest.raises(openai.BadRequestError, match="delete one first"):
        client.files.create(file=("a", b"a"), purpose="batch")


def test_an_upload_without_a_file_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="multipart/form-data"):
        client.post("/files", body={"purpose": "batch"}, cast_to=object)
