"""The program built as one folder, which needs no Python: runs with `-m build` alone, for the build takes minutes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx2
import pytest

from desktop.tray_user import Tray
from fakes.environment import ROOT, environment
from fakes.ports import free_port
from waiting import wait_for

pytestmark = [pytest.mark.build, pytest.mark.timeout(900)]

MOST_BYTES = 120_000_000
START_LIMIT_S = 2.0
CHAT = {"model": "demo-chat", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="session")
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the program, with the same script as a release."""
    if "build" not in request.config.option.markexpr:
        pytest.skip("the program is built with -m build alone")
    target = tmp_path_factory.mktemp("built")
    subprocess.run(
        [ROOT / "launchers" / "build.sh", target], env=os.environ | {"PYTHON": sys.executable}, check=True, timeout=850
    )
    return target


def program(built: Path, name: str = "openai-tray-proxy") -> Path:
    return built / "openai-tray-proxy" / name


def answers(address: str) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(address, trust_env=False).status_code == 200
    return False


def run(built: Path, home: Path, *words: str) -> str:
    """Run the built command line as its user does, and return what it says."""
    env = environment(home, DBUS_SESSION_BUS_ADDRESS="", PYTHONPATH="")
    command = [program(built), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


def test_the_folder_is_small(built: Path) -> None:
    files = [path for path in program(built).parent.rglob("*") if path.is_file() and not path.is_symlink()]

    assert sum(path.stat().st_size for path in files) <= MOST_BYTES


def test_the_commands_work(built: Path, empty_computer: Path) -> None:
    assert run(built, empty_computer, "--version").startswith("OpenAI Tray Proxy, version")
    assert "OPENAI_BASE_URL" in run(built, empty_computer, "config")
    assert "current_time" in run(built, empty_computer, "tools", "list")


def test_it_comes_and_goes_without_a_trace(built: Path, empty_computer: Path) -> None:
    run(built, empty_computer, "install")
    assert f"on ({empty_computer}" in run(built, empty_computer, "autostart", "on")
    (entry,) = empty_computer.rglob("autostart/*.desktop")
    assert f'Exec="{program(built, "openai-tray-proxy-tray")}" "--at-login"\n' in entry.read_text()

    run(built, empty_computer, "uninstall", "--yes")

    assert list(empty_computer.rglob("*openai-tray-proxy*")) == []


def test_the_icon_is_on_the_panel_and_its_menu_works(built: Path, tray: Tray) -> None:
    port = free_port()
    env = environment(
        tray.home,
        PYTHONPATH="",
        PATH=f"{tray.home / 'bin'}:{tray.desktop.env['PATH']}",
        OPENED_LIST=str(tray.home / "opened"),
        BROWSER="",
        WAYLAND_DISPLAY="",
        DISPLAY=tray.desktop.env["DISPLAY"],
        DBUS_SESSION_BUS_ADDRESS=tray.desktop.env["DBUS_SESSION_BUS_ADDRESS"],
    )
    command = [program(built, "openai-tray-proxy-tray"), "--demo", "--port", str(port)]
    with subprocess.Popen(command, env=env) as process:
        try:
            item = tray.desktop.find_item(process.pid)
            tray.item = item
            tray.wait_for_status(f"Running on http://127.0.0.1:{port}/v1")
            tray.click("copy-url")
            tray.copied("copy-url", f"http://127.0.0.1:{port}/v1")
            tray.click("autostart")
            wait_for(lambda: list(tray.home.rglob("autostart/*.desktop")), "the start at login")
            tray.click("dashboard")
            assert "/ui/enter?ticket=" in tray.opened()
            tray.click("quit")
            assert process.wait(10) == 0
        finally:
            process.kill()


def test_it_starts_quickly_and_answers(built: Path, empty_computer: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    env = environment(empty_computer, DBUS_SESSION_BUS_ADDRESS="", PYTHONPATH="")
    run(built, empty_computer, "--version")  # what was never read before comes from the disk
    began = time.monotonic()
    with subprocess.Popen(
        [program(built), "serve", "--demo", "--port", str(port)], env=env, stdout=subprocess.DEVNULL
    ) as process:
        try:
            wait_for(lambda: answers(f"{address}/health"), "an answer", 20)
            took_s = time.monotonic() - began
            answer = httpx2.post(f"{address}/v1/chat/completions", json=CHAT, trust_env=False)
            assert answer.json()["object"] == "chat.completion"
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        finally:
            process.kill()
    assert took_s < START_LIMIT_S


def test_the_package_for_debian_holds_launcher_icon_and_program(built: Path, tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    (package,) = built.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True, timeout=120)

    launcher = (tmp_path / "usr/share/applications/openai-tray-proxy.desktop").read_text()
    assert 'Exec="/opt/openai-tray-proxy/openai-tray-proxy-tray"\n' in launcher
    assert (tmp_path / "usr/share/icons/hicolor/48x48/apps/openai-tray-proxy.png").is_file()
    version = [tmp_path / "opt/openai-tray-proxy/openai-tray-proxy", "--version"]
    assert b"OpenAI Tray Proxy" in subprocess.run(version, capture_output=True, check=True, timeout=60).stdout
