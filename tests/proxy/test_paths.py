"""Where the program's files are, as far as others could have a hand in it."""

import sys
import tempfile
from pathlib import Path

import pytest

from proxy import paths

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only here the session says where")


@LINUX
def test_what_runs_is_noted_where_the_session_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    assert paths.runtime_dir() == tmp_path / "run" / "openai-tray-proxy"


@LINUX
@pytest.mark.parametrize("made_by_another", [False, True])
def test_what_runs_is_never_noted_in_a_folder_that_others_can_make_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, made_by_another: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("os.getuid", lambda: 4_242)  # one for whom the system has no folder
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    if made_by_another:  # who is not user 4242
        (tmp_path / "runtime-4242").mkdir()
    assert paths.runtime_dir() == paths.state_file().with_name("run")
