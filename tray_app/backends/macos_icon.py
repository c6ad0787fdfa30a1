"""Classes between pystray and AppKit on macOS, created at run time because only macOS has their parents."""

import io
from typing import Any

from PIL import Image

ICON_POINTS = 18  # recommended by Apple; the bar itself has at least 22
RETINA_PX = 2 * ICON_POINTS  # one pixel of the image is then one pixel of the screen


def delegate_class(appkit: Any) -> Any:
    """Return the class of AppKit's delegate; call it once in a process, because Objective-C's names are global."""

    class OpenAITrayDelegate(appkit.NSObject):  # type: ignore[misc]  # PyObjC ships no types
        def menuNeedsUpdate_(self, _menu: Any) -> None:  # noqa: N802  Objective-C's name
            self.on_menu_opening()

        def willPowerOff_(self, _notification: Any) -> None:  # noqa: N802  Objective-C's name
            self.on_power_off()

    return OpenAITrayDelegate


def sharp_icon_class(parent: Any, appkit: Any) -> Any:
    """Return an icon class that draws at the screen's resolution, and fills its menu on opening, not replacing it."""

    class SharpIcon(parent):  # type: ignore[misc]  # pystray ships no types
        menu_delegate: Any = None
        _icon_image: Any
        _menu_handle: Any = None

        def _assert_image(self) -> None:
            if self._icon_image is not None:
                return
            self._icon_image = ns_image(self._icon, ICON_POINTS, appkit)
            self._status_item.button().setImage_(self._icon_image)

        def _update_menu(self) -> None:
            """Build the menu once; if it were replaced while open, a click would run another line."""
            if self._menu_handle:
                return
            super()._update_menu()
            self._menu_handle[0].setDelegate_(self.menu_delegate)

        def refill_menu(self) -> None:
            menu, _ = self._menu_handle
            callbacks: list[Any] = []
            fresh = self._create_menu(self.menu, callbacks)
            menu.removeAllItems()
            for item in list(fresh.itemArray()):
                fresh.removeItem_(item)
                menu.addItem_(item)
            self._menu_handle = (menu, callbacks)

    return SharpIcon


def ns_image(image: Image.Image, size_points: float, appkit: Any) -> Any:
    """Convert an image to AppKit's, with all its pixels in `size_points`."""
    png = io.BytesIO()
    image.save(png, "png")
    drawn = appkit.NSImage.alloc().initWithData_(
        appkit.NSData.dataWithBytes_length_(png.getvalue(), len(png.getvalue()))
    )
    drawn.setSize_((size_points, size_points))
    drawn.setTemplate_(is_template(image))
    return drawn


def is_template(image: Image.Image) -> bool:
    """Return whether all visible pixels are black, so that macOS may recolour the image for light and dark bars."""
    on_black = Image.new("RGB", image.size)
    on_black.paste(image.convert("RGB"), mask=image.convert("RGBA").getchannel("A"))
    return on_black.getbbox() is None
