"""The look as data."""

import pytest

from tray_app.menu import Line, Look, walk


def test_the_default_key_is_the_default_line_that_can_be_clicked():
    lines = (Line("gone", "Gone", is_default=True, enabled=False), Line("open", "Open", is_default=True))

    assert Look("running", "Title", lines).default_key == "open"
    assert Look("running", "Title").default_key is None


def test_walk_goes_through_submenus():
    lines = (Line("copy", "Copy", kind="submenu", children=(Line("url", "Address"),)), Line("quit", "Quit"))

    assert [line.key for line in walk(lines)] == ["copy", "url", "quit"]


def test_a_key_may_stand_only_once_even_in_a_submenu():
    below = Line("copy", "Copy", kind="submenu", children=(Line("quit", "Quit"),))

    with pytest.raises(ValueError, match="not unique"):
        Look("running", "Title", (below, Line("quit", "Quit")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"label": "Check", "kind": "check"},
        {"label": "Action", "checked": True},
        {"label": "Action", "children": (Line("below", "Below"),)},
        {"label": ""},
    ],
)
def test_a_line_that_says_two_things_is_refused(wrong):
    with pytest.raises(ValueError, match="wrong"):
        Line("wrong", **wrong)


def test_only_enabled_actions_and_checks_can_be_clicked():
    assert Line("key", "Label").is_clickable
    assert Line("key", "Label", kind="check", checked=False).is_clickable
    assert not Line("key", "Label", enabled=False).is_clickable
    assert not Line("key", "Label", kind="submenu").is_clickable
    assert not Line("key", kind="separator").is_clickable
