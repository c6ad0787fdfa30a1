"""Install and uninstall, as commands: the launcher comes and goes, and at the end nothing of the program is left."""

import os
import pty
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.environment import ROOT
from fakes.program import Program, run_python
from proxy import paths
from proxy.cli.main import cli
from proxy.identity import APP_ID
from proxy.install import applications, autostart
from proxy.install.applications import write_bundle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the files are Linux's")


def run(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(cli, list(words), input=typed)


def of_ours(home: Path) -> list[Path]:
    """Return everything below a home that is named for the program."""
    return [path for path in home.rglob("*") if APP_ID in path.name]


def use_everything() -> None:
    """Leave every trace there can be."""
    assert run("install").exit_code == 0
    assert run("autostart", "on").exit_code == 0
    kept = paths.kept_requests_dir() / "proxy-1.json.gz"
    for file in (paths.settings_file(), paths.function_tools_file(), paths.state_file(), paths.log_file(), kept):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("# of the user\n")


def test_a_launcher_is_added_with_an_icon_that_is_there(empty_computer: Path) -> None:
    said = run("install")

    entry = applications.launcher_file()
    assert str(entry) in said.output
    assert f"Icon={APP_ID}\n" in entry.read_text()
    icons = [path for path in applications.icon_files() if path.is_file()]
    assert len(icons) == len(applications.icon_files()) > 5


def test_installing_twice_renews_the_launcher(empty_computer: Path) -> None:
    run("install")
    applications.launcher_file().write_text("[Desktop Entry]\nExec=/gone\n")

    assert run("install").exit_code == 0
    assert sys.executable in applications.launcher_file().read_text()


def test_the_launcher_is_valid(empty_computer: Path) -> None:
    if shutil.which("desktop-file-validate") is None:
        pytest.skip("desktop-file-validate is not installed")
    run("install")

    command = ["desktop-file-validate", applications.launcher_file()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_after_uninstall_nothing_of_the_program_is_left(empty_computer: Path) -> None:
    use_everything()
    assert len(of_ours(empty_computer)) > 5

    said = run("uninstall", "--yes")

    assert said.exit_code == 0, said.output
    assert of_ours(empty_computer) == []
    assert "Everything is removed." in said.output


def test_every_trace_is_named_before_it_goes(empty_computer: Path) -> None:
    use_everything()

    said = run("uninstall", "--yes").output

    for place in (applications.launcher_file(), paths.log_file().parent, paths.config_dir(), paths.state_file().parent):
        assert str(place) in said
    assert str(paths.kept_requests_dir()) in said
    assert "start at login: on" in said
    assert "keyring" in said


def test_what_is_the_users_own_may_stay(empty_computer: Path) -> None:
    use_everything()

    said = run("uninstall", "--yes", "--keep-data")

    assert said.exit_code == 0
    assert not applications.is_added()
    assert not autostart.status().is_on
    assert paths.settings_file().exists()
    assert paths.function_tools_file().exists()
    assert not paths.log_file().exists()


def test_uninstalling_twice_is_no_error(empty_computer: Path) -> None:
    use_everything()

    assert [run("uninstall", "--yes").exit_code for _ in range(2)] == [0, 0]


def test_nobody_to_ask_removes_nothing(empty_computer: Path) -> None:
    use_everything()

    said = run("uninstall")

    assert said.exit_code == 2
    assert "--yes" in said.output
    assert applications.is_added()


@pytest.mark.parametrize(
    ("words", "typed", "launcher", "settings"),
    [
        ((), "n\n", True, True),
        ((), "\n", True, True),
        ((), "y\n", False, False),
        (("--keep-data",), "n\n", True, True),
        (("--keep-data",), "y\n", False, True),
    ],
)
def test_the_user_is_asked_once_with_everything_named(
    empty_computer: Path, words: tuple[str, ...], typed: str, launcher: bool, settings: bool
) -> None:
    use_everything()
    named = [applications.launcher_file(), paths.log_file().parent, paths.config_dir(), paths.kept_requests_dir()]
    user, terminal = pty.openpty()
    try:
        os.write(user, typed.encode())
        command = [sys.executable, "-m", "proxy", "uninstall", *words]
        ended = subprocess.run(
            command, cwd=ROOT, stdin=terminal, capture_output=True, timeout=30, check=True, text=True
        )
    finally:
        os.close(user)
        os.close(terminal)

    assert applications.is_added() is launcher
    assert paths.settings_file().exists() is settings
    before, question, _after = ended.stdout.partition("[y/N]")
    assert ended.stdout.count(question) == 1
    assert all(str(place) in before for place in named)
    assert "keyring" in before


@pytest.mark.parametrize("place", ["config_dir", "launcher", "log"])
def test_what_a_link_leads_to_is_not_touched(empty_computer: Path, place: str) -> None:
    use_everything()
    linked = {
        "config_dir": paths.config_dir(),
        "launcher": applications.launcher_file(),
        "log": paths.log_file().parent,
    }[place]
    kept = empty_computer / "kept elsewhere"
    linked.rename(kept)
    linked.symlink_to(kept)

    assert run("uninstall", "--yes").exit_code == 0

    assert not linked.is_symlink()
    assert kept.exists()
    if kept.is_dir():
        assert list(kept.iterdir())


def test_what_cannot_be_removed_is_said_and_keeps_nothing_else_back(
    empty_computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_everything()
    folder = paths.config_dir()
    shutil.rmtree(folder)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/self")  # nothing can be removed there
    monkeypatch.setattr(paths, "config_dir", lambda: Path("/proc/self/fd"))

    said = run("uninstall", "--yes")

    assert said.exit_code == 1
    assert "The desktop could not be changed" in said.output
    assert "Traceback" not in said.output
    assert not applications.is_added()


def test_a_running_program_is_ended_first(empty_computer: Path) -> None:
    home = empty_computer
    with Program(home, "--port", "0", command=("-m", "tray_app"), DISPLAY="", DBUS_SESSION_BUS_ADDRESS="") as program:
        program.base_url  # noqa: B018  wait until it serves

        ended = run_python(home, "-m", "proxy", "uninstall", "--yes", DBUS_SESSION_BUS_ADDRESS="")

        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert program.ended() == 0
    assert of_ours(home) == []


def test_a_macos_application_starts_the_words_it_was_given(tmp_path: Path) -> None:
    folder = tmp_path / "The Program.app"

    write_bundle(folder, ["/bin/echo", "two words", "$HOME"])

    script = folder / "Contents/MacOS/start"
    assert subprocess.run([script], capture_output=True, text=True, check=True).stdout == "two words $HOME\n"
    assert (folder / "Contents/Resources/icon.icns").is_file()
    assert b"LSUIElement" in (folder / "Contents/Info.plist").read_bytes()


@pytest.mark.parametrize(("stamp", "script"), [(True, "./start.sh"), (False, "./start.sh"), (True, "")])
def test_the_venv_of_the_start_script_goes_last_and_no_other(empty_computer: Path, stamp: bool, script: str) -> None:
    checkout = empty_computer / "a checkout"
    shutil.copytree(ROOT / "proxy", checkout / "proxy", ignore=shutil.ignore_patterns("__pycache__"))
    venv = checkout / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=30)
    packages = next(venv.glob("lib/python*/site-packages"))
    (packages / "there.pth").write_text(f"{checkout}\n{sysconfig.get_path('purelib')}\n")
    if stamp:
        (venv / "start.stamp").write_text("app\n")

    ended = subprocess.run(
        [venv / "bin/python", "-I", "-m", "proxy", "uninstall", "--yes"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env={**os.environ, "START_COMMAND": script},
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    assert venv.exists() is not (stamp and bool(script))
    assert "Everything is removed." in ended.stdout
    assert (checkout / "proxy" / "identity.py").exists()
