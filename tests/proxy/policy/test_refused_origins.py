"""Which refused origins are remembered, to be offered to the user."""

import pytest

from proxy.policy.refused_origins import LONGEST, MOST, RefusedOrigins

ONE, TWO, THREE = "https://one.example", "app://obsidian.md", "chrome-extension://abc"


def refused(*headers: str | None) -> RefusedOrigins:
    origins = RefusedOrigins()
    for header in headers:
        origins.note(header)
    return origins


def test_the_last_one_comes_first_and_none_twice() -> None:
    assert refused(ONE, TWO, THREE, ONE).offered(()) == [ONE, THREE, TWO]


def test_an_origin_is_offered_in_the_form_it_would_be_allowed_in() -> None:
    assert refused("HTTPS://One.Example:443").offered(()) == [ONE]


def test_the_oldest_make_room() -> None:
    pages = [f"https://page-{number}.example" for number in range(MOST + 2)]

    assert refused(*pages).offered(()) == pages[: -MOST - 1 : -1]


def test_what_is_allowed_by_now_is_not_offered() -> None:
    origins = refused(ONE, TWO)

    assert origins.offered([TWO]) == [ONE]
    assert origins.offered(()) == [TWO, ONE]


@pytest.mark.parametrize(
    "header",
    [None, "", "null", "file://", "*", "https://*.example", "https://a.example/path", "https://\u00fc.example"],
)
def test_what_cannot_be_allowed_is_not_remembered(header: str | None) -> None:
    assert refused(ONE, header).offered(()) == [ONE]


def test_an_origin_longer_than_a_name_can_be_is_not_remembered() -> None:
    longest = f"https://{'x' * (LONGEST - len('https://'))}"

    assert refused(longest, f"{longest}x").offered(()) == [longest]
