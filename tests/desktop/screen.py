"""The X screen and its mouse: look at the pixels, click on them."""

from functools import reduce

from PIL import Image, ImageChops, ImageColor
from Xlib import X, display
from Xlib.ext import xtest

from tray_app.artwork import DRAWINGS

TOLERANCE = 12
PANEL_HEIGHT = 41  # and its lower edge
MENU_HEIGHT = 100  # at least; a tooltip is lower

Colour = tuple[int, int, int]
Point = tuple[int, int]
Box = tuple[int, int, int, int]


class Screen:
    """An X display, seen and used from outside."""

    def __init__(self, name: str) -> None:
        self._display = display.Display(name)
        self._root = self._display.screen().root

    def close(self) -> None:
        self._display.close()

    def image(self) -> Image.Image:
        """Take a screenshot."""
        size = self._root.get_geometry()
        raw = self._root.get_image(0, 0, size.width, size.height, X.ZPixmap, 0xFFFFFFFF)
        return Image.frombytes("RGB", (size.width, size.height), raw.data, "raw", "BGRX")

    def middle_of(self, colour: Colour) -> Point | None:
        """Return the middle of what has this colour, None where nothing has."""
        image = self.image()
        difference = ImageChops.difference(image, Image.new("RGB", image.size, colour))
        is_far = [band.point(lambda value: value > TOLERANCE and 255) for band in difference.split()]
        box = ImageChops.invert(reduce(ImageChops.lighter, is_far)).getbbox()
        return ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2) if box else None

    def middle_of_the_icon(self) -> Point | None:
        """Return the middle of the program's own icon, None where it is not."""
        return self.middle_of(ImageColor.getrgb(DRAWINGS["running"].colour))

    def move(self, to: Point) -> None:
        xtest.fake_input(self._display, X.MotionNotify, x=to[0], y=to[1])
        self._display.sync()

    def click(self, at: Point, button: int = 1) -> None:
        """Move the mouse there and press a button: 1 left, 2 middle, 3 right."""
        self.move(at)
        xtest.fake_input(self._display, X.ButtonPress, button)
        xtest.fake_input(self._display, X.ButtonRelease, button)
        self._display.sync()

    def is_panel_empty(self) -> bool:
        """Whether nothing but its background is on the panel."""
        image = self.image()
        return len(image.crop((0, 0, image.width, PANEL_HEIGHT - 1)).getcolors(PANEL_HEIGHT * image.width) or []) == 1

    def menu_box(self) -> Box | None:
        """Return where a menu is open below the panel, None where nothing is."""
        image = self.image()
        box = image.crop((0, PANEL_HEIGHT, image.width, image.height)).getbbox()
        if box is None or box[3] - box[1] < MENU_HEIGHT:  # a tooltip
            return None
        return box[0], box[1] + PANEL_HEIGHT, box[2], box[3] + PANEL_HEIGHT

    def has_xembed_tray(self) -> bool:
        """Whether a panel offers an XEmbed tray."""
        return self._display.get_selection_owner(self._display.intern_atom("_NET_SYSTEM_TRAY_S0")) != X.NONE
