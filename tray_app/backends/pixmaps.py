"""Icons in the format of StatusNotifierItem: raw pixels in several sizes, so that no panel has to scale."""

from collections.abc import Callable

from PIL import Image

SIZES_PX = (16, 22, 24, 32, 44, 48, 64)  # 44 is Plasma's 22 at scale 2

Pixmap = tuple[int, int, bytes]  # width, height, ARGB32 in network byte order


class Pixmaps:
    """Draw each state once and cache it; tray thread only."""

    def __init__(self, icon: Callable[[str, int], Image.Image]) -> None:
        self._icon = icon
        self._drawn: dict[str, list[Pixmap]] = {}

    def of(self, state: str) -> list[Pixmap]:
        """Return a state's icon in all sizes."""
        if state not in self._drawn:
            self._drawn[state] = [pixmap(self._icon(state, size_px)) for size_px in SIZES_PX]
        return self._drawn[state]


def pixmap(image: Image.Image) -> Pixmap:
    """Return the pixels of one image."""
    red, green, blue, alpha = image.convert("RGBA").split()
    width, height = image.size
    return width, height, Image.merge("RGBA", (alpha, red, green, blue)).tobytes()
