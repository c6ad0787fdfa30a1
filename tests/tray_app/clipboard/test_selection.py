"""The window that owns the X11 clipboard, asked by another one."""

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


@pytest.mark.parametrize("is_handed_over", [True, False])
def test_who_has_asked_before_it_is_closed_is_answered(x_display: str, is_handed_over: bool) -> None:
    owner, paster = SelectionOwner("the first text"), Paster()
    paster.ask()
    heir = SelectionOwner("another text") if is_handed_over else None
    owner.close()

    assert paster.pasted() == b"the first text"
    paster.display.close()
    if heir is not None:
        heir.close()
