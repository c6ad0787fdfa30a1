"""Write the icon files in assets/ from the drawing: `python -m tray_app.draw_assets assets`."""

import sys
from pathlib import Path

from tray_app.artwork import BODY, DRAWINGS, GRID, Box, icon

STATE = "running"  # the program's face in file managers, on the dashboard and in notifications
PNG_SIZES_PX = (16, 20, 22, 24, 32, 40, 48, 64, 128, 256)
ICO_SIZES_PX = (16, 20, 24, 32, 40, 48, 64, 256)
ICNS_SIZES_PX = (32, 64, 128, 256, 512, 1024)


def main(folder: Path) -> None:
    """Write every icon file below the folder; raises OSError."""
    (folder / "icon").mkdir(parents=True, exist_ok=True)
    for size_px in PNG_SIZES_PX:
        icon(STATE, size_px).save(folder / "icon" / f"icon-{size_px}.png", optimize=True)
    save_all(folder / "icon.ico", ICO_SIZES_PX)
    save_all(folder / "icon.icns", ICNS_SIZES_PX)
    (folder / "icon.svg").write_text(svg(), encoding="utf-8", newline="\n")


def save_all(file: Path, sizes_px: tuple[int, ...]) -> None:
    """Write one file with the icon in several sizes, each drawn separately; raises OSError."""
    pictures = [icon(STATE, size_px) for size_px in sizes_px]
    sizes = [picture.size for picture in pictures]
    pictures[-1].save(file, sizes=sizes, append_images=pictures[:-1])


def svg() -> str:
    """Return the drawing as SVG, with unrounded edges."""
    drawing = DRAWINGS[STATE]
    sign = " ".join(path(shape) for shape in drawing.sign if isinstance(shape, Box))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {GRID} {GRID}">\n'
        f'  <path fill="{drawing.colour}" d="{path(BODY)}"/>\n'
        f'  <path fill="#fff" fill-rule="evenodd" d="{sign}"/>\n'
        "</svg>\n"
    )


def path(box: Box) -> str:
    """Return a box's outline as SVG path data, clockwise from the start of its roof."""
    left, right = GRID / 2 - box.half_width, GRID / 2 + box.half_width
    wall, ground = box.top + box.roof, box.bottom - box.foot
    return (
        f"M{left:g} {wall:g}{arc(box.roof, left + box.roof, box.top)}"
        f"H{right - box.roof:g}{arc(box.roof, right, wall)}"
        f"V{ground:g}{arc(box.foot, right - box.foot, box.bottom)}"
        f"H{left + box.foot:g}{arc(box.foot, left, ground)}Z"
    )


def arc(radius: float, x: float, y: float) -> str:
    """Return the path command for a quarter circle, clockwise, to a point; nothing for a sharp corner."""
    return f"A{radius:g} {radius:g} 0 0 1 {x:g} {y:g}" if radius else ""


if __name__ == "__main__":
    main(Path(sys.argv[1]))
