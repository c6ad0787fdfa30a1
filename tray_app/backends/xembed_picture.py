"""Draw the icon on an XEmbed panel's background: its window is opaque, and pystray draws transparent pixels black."""

from typing import Any

from PIL import Image
from Xlib import X, error  # type: ignore[import-untyped]  # it ships no types

BACKGROUND: dict[str, Any] = {"background_pixmap": X.ParentRelative}


def on_panel(picture: Image.Image, window: Any, width: int, height: int) -> Image.Image:
    """Return the picture centred on the window's background; on the thread that owns the window."""
    drawn = background(window, width, height)
    place = (width - picture.width) // 2, (height - picture.height) // 2
    drawn.paste(picture, place, picture.convert("RGBA").getchannel("A"))
    return drawn


def background(window: Any, width: int, height: int) -> Image.Image:
    """Return what the panel shows behind the window, black if it cannot be read."""
    # Not earlier: a panel of another depth could not have embedded a window with this attribute.
    window.change_attributes(onerror=error.CatchError(), **BACKGROUND)
    window.clear_area(0, 0, width, height)
    try:
        raw = window.get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFFFF)
        return Image.frombytes("RGB", (width, height), raw.data, "raw", "BGRX")
    except (error.XError, ValueError):  # partly off the screen; not 32 bits per pixel
        return Image.new("RGB", (width, height))
