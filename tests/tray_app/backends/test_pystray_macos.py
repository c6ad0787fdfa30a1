"""The mends for macOS, over stand-ins for AppKit: that they are right on a Mac is not shown here."""

import signal
import threading
from types import SimpleNamespace

import pytest
from PIL import Image, ImageDraw

from fakes.pystray_icons import FakeProgram, QueueIcon, pystray
from tray_app.backends.macos_icon import is_template, ns_image
from tray_app.backends.pystray_macos import Cocoa, MacosBackend
from tray_app.menu import Line, Look
from waiting import wait_for

OPEN = Line("open", "Open", is_default=True)


class NSObject:
    @classmethod
    def alloc(cls):
        return cls()

    def init(self):
        return self


class NSMenu:
    """A menu that holds its items, as AppKit's does."""

    def __init__(self, items):
        self._items = list(items)
        self.delegate = None

    def setDelegate_(self, delegate):  # noqa: N802  AppKit's name
        self.delegate = delegate

    def itemArray(self):  # noqa: N802  AppKit's name
        return tuple(self._items)

    def removeAllItems(self):  # noqa: N802  AppKit's name
        self._items.clear()

    def removeItem_(self, item):  # noqa: N802  AppKit's name
        self._items.remove(item)

    def addItem_(self, item):  # noqa: N802  AppKit's name
        self._items.append(item)


class BarIcon(QueueIcon):
    """An icon with what pystray keeps on macOS."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._icon_image = None
        self._status_bar = SimpleNamespace(thickness=lambda: 22.0)
        self.button = SimpleNamespace(images=[])
        self.button.setImage_ = self.button.images.append
        self._status_item = SimpleNamespace(button=lambda: self.button)
        self.menus = []

    def _show(self):
        self._assert_image()
        super()._show()

    def _create_menu(self, descriptors, callbacks):
        callbacks.extend(descriptors)
        return NSMenu(item.text for item in descriptors)

    def _update_menu(self):
        callbacks = []
        self._menu_handle = (self._create_menu(self.menu, callbacks), callbacks)
        self.menus.append(self._menu_handle[0])


class Mac:
    """The parts of AppKit that are used, noting what they are told."""

    def __init__(self, program):
        self.policies, self.observed, self.signals = [], [], {}
        application = SimpleNamespace(setActivationPolicy_=self.policies.append)
        centre = SimpleNamespace(addObserver_selector_name_object_=lambda *told: self.observed.append(told))
        workspace = SimpleNamespace(notificationCenter=lambda: centre)
        appkit = SimpleNamespace(
            NSObject=NSObject,
            NSApplication=SimpleNamespace(sharedApplication=lambda: application),
            NSApplicationActivationPolicyAccessory="accessory",
            NSWorkspace=SimpleNamespace(sharedWorkspace=lambda: workspace),
            NSWorkspaceWillPowerOffNotification="power off",
            NSImage=NSImage,
            NSData=SimpleNamespace(dataWithBytes_length_=lambda data, _length: data),
        )
        cocoa = Cocoa(
            appkit,
            SimpleNamespace(callAfter=lambda task: self.backend._icon.loop.put(task)),
            SimpleNamespace(signal=self.signals.__setitem__),
        )
        parts = SimpleNamespace(Icon=BarIcon, Menu=pystray.Menu, MenuItem=pystray.MenuItem)
        self.backend = MacosBackend(parts, cocoa, program.program, "test")


class NSImage(NSObject):
    def initWithData_(self, data):  # noqa: N802  AppKit's name
        self.data = data
        return self

    def setSize_(self, size):  # noqa: N802  AppKit's name
        self.size = size

    def setTemplate_(self, is_template):  # noqa: N802  AppKit's name
        self.is_template = is_template


def run_while(mac, act):
    """Run the backend on this thread, the main one, while `act` acts on another; stop it at the end."""

    def play():
        try:
            wait_for(lambda: mac.backend.is_shown and mac.signals, "the icon")
            act(mac.backend)
        finally:
            mac.backend.stop()

    player = threading.Thread(target=play)
    player.start()
    mac.backend.run()
    player.join()


def test_the_icon_is_run_and_drawn_on_the_main_thread():
    mac = Mac(FakeProgram(OPEN))
    threads = []
    mac.backend._icon.button.setImage_ = lambda _: threads.append(threading.current_thread())

    run_while(mac, lambda backend: None)

    assert set(threads) == {threading.main_thread()}
    assert mac.policies == ["accessory"]


def test_a_refresh_from_another_thread_is_done_on_the_main_thread():
    program = FakeProgram(OPEN)
    mac = Mac(program)

    def change(backend):
        program.look = Look("running", "Other", (OPEN,))
        backend.refresh()
        wait_for(lambda: ("title", "Other") in backend._icon.drawn, "the title")

    run_while(mac, change)


def test_the_menu_is_filled_when_it_opens_and_never_replaced():
    program = FakeProgram(OPEN)
    mac = Mac(program)

    def open_menu(backend):
        icon = backend._icon
        program.look = Look("running", "Title", (OPEN, Line("quit", "Quit")))
        icon.update_menu()
        (menu,) = icon.menus
        assert menu.itemArray() == ("Open",)

        menu.delegate.menuNeedsUpdate_(menu)

        assert menu.itemArray() == ("Open", "Quit")
        assert [item.text for item in icon._menu_handle[1]] == ["Open", "Quit"]

    run_while(mac, open_menu)


def test_logging_out_stops_it():
    mac = Mac(FakeProgram(OPEN))

    run_while(mac, lambda backend: backend._delegate.willPowerOff_(None))

    assert mac.observed == [(mac.backend._delegate, b"willPowerOff:", "power off", None)]


def test_signals_come_through_appkits_loop_and_are_pythons_again_afterwards():
    mac = Mac(FakeProgram(OPEN))
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: heard.append(number))
    try:
        run_while(mac, lambda backend: mac.signals[signal.SIGTERM](signal.SIGTERM))
        signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

    assert heard == [signal.SIGTERM, signal.SIGTERM]


def test_stopped_before_it_runs_it_returns_at_once():
    mac = Mac(FakeProgram(OPEN))
    mac.backend.stop()

    mac.backend.run()


def test_a_picture_keeps_its_pixels_and_is_as_large_as_told():
    appkit = SimpleNamespace(
        NSImage=NSImage, NSData=SimpleNamespace(dataWithBytes_length_=lambda data, length: data[:length])
    )

    drawn = ns_image(Image.new("RGBA", (64, 64), "red"), 22.0, appkit)

    assert drawn.size == (22.0, 22.0)
    assert drawn.data.startswith(b"\x89PNG")
    assert not drawn.is_template


@pytest.mark.parametrize(("colour", "expected"), [("black", True), ("red", False), ((0, 0, 0, 90), True)])
def test_only_black_shapes_are_a_template(colour, expected):
    image = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    ImageDraw.Draw(image).rectangle((2, 2, 5, 5), fill=colour)

    assert is_template(image) is expected
