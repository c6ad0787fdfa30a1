from pathlib import Path

import pytest
from PIL import Image, ImageChops

from proxy import paths
from tray_app.artwork import icon
from tray_app.draw_assets import ICNS_SIZES_PX, ICO_SIZES_PX, PNG_SIZES_PX, main


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("assets")
    main(folder)
    return folder


@pytest.mark.parametrize("size_px", PNG_SIZES_PX)
def test_the_png_files_are_up_to_date_with_the_drawing(size_px):
    with Image.open(paths.asset(f"icon/icon-{size_px}.png")) as kept:
        # Another pillow may round an edge a little differently.
        assert ImageChops.difference(kept.convert("RGBA"), icon("running", size_px)).getextrema()[3][1] <= 32


def test_the_svg_file_is_up_to_date_with_the_drawing(drawn):
    assert paths.asset("icon.svg").read_bytes() == (drawn / "icon.svg").read_bytes()


def test_the_windows_file_holds_every_size_as_it_was_drawn(drawn):
    with Image.open(drawn / "icon.ico") as file:
        assert file.info["sizes"] == {(size, size) for size in ICO_SIZES_PX}
        for size in ICO_SIZES_PX:
            assert file.ico.getimage((size, size)).convert("RGBA").tobytes() == icon("running", size).tobytes()


def test_the_macos_file_holds_every_size(drawn):
    with Image.open(drawn / "icon.icns") as file:
        assert {width * scale for width, _, scale in file.info["sizes"]} == set(ICNS_SIZES_PX)


@pytest.mark.parametrize("name", ["icon.ico", "icon.icns"])
def test_the_files_of_the_other_systems_are_kept_too(name):
    with Image.open(paths.asset(name)) as kept:
        assert kept.size[0] >= 256
