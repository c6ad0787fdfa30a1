"""Parts of a real desktop: an X server and a session bus of the test's own, and none but these."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from background import running

DESKTOP = ("BROWSER", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_CURRENT_DESKTOP")
BUS_CONFIGURATION = """<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <servicedir>{services}</servicedir>
  <policy context="default"><allow send_destination="*"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""


@pytest.fixture(autouse=True)
def no_desktop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the desktop the tests are started from."""
    for name in DESKTOP:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def x_server() -> Iterator[str]:
    """Run an X server without a screen and give its display."""
    # -noreset: else it starts anew, and refuses for a moment, whenever the last client has gone
    command = ("Xvfb", "-noreset", "-screen", "0", "640x480x24", "-nolisten", "tcp", "-displayfd", "{fd}")
    with running(*command) as (_, number):
        yield f":{number}"


@pytest.fixture
def x_display(x_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make the X server the test's display."""
    monkeypatch.setenv("DISPLAY", x_server)
    return x_server


@pytest.fixture
def bus_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run a session bus and give the folder that says which services it may start: none so far."""
    services = tmp_path / "services"
    services.mkdir()
    configuration = tmp_path / "bus.conf"
    configuration.write_text(BUS_CONFIGURATION.format(services=services))
    command = ("dbus-daemon", f"--config-file={configuration}", "--nofork", "--print-address={fd}")
    with running(*command) as (_, address):
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield services


@pytest.fixture
def serve(bus_services: Path) -> Iterator[Callable[..., Any]]:
    """Return a function that puts a service on the session bus, its methods' answers as keywords."""
    from fakes.bus_service import Answer, BusService  # noqa: PLC0415  needs jeepney, which only Linux has

    with ExitStack() as stack:

        def start(name: str, **methods: Answer) -> BusService:
            return stack.enter_context(BusService(name, methods))

        yield start
