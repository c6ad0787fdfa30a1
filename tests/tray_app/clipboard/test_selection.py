"""The window that owns the X11 clipboard, asked by another one."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

pytest.importorskip("Xlib", reason="only Linux has it")

from Xlib import X, Xatom
from Xlib.display import Display

from tray_app.clipboard.selection import SelectionOwner
from waiting import wait_for


class Paster:
    """A program that pastes; it asks, and looks for the answer later."""

    def __init__(self) -> None:
        self.display = Display()
        self.window = self.display.screen().root.create_window(0, 0, 1, 1, 0, X.CopyFromParent)
        self.place = self.display.intern_atom("PASTED")

    def ask(self) -> None:
        """Ask for the text; returns when the display has passed that on."""
        clipboard = self.display.intern_atom("CLIPBOARD")
        self.window.convert_selection(clipboard, Xatom.STRING, self.place, X.CurrentTime)
        self.display.sync()

    def pasted(self) -> bytes:
        """Return the answer."""
        wait_for(self.display.pending_events, "the answer")
        assert self.display.next_event().property == self.place
        return bytes(self.window.get_full_property(self.place, X.AnyPropertyType).value)


@pytest.fixture
def closing(x_display: str) -> Iterator[ExitStack]:
    """Close what a test has opened on the display, also where it fails."""
    with ExitStack() as stack:
        yield stack


def paster(closing: ExitStack) -> Paster:
    paster = Paster()
    closing.callback(paster.display.close)
    return paster


def owner(closing: ExitStack, text: str) -> SelectionOwner:
    owner = SelectionOwner(text)
    closing.callback(owner.close)
    return owner


@pytest.mark.parametrize("is_handed_over", [True, False])
@pytest.mark.parametrize(("text", "count"), [("the first text", 1), ("the first text", 20), ("t" * 200_000, 5)])
def test_who_has_asked_before_it_is_closed_is_answered(
    closing: ExitStack, text: str, count: int, is_handed_over: bool
) -> None:
    first, pasters = owner(closing, text), [paster(closing) for _ in range(count)]
    for each in pasters:
        each.ask()
    if is_handed_over:
        owner(closing, "another text")
    first.close()

    assert [each.pasted() for each in pasters] == [text.encode()] * count


@pytest.mark.parametrize("is_handed_over", [True, False])
def test_who_asks_after_it_is_closed_gets_the_text_of_the_heir_or_none(
    closing: ExitStack, is_handed_over: bool
) -> None:
    first, late = owner(closing, "the first text"), paster(closing)
    heir = owner(closing, "another text") if is_handed_over else None
    first.close()
    late.ask()
    if heir is not None:
        heir.answer_waiting()
        assert late.pasted() == b"another text"
    else:
        wait_for(late.display.pending_events, "the refusal")
        assert late.display.next_event().property == X.NONE
