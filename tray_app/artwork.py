"""Draw the icon from shapes: a doorway within a doorway, with a sign for the state of the program.

Lengths are sixteenths of the icon's height. Edges are rounded to whole pixels before they are drawn, and both
halves mirror each other, so that 16 px is as sharp as 256.
"""

from dataclasses import dataclass
from functools import cache, reduce
from math import floor

from PIL import Image, ImageChops, ImageDraw

GRID = 16
OVERSAMPLING = 8
STATES = ("running", "working", "stopped", "attention", "error")

Edges = tuple[int, int, int, int]
Corners = tuple[bool, bool, bool, bool]
UPPER: Corners = (True, True, False, False)
LOWER: Corners = (False, False, True, True)
ALL: Corners = (True, True, True, True)


@dataclass(frozen=True)
class Box:
    """A box across the middle axis, its upper corners rounded by `roof`, its lower ones by `foot`."""

    half_width: float
    top: float
    bottom: float
    roof: float = 0
    foot: float = 0


@dataclass(frozen=True)
class Ball:
    """A disc on the middle axis."""

    radius: float
    middle: float


@dataclass(frozen=True)
class Cross:
    """Two slanting strokes that cross on the middle axis."""

    half_width: float
    middle: float
    stroke: float


Shape = Box | Ball | Cross


@dataclass(frozen=True)
class Drawing:
    """The colour of the body, and the sign on it: shapes inside each other, white and coloured in turn."""

    colour: str
    sign: tuple[Shape, ...]


def doorway(half_width: float, top: float) -> Box:
    """Return a round-headed doorway that stands on the sill."""
    return Box(half_width, top, 14, roof=half_width)


BODY = Box(7, 0, GRID, roof=7, foot=1.5)
DOORS = (doorway(5, 2), doorway(3, 4))
# Colours of medium lightness: each must contrast with light panels, dark panels and the white sign.
DRAWINGS = {
    "running": Drawing("#4a63e7", (*DOORS, doorway(1, 6))),
    "working": Drawing("#0a84c1", (*DOORS, Ball(2, 10))),
    "stopped": Drawing("#5b6474", (Box(4, 7, 10, roof=0.5, foot=0.5),)),
    "attention": Drawing("#b97200", (Box(1.5, 3, 10, roof=0.5, foot=0.5), Box(1.5, 11, 14, roof=0.5, foot=0.5))),
    "error": Drawing("#d92f3c", (Cross(3.2, 8.5, 2.2),)),
}


@cache
def icon(state: str, size_px: int) -> Image.Image:
    """Return a state's icon, square, as RGBA. The image is cached: copy it before you draw on it.

    May be called on any thread. Raises ValueError for an unknown state and for a size below one pixel.
    """
    body, sign = masks(state, size_px)
    plain = Image.new("RGB", body.size, DRAWINGS[state].colour)
    picture = Image.composite(Image.new("RGB", body.size, "white"), plain, sign)
    picture.putalpha(body)
    return picture


@cache
def template(state: str, size_px: int) -> Image.Image:
    """Return a state's icon for macOS to recolour: black, with the sign cut out; otherwise as `icon`."""
    body, sign = masks(state, size_px)
    picture = Image.new("RGBA", body.size, "black")
    picture.putalpha(ImageChops.subtract(body, sign))
    return picture


def menu_bar_icon(state: str, size_px: int) -> Image.Image:
    """Return the icon for the menu bar of macOS: a template, as is usual there, but problems in colour."""
    return icon(state, size_px) if state in ("attention", "error") else template(state, size_px)


def masks(state: str, size_px: int) -> tuple[Image.Image, Image.Image]:
    """Return the masks of the body and of the sign; raises ValueError."""
    if state not in DRAWINGS:
        raise ValueError(f"there is no icon for the state {state!r}; the states are {', '.join(STATES)}")
    if size_px < 1:
        raise ValueError(f"an icon cannot have a size of {size_px} px")
    sign = reduce(ImageChops.difference, (mask(shape, size_px) for shape in DRAWINGS[state].sign))
    return mask(BODY, size_px).reduce(OVERSAMPLING), sign.reduce(OVERSAMPLING)


def mask(shape: Shape, size_px: int) -> Image.Image:
    """Return the mask of a shape, enlarged by OVERSAMPLING."""
    if isinstance(shape, Cross):
        return cross_mask(shape, size_px)
    if isinstance(shape, Ball):
        left, top = whole(GRID / 2 - shape.radius, size_px), whole(shape.middle - shape.radius, size_px)
        width = size_px - 2 * left
        return rounded((left, top, left + width, top + width), width / 2, ALL, size_px)
    left = whole(GRID / 2 - shape.half_width, size_px)
    edges = (left, whole(shape.top, size_px), size_px - left, whole(shape.bottom, size_px))
    unit_px = (size_px / 2 - left) / shape.half_width  # a half circle stays one after its edges were rounded
    roof = rounded(edges, shape.roof * unit_px, UPPER, size_px)
    foot = rounded(edges, shape.foot * unit_px, LOWER, size_px)
    return ImageChops.darker(roof, foot)


def cross_mask(cross: Cross, size_px: int) -> Image.Image:
    """Return the mask of a cross, enlarged by OVERSAMPLING."""
    picture = Image.new("L", (size_px * OVERSAMPLING,) * 2)
    unit, x, y = picture.width / GRID, picture.width / 2, whole(cross.middle, size_px) * OVERSAMPLING
    reach, width = cross.half_width * unit, round(cross.stroke * unit)
    draw = ImageDraw.Draw(picture)
    draw.line((x - reach, y - reach, x + reach, y + reach), 255, width)
    draw.line((x - reach, y + reach, x + reach, y - reach), 255, width)
    return picture


def rounded(edges: Edges, radius_px: float, corners: Corners, size_px: int) -> Image.Image:
    """Return the mask of a box with some round corners, enlarged by OVERSAMPLING."""
    picture = Image.new("L", (size_px * OVERSAMPLING,) * 2)
    left, top, right, bottom = (edge * OVERSAMPLING for edge in edges)
    if left < right and top < bottom:
        box = (left, top, right - 1, bottom - 1)  # pillow includes the last pixel
        ImageDraw.Draw(picture).rounded_rectangle(box, radius_px * OVERSAMPLING, 255, corners=corners)
    return picture


def whole(length: float, size_px: int) -> int:
    """Return the pixel edge nearest to a length; halves always go up, so that equal gaps stay equal."""
    return floor(length * size_px / GRID + 0.5)
