"""The program's own files: whole at every moment, wherever the user has put them."""

import os
import stat
import sys
from pathlib import Path

import pytest

from proxy.files import write_private

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes, and links for few users")


@on_posix
def test_a_file_that_is_a_link_stays_one_and_is_written_where_it_leads(tmp_path: Path) -> None:
    kept, link = tmp_path / "dotfiles" / "settings.toml", tmp_path / "config" / "settings.toml"
    for folder in (kept.parent, link.parent):
        folder.mkdir(mode=0o755)
    kept.write_text("old")
    link.symlink_to("../dotfiles/settings.toml")
    write_private(link, b"new")

    assert link.is_symlink()
    assert kept.read_bytes() == b"new"
    assert list(kept.parent.iterdir()) == [kept]
    assert [stat.S_IMODE(folder.stat().st_mode) for folder in (kept.parent, link.parent)] == [0o755, 0o700]


@on_posix
def test_a_link_that_leads_nowhere_yet_is_written_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").symlink_to(tmp_path / "dotfiles" / "settings.toml")
    (tmp_path / "dotfiles").mkdir()
    write_private(tmp_path / "settings.toml", b"new")

    assert (tmp_path / "dotfiles" / "settings.toml").read_bytes() == b"new"


@pytest.mark.parametrize("refusals", [1, 3])
def test_a_file_that_is_open_elsewhere_for_a_moment_is_replaced_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusals: int
) -> None:
    replace, left = os.replace, [PermissionError(13, "in use")] * refusals

    def refuse_at_first(source: object, target: object) -> None:
        """Do as Windows does while a virus scanner looks into the file."""
        if left:
            raise left.pop()
        replace(str(source), str(target))

    monkeypatch.setattr("os.replace", refuse_at_first)
    write_private(tmp_path / "file", b"new")

    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_file_that_stays_open_elsewhere_is_an_error_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(13, "in use")

    file = tmp_path / "folder" / "file"
    write_private(file, b"old")
    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError):
        write_private(file, b"new")

    assert list(file.parent.iterdir()) == [file]
    assert file.read_bytes() == b"old"
