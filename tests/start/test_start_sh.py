"""start.sh as its users meet it: real processes, on a project in miniature."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

from fakes.environment import ROOT
from waiting import wait_for

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="start.bat is the way in on Windows")


def words_told(output: str) -> list[str]:
    """Return what the miniature program says it is and was given."""
    return json.loads(output.splitlines()[0])


def has_package(project, name: str) -> bool:
    return any((project.root / ".venv").glob(f"lib/python*/site-packages/{name}.py"))


# --- the first start ---


def test_two_first_starts_at_once_install_once_and_both_start(project):
    (code, out, _), (other_code, other_out, _) = project.first_starts

    assert (code, other_code) == (0, 0)
    assert words_told(out) == words_told(other_out) == ["proxy", "serve", "--demo"]
    assert project.builds() == 1


def test_the_first_start_says_in_one_line_what_takes_so_long(project):
    said = {err for _, _, err in project.first_starts}

    installing = "Installing (first start only, about half a minute) …\n"
    assert installing in said
    assert said - {installing} <= {"start.sh: another start is installing; waiting for it\n", ""}


# --- the words ---


@pytest.mark.parametrize(
    ("typed", "started"),
    [
        ([], ["proxy", "serve"]),
        (["--port", "9000"], ["proxy", "serve", "--port", "9000"]),
        (["headless"], ["proxy", "serve"]),
        (["headless", "--port", "9000"], ["proxy", "serve", "--port", "9000"]),
        (["demo"], ["proxy", "serve", "--demo"]),
        (["demo", "--port", "9000"], ["proxy", "serve", "--demo", "--port", "9000"]),
        (["--help"], ["proxy", "--help"]),
        (["-h"], ["proxy", "-h"]),
        (["check", "--stream", "two words", "*"], ["proxy", "check", "--stream", "two words", "*"]),
    ],
)
def test_each_word_starts_its_part(project, typed, started):
    assert words_told(project.run(*typed).stdout) == started


def test_the_program_is_told_how_its_commands_are_typed(project):
    assert project.run("headless").stdout.splitlines()[2] == "./start.sh"


@pytest.mark.parametrize("flags", [[], ["--port", "9000"]])
def test_without_a_word_the_tray_starts_where_there_is_one(project, flags):
    tray = project.root / "tray_app" / "__main__.py"
    tray.write_text((project.root / "proxy" / "__main__.py").read_text().replace("'proxy'", "'tray'"))
    try:
        assert words_told(project.run(*flags).stdout) == ["tray", *flags]
        assert words_told(project.run("headless").stdout) == ["proxy", "serve"]
    finally:
        tray.unlink()


def test_the_word_test_adds_the_test_tools_once_and_runs_pytest_in_the_project(new_project):
    new_project.run("demo")

    first, again = new_project.run("test", "-k", "two words", cwd="/"), new_project.run("test")
    new_project.change_pyproject()
    update, after_update = new_project.run("headless"), new_project.run("test")

    assert first.stderr == "Updating the installation (the test tools are added) …\n"
    assert words_told(first.stdout) == ["pytest", "-k", "two words"]
    assert has_package(new_project, "testing")
    assert (words_told(again.stdout), again.stderr) == (["pytest"], "")
    assert update.stderr == "Updating the installation (the list of packages has changed) …\n"
    assert after_update.stderr == "", "the update forgot the test tools"


def test_the_test_tools_are_not_installed_for_other_words(project):
    assert has_package(project, "runtime")
    assert not has_package(project, "testing")


def test_the_exit_code_of_the_program_is_passed_on(project):
    assert project.run("exit", "7").returncode == 7


def test_a_request_to_end_reaches_the_program(project):
    with project.popen("wait") as process:
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(timeout=10) == 3


# --- from anywhere ---


def test_it_starts_through_symlinks_and_from_another_folder(project, tmp_path):
    (tmp_path / "far away").mkdir()
    (tmp_path / "near").symlink_to(os.path.relpath(project.start_sh, tmp_path))
    (tmp_path / "far away" / "start").symlink_to("../near")

    result = project.run("check", script=tmp_path / "far away" / "start", cwd="/")

    assert words_told(result.stdout) == ["proxy", "check"]
    assert result.stderr == ""


def test_it_starts_when_handed_to_sh_by_its_bare_name(project):
    done = subprocess.run(["sh", "start.sh", "check"], cwd=project.root, env=project.environment, capture_output=True)

    assert words_told(done.stdout.decode()) == ["proxy", "check"]


def test_the_program_runs_in_the_folder_it_was_started_from(project, tmp_path):
    project.run("write", "here.txt", cwd=tmp_path)

    assert (tmp_path / "here.txt").exists()


def test_it_starts_without_standard_streams(project, tmp_path):
    told = tmp_path / "told"
    closed = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", project.start_sh, "write", told]

    subprocess.run(closed, env=project.environment, check=True, timeout=20)

    assert words_told(told.read_text()) == ["proxy", "write", str(told)]


def test_a_strange_environment_does_not_reach_the_program(project, tmp_path):
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "__main__.py").write_text("print('the wrong proxy')")
    strange = {"PYTHONPATH": str(tmp_path), "PYTHONHOME": "/nowhere", "CDPATH": "/usr", "VIRTUAL_ENV": "/nowhere"}
    pip = {"PIP_USER": "1", "PIP_TARGET": "/nowhere", "PIP_REQUIRE_HASHES": "1", "PIP_CONSTRAINT": "/nowhere"}
    project.change_pyproject()

    result = project.run("check", env=strange | pip, cwd=tmp_path)

    assert result.stdout.splitlines()[1] == str(project.root / "proxy")


# --- the second start ---


def test_the_second_start_is_fast_and_silent(project):
    project.run("demo")
    builds = project.builds()

    began = time.monotonic()
    result = project.run("demo")

    assert time.monotonic() - began < 2
    assert (result.stderr, project.builds()) == ("", builds)


@pytest.mark.parametrize("file", ["pyproject.toml", "requirements.lock"])
def test_a_changed_list_of_packages_is_installed_at_the_next_start_and_only_then(project, file):
    project.run("demo")
    builds = project.builds()
    with (project.root / file).open("a") as changed:
        changed.write("# changed\n")

    changed, unchanged = project.run("demo"), project.run("demo")

    assert changed.stderr == "Updating the installation (the list of packages has changed) …\n"
    assert unchanged.stderr == ""
    assert project.builds() == builds + 1


# --- what can go wrong with .venv ---


def test_an_interrupted_installation_ends_at_once_and_is_begun_again_at_the_next_start(project):
    fifo = project.root / "hold_on"
    os.mkfifo(fifo)
    project.change_pyproject()
    try:
        with project.popen("demo") as process:
            assert fifo.read_text() == "building"
            os.killpg(process.pid, signal.SIGINT)
            _, err = process.communicate(timeout=10)
    finally:
        fifo.unlink()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "start.sh: stopped; the next start begins the installation again"

    result = project.run("demo")

    assert result.stderr.startswith("Installing")
    assert words_told(result.stdout) == ["proxy", "serve", "--demo"]


def test_a_venv_whose_python_has_vanished_is_made_anew(project):
    for python in (project.root / ".venv" / "bin").glob("python*"):
        python.unlink()
        python.symlink_to("/nowhere/python3")

    result = project.run("demo")

    assert (result.returncode, words_told(result.stdout)) == (0, ["proxy", "serve", "--demo"])


def test_an_activated_venv_is_made_anew_by_the_python_below_it(project, fake_python, quick_python, tmp_path):
    below = tmp_path / "below" / "bin" / f"python3.{sys.version_info.minor}"
    below.parent.mkdir(parents=True)
    below.symlink_to(quick_python)
    inside = project.root / ".venv" / "activated"
    inside.mkdir()
    fake_python(f'sys.prefix, sys.base_prefix = "{inside.parent}", "{below.parents[1]}"', folder=inside)
    project.stamp.unlink()

    result = project.run("demo", env={"PATH": f"{inside}:{project.environment['PATH']}", "PYTHON": ""})

    assert (result.returncode, words_told(result.stdout)) == (0, ["proxy", "serve", "--demo"])
    assert not inside.exists()


def test_a_copied_project_does_not_run_the_code_of_the_original(project, new_project):
    shutil.copytree(project.root / ".venv", new_project.root / ".venv", symlinks=True)

    result = new_project.run("demo")

    assert result.stdout.splitlines()[1] == str(new_project.root / "proxy")


def test_a_failed_update_shows_what_pip_said_and_costs_nothing_when_the_change_is_taken_back(project):
    project.run("demo")
    lock = project.root / "requirements.lock"
    good = lock.read_text()
    try:
        lock.write_text(good + "testing==1 --hash=sha256:" + 64 * "0" + "\n")
        failed, failed_again = project.run("demo"), project.run("demo")
    finally:
        lock.write_text(good)
    restored = project.run("demo")

    log = project.root / ".venv" / "install.log"
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "DO NOT MATCH THE HASHES" in failed.stderr
    assert failed.stderr.splitlines()[-1] == f"start.sh: the installation failed; what pip said stands in {log}"
    assert failed_again.stderr == failed.stderr
    assert (restored.returncode, restored.stderr) == (0, "")


# --- what can be missing ---


def said_in_one_line(result) -> str:
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_a_missing_python_is_said_in_one_line(new_project, poor_path):
    result = new_project.run(env={"PATH": str(poor_path), "PYTHON": ""})

    assert "Python 3.10 or newer is needed, and no Python was found" in said_in_one_line(result)


def test_an_old_python_is_said_in_one_line(new_project, poor_path, fake_python):
    fake_python("sys.version_info = (3, 8, 18)")

    result = new_project.run(env={"PATH": str(poor_path), "PYTHON": ""})

    assert "Python 3.10 or newer is needed, and here is only 3.8" in said_in_one_line(result)


def test_a_python_without_ensurepip_names_the_package_that_is_missing(new_project, poor_path, fake_python):
    fake_python('sys.modules["ensurepip"] = None')

    result = new_project.run(env={"PATH": str(poor_path), "PYTHON": ""})

    assert "sudo apt install python3-venv" in said_in_one_line(result)


def test_a_venv_module_that_fails_for_want_of_ensurepip_names_the_package_too(new_project, poor_path, fake_python):
    fake_python(venv="echo 'not created because ensurepip is not available'; exit 1")

    result = new_project.run(env={"PATH": str(poor_path), "PYTHON": ""})

    assert result.returncode == 1
    assert result.stderr.count("\n") == 2
    assert "sudo apt install python3-venv" in result.stderr.splitlines()[1]


def test_a_venv_module_that_fails_otherwise_is_quoted(new_project, poor_path, fake_python):
    fake_python(venv="echo 'no space left on device'; exit 1")

    result = new_project.run(env={"PATH": str(poor_path), "PYTHON": ""})

    assert result.returncode == 1
    assert "no space left on device" in result.stderr


def test_the_first_python_that_is_new_enough_is_taken(new_project, poor_path, fake_python):
    fake_python("sys.version_info = (3, 8, 18)")
    says = poor_path / "python3.12"
    says.write_text("#!/bin/sh\necho good 3.12 /nowhere/python3.12\n")
    says.chmod(0o755)

    result = new_project.run(env={"PATH": str(poor_path), "PYTHON": "/nowhere/python3"})

    assert "here is only 3.8" in said_in_one_line(result)


def test_a_part_of_the_project_that_is_missing_is_named(new_project):
    (new_project.root / "requirements.lock").unlink()

    assert "requirements.lock" in said_in_one_line(new_project.run())


def test_without_a_terminal_the_failure_is_shown_on_the_desktop(new_project, poor_path, tmp_path):
    shown = tmp_path / "shown"
    os.mkfifo(shown)
    zenity = poor_path / "zenity"
    zenity.write_text(f"#!/bin/sh\necho \"$@\" >'{shown}'\n")
    zenity.chmod(0o755)

    result = new_project.run(env={"PATH": str(poor_path), "PYTHON": "", "DISPLAY": ":99"})

    assert result.returncode == 1
    assert "Python 3.10 or newer is needed" in shown.read_text()


# --- how far it is ---

# A zenity that writes down what it was told, and shows nothing.
ZENITY = """#!/bin/sh
for word; do
    [ "$word" = --progress ] && cat >'{folder}/progress'
    [ "$word" = --error ] && echo "$@" >'{folder}/error'
done
exit 0
"""


@pytest.fixture
def desktop(new_project, tmp_path) -> dict[str, str]:
    """Return the variables of a desktop whose zenity writes its words into files."""
    zenity = tmp_path / "desktop" / "zenity"
    zenity.parent.mkdir()
    zenity.write_text(ZENITY.format(folder=tmp_path))
    zenity.chmod(0o755)
    return {"PATH": f"{zenity.parent}:/usr/bin:/bin", "DISPLAY": ":99"}


def test_a_terminal_shows_how_far_the_installation_is(new_project):
    code, seen = run_in_terminal(new_project)

    assert code == 0
    assert "of 1 packages" in seen
    assert '["proxy", "serve", "--demo"]' in seen
    assert not (new_project.root / ".venv" / "install-details.log").exists()


def test_without_a_terminal_a_window_shows_it(new_project, desktop, tmp_path):
    result = new_project.run("demo", env=desktop)

    steps = [int(line) for line in (tmp_path / "progress").read_text().split()]
    assert (result.returncode, words_told(result.stdout)) == (0, ["proxy", "serve", "--demo"])
    assert steps == sorted(steps)
    assert steps[-1] == 100
    assert not (tmp_path / "error").exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda lock: lock + "missing==1 --hash=sha256:" + 64 * "0" + "\n", "missing==1"),
        (lambda lock: lock[: lock.index("sha256:")] + "sha256:" + 64 * "0" + "\n", "HASHES"),
        (lambda lock: "no requirement at all ==\n", "no requirement at all"),
    ],
    ids=["nowhere", "hash", "broken"],
)
def test_the_reason_of_a_failure_is_shown_and_what_to_do(new_project, desktop, tmp_path, change, reason):
    lock = new_project.root / "requirements.lock"
    lock.write_text(change(lock.read_text()))

    result = new_project.run("demo", env=desktop)

    told = wait_for(lambda: (tmp_path / "error").exists() and (tmp_path / "error").read_text(), "a window")
    assert result.returncode == 1
    assert reason in told
    assert "Start it again to try once more" in told
    assert str(new_project.root / ".venv" / "install.log") in told


def test_the_failure_in_a_terminal_stands_below_what_pip_said(new_project):
    (new_project.root / "requirements.lock").write_text("missing==1 --hash=sha256:" + 64 * "0" + "\n")
    code, seen = run_in_terminal(new_project)

    assert code == 1
    assert seen.index("No matching distribution found") < seen.index("what pip said stands above")


def run_in_terminal(project):
    """Run `start.sh demo` in a terminal; return its exit code and what was to be seen."""
    user, terminal = os.openpty()
    with subprocess.Popen(
        [project.start_sh, "demo"], env=project.environment, stdin=terminal, stderr=terminal, stdout=terminal
    ) as process:
        os.close(terminal)
        seen = read_all(user)
    return process.returncode, seen


def read_all(terminal: int) -> str:
    """Return what a terminal shows until everybody has left it."""
    seen = b""
    with suppress(OSError):  # how Linux says that nobody is there any more
        while part := os.read(terminal, 65536):
            seen += part
    os.close(terminal)
    return seen.decode()


def test_nothing_is_updated_to_be_removed(new_project):
    new_project.run("demo")
    new_project.change_pyproject()

    result = new_project.run("uninstall", "--yes")

    assert (words_told(result.stdout), result.stderr) == (["proxy", "uninstall", "--yes"], "")


# --- the twin ---


def test_start_bat_knows_the_same_words_and_has_the_line_ends_of_windows():
    script = (ROOT / "start.bat").read_bytes()

    assert all(f":{word}\r\n".encode() in script for word in ("headless", "demo", "test", "app"))
    assert script.count(b"\n") == script.count(b"\r\n")
    script.decode("ascii")
