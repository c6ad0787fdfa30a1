"""Where the program's files are, as far as others could have a hand in it."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from fakes.environment import ROOT
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


@LINUX
@pytest.mark.parametrize("mode", [0o700, 0o777, 0o1777])
def test_what_runs_is_not_noted_in_a_folder_that_belongs_to_another(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run").chmod(mode)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setattr("os.geteuid", lambda: 4_242)  # as under sudo, which may keep the variable
    assert paths.runtime_dir() == paths.state_file().with_name("run")


# A user whom the system does not know, as `docker run --user 4242` makes one.
UNKNOWN = """
import pwd, runpy, sys
def getpwuid(number): raise KeyError(f"getpwuid(): uid not found: {number}")
pwd.getpwuid = getpwuid
sys.argv = ["openai-tray-proxy", *sys.argv[1:]]
"""
SERVE = UNKNOWN + "from proxy.cli.main import main\nmain()"
TRAY = UNKNOWN + "from tray_app.__main__ import main\nmain()"
SENTENCE = "You have no home folder: HOME is not set and the system does not know this user."
NO_HOMES = {"none": {}, "an empty one": {"HOME": ""}, "a relative one": {"HOME": "home"}}


def homeless(folder: Path, program: str, *words: str, **variables: str) -> "subprocess.Popen[str]":
    """Start a program for a user without a home."""
    kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        env={**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "TMPDIR": str(folder), **variables},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@LINUX
@pytest.mark.parametrize("variables", NO_HOMES.values(), ids=NO_HOMES)
@pytest.mark.parametrize("command", ["config", "doctor"])
def test_commands_work_without_a_home_and_say_so(tmp_path: Path, variables: dict[str, str], command: str) -> None:
    with homeless(tmp_path, SERVE, command, PROXY_REQUIRE_API_KEY="false", **variables) as process:
        said, _ = process.communicate(timeout=60)

    assert SENTENCE in said
    assert "Traceback" not in said
    assert process.returncode == (0 if command == "config" else 1)
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@LINUX
@pytest.mark.parametrize(
    ("program", "words"),
    [(SERVE, ("serve", "--demo", "--port", "0")), (TRAY, ("--tray", "none", "--demo", "--port", "0"))],
    ids=["serve", "tray"],
)
def test_the_programs_start_without_a_home_and_leave_nothing(
    tmp_path: Path, program: str, words: tuple[str, ...]
) -> None:
    with homeless(tmp_path, program, *words) as process:
        assert process.stdout is not None
        said = ""
        while "Stop with Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        [own] = [path for path in tmp_path.iterdir() if path.name != "home"]
        rights = stat.S_IMODE(own.stat().st_mode)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)

    assert SENTENCE in said
    assert "Base URL for your tools" in said
    assert rights == 0o700
    assert "Traceback" not in said + rest
    assert process.returncode == 0
    assert not own.exists()


@LINUX
@pytest.mark.parametrize("locale", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "de_DE.ISO-8859-1"}])
def test_letters_are_read_and_said_whatever_the_locale(tmp_path: Path, locale: dict[str, str]) -> None:
    home = tmp_path / "hömé"
    file = home / "config" / "openai-tray-proxy" / "settings.toml"
    file.parent.mkdir(parents=True)
    file.write_text("# für mich\nopenai_organization = 'größer'\n", encoding="utf-8")
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "XDG_CONFIG_HOME": str(file.parents[1]), "HOME": str(home)}

    with homeless(tmp_path, SERVE, "config", **plain, **locale) as process:
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 0, said
    assert r"gr\xf6\xdfer" in said
    assert str(file.relative_to(home)) in said
