"""Where a form's model stands, however the form arrives."""

import random

import pytest

from proxy.exchange.form_fields import MAX_PARTS, form_of

KIND = "multipart/form-data; boundary=b0"
FIELD = b'--b0\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper\r\n'
FILE = b'--b0\r\nContent-Disposition: form-data; name="file"; filename="model"\r\n\r\n\x00\r\n--b\r\n\r\n\r\n'
END = b"--b0--\r\n"


def found(body: bytes, size: int) -> list[bytes]:
    """Return the models of a form that arrives in pieces of a size; the places are those of their values."""
    form = form_of(KIND)
    assert form is not None
    fields = [field for at in range(0, len(body), size) for field in form.feed(body[at : at + size])]
    assert [body[start:end] for (start, end), _ in fields] == [value for _, value in fields]
    return [value for _, value in fields]


@pytest.mark.parametrize(
    ("body", "models"),
    [
        (FIELD + FILE + END, [b"whisper"]),
        (FILE + FIELD + END, [b"whisper"]),
        (FILE * 3 + FIELD + FIELD + END, [b"whisper"] * 2),
        (FIELD.replace(b"\r\n", b"\n") + END, [b"whisper"]),
        (FIELD.replace(b"whisper", b"") + END, [b""]),
        (FIELD.replace(b"whisper", b"w" * 2_000) + END, []),
        (FIELD.replace(b"whisper", b"a\r\n--b\r\nb") + END, [b"a\r\n--b\r\nb"]),
        (b"before" + FIELD.replace(b'"model"', b"model") + END, [b"whisper"]),
        (FIELD.replace(b"Content-Disp", b"X: " + b"y" * 5_000 + b"\r\nContent-Disp") + FIELD + END, [b"whisper"]),
        (FIELD.replace(b'"model"', b'"models"') + FILE + END, []),
        (FIELD.replace(b'"model"', b'"model"; filename="m"') + END, []),
        (b"--b0" + FIELD + END, [b"whisper"]),
        (b"--b0\r\n\r\n" + FIELD + END, [b"whisper"]),
        (FIELD[:-2], []),
        (b"", []),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 7, 10_000])
def test_a_model_is_found_in_pieces_of_any_size(body: bytes, models: list[bytes], size: int) -> None:
    assert found(body, size) == models


def test_random_forms_are_read_alike_in_any_pieces() -> None:
    chance = random.Random(5)
    bits = [FIELD, FILE, END, b"--b0", b"\r\n", b"\n", b"\r\n\r\n", b"model", b"\r", b"x" * 1_100, b'name="model"']
    for _ in range(300):
        body = b"".join(chance.choices(bits, k=chance.randrange(12)))
        assert found(body, chance.randrange(1, 40)) == found(body, len(body) + 1)


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/mixed; boundary=b", "application/json", ""])
def test_what_is_no_form_is_not_read(kind: str) -> None:
    assert form_of(kind) is None


def test_it_holds_little_of_a_large_part_and_looks_at_a_bounded_number_of_parts() -> None:
    form = form_of(KIND)
    assert form is not None
    form.feed(FILE)
    for _ in range(100):
        form.feed(b"x" * 100_000)
    assert form.held_bytes < 10_000
    assert found(FILE * MAX_PARTS + FIELD + END, 1_000) == []
