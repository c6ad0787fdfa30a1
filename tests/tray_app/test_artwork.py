import subprocess
import sys
from itertools import combinations

import pytest
from PIL import ImageChops, ImageColor, ImageOps

from tray_app.artwork import DRAWINGS, STATES, icon, menu_bar_icon, template

SIZES_PX = (16, 20, 22, 24, 32, 40, 48, 64)
EVERY_STATE = pytest.mark.parametrize("state", STATES)
EVERY_SIZE = pytest.mark.parametrize("size_px", SIZES_PX)


@EVERY_STATE
@EVERY_SIZE
def test_an_icon_has_the_size_asked_for_and_can_be_seen_through_beside_the_body(state, size_px):
    picture = icon(state, size_px)

    assert (picture.mode, picture.size) == ("RGBA", (size_px, size_px))
    assert picture.getpixel((0, 0))[3] == 0
    assert picture.getpixel((size_px // 2, size_px // 2))[3] == 255


def test_an_unknown_state_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'sleeping'.* running, working, stopped, attention, error"):
        icon("sleeping", 16)


def test_a_size_below_one_pixel_is_refused():
    with pytest.raises(ValueError, match="0 px"):
        template("running", 0)


def test_the_same_icon_is_drawn_once():
    assert icon("running", 22) is icon("running", 22)


@pytest.mark.parametrize("pair", list(combinations(STATES, 2)), ids="-".join)
def test_two_states_differ_in_shape_even_at_16_px(pair):
    one, other = (template(state, 16).getchannel("A") for state in pair)

    different = ImageChops.difference(one, other).point(lambda value: 255 * (value > 128))

    assert different.histogram()[255] >= 12


def test_no_two_states_have_the_same_colour():
    assert len({drawing.colour for drawing in DRAWINGS.values()}) == len(STATES)


@EVERY_STATE
def test_the_white_sign_stands_out_from_the_body(state):
    assert contrast(DRAWINGS[state].colour, "white") >= 3.5


@EVERY_STATE
@pytest.mark.parametrize("bar", ["#1e1e1e", "#808080", "#f3f3f3"], ids=["dark", "grey", "light"])
def test_body_or_sign_stands_out_from_every_bar(state, bar):
    assert max(contrast(DRAWINGS[state].colour, bar), contrast("white", bar)) >= 3


@EVERY_STATE
@EVERY_SIZE
def test_both_halves_mirror_each_other(state, size_px):
    picture = template(state, size_px)

    difference = ImageChops.difference(picture.getchannel("A"), ImageOps.mirror(picture.getchannel("A")))

    assert difference.getextrema()[1] <= 48  # pillow's own curves and slanting lines lean to one side a little


@EVERY_SIZE
def test_the_doorways_have_sharp_edges_at_every_size(size_px):
    row = [template("running", size_px).getpixel((x, size_px * 3 // 4))[3] for x in range(size_px)]

    assert set(row) == {0, 255}


def test_a_template_is_black():
    assert template("working", 32).convert("RGB").getextrema() == ((0, 0), (0, 0), (0, 0))


@EVERY_STATE
def test_in_the_menu_bar_of_macos_only_trouble_has_a_colour(state):
    is_black = menu_bar_icon(state, 36).convert("RGB").getextrema() == ((0, 0), (0, 0), (0, 0))

    assert is_black == (state not in ("attention", "error"))


def test_drawing_needs_nothing_heavy():
    code = "import sys, tray_app.artwork; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "PIL" in loaded
    assert not {"numpy", "tkinter", "proxy", "pystray", "flask", "Xlib"} & set(loaded)


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2, 1 to 21."""
    darker, lighter = sorted(luminance(colour) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [part / 255 for part in ImageColor.getrgb(colour)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
