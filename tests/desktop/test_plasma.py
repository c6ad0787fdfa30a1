"""The menu on Plasma's panel, which has habits of its own; played, for the panel itself is too heavy to run here."""

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest

from desktop.plasma_panel import PlasmaPanel
from desktop.tray_user import Tray
from waiting import wait_for

Watch = Callable[[Tray], PlasmaPanel]


@pytest.fixture
def panel(tray: Tray, bare_bus: str) -> Iterator[PlasmaPanel]:
    """Give the panel, with the program's menu on it; another program has the program's port."""
    with tray.taken_port():
        tray.start_without_panel(bare_bus)
        with closing(PlasmaPanel(bare_bus, tray.item)) as panel:
            yield panel


def test_submenus_are_known_before_they_open_and_so_open_in_their_place(panel: PlasmaPanel) -> None:
    assert wait_for(lambda: panel.shown().get("documentation"), "the submenu's lines")
    assert panel.shown()["upstream-url"]["label"]


def test_a_switch_that_cannot_be_thrown_is_not_shown_thrown(panel: PlasmaPanel) -> None:
    assert panel.shown()["server"]["toggle-state"] == 0

    panel.click("server")

    wait_for(lambda: panel.shown()["server"]["toggle-state"] == 0, "the switch as it is")
