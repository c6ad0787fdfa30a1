import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("only Linux has a session bus", allow_module_level=True)

from fakes.bus_service import BusService
from tray_app.notify import notify

NAME = "org.freedesktop.Notifications"
PLAIN = ("as", (["body", "actions"],))
MARKUP = ("as", (["body", "body-markup"],))
SHOWN = ("u", (7,))


def shown(service: BusService) -> tuple:
    (body,) = [body for method, body in service.calls if method == "Notify"]
    return body


@pytest.fixture
def hanging_bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the address of a bus that lets everybody in and then says nothing."""
    address = tmp_path / "bus"
    connections = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()

        def let_in() -> None:
            connection, _ = listener.accept()
            connections.append(connection)
            while b"BEGIN" not in (line := connection.recv(1024)):
                if line.strip(b"\0"):
                    connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")

        thread = threading.Thread(target=let_in)
        thread.start()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={address}")
        yield
        thread.join()
        for connection in connections:
            connection.close()


def test_a_notification_is_shown(serve):
    service = serve(NAME, GetCapabilities=PLAIN, Notify=SHOWN)

    assert notify("The proxy runs", "at http://127.0.0.1:8080/v1")

    application, replaces, icon, title, text, actions, hints, timeout = shown(service)
    assert (application, title, text) == ("OpenAI Tray Proxy", "The proxy runs", "at http://127.0.0.1:8080/v1")
    assert (replaces, actions, hints, timeout) == (0, [], {"desktop-entry": ("s", "openai-tray-proxy")}, -1)
    assert icon.startswith("file://")
    assert icon.endswith("icon-128.png")


def test_what_looks_like_markup_is_shown_as_it_is(serve):
    service = serve(NAME, GetCapabilities=MARKUP, Notify=SHOWN)

    notify("<b>", 'R&D <b> "x"')

    assert shown(service)[3:5] == ("<b>", 'R&amp;D &lt;b&gt; "x"')


def test_a_service_without_markup_gets_the_plain_text(serve):
    service = serve(NAME, GetCapabilities=PLAIN, Notify=SHOWN)

    notify("title", "R&D <b>")

    assert shown(service)[4] == "R&D <b>"


def test_a_service_that_refuses_has_shown_nothing(serve):
    serve(NAME, GetCapabilities=PLAIN)

    assert not notify("title", "text")


def test_a_service_that_is_silent_holds_us_up_for_a_second_at_most(serve):
    serve(NAME, GetCapabilities=BusService.SILENCE)
    began = time.monotonic()

    assert not notify("title", "text")

    assert time.monotonic() - began < 1.3


@pytest.mark.usefixtures("hanging_bus")
def test_a_bus_that_hangs_holds_us_up_for_a_second_at_most():
    began = time.monotonic()

    assert not notify("title", "text")

    assert time.monotonic() - began < 1.3
    assert "bus-deadline" not in {thread.name for thread in threading.enumerate()}


def test_a_service_that_does_not_run_is_not_started(bus_services, tmp_path):
    started = tmp_path / "started"
    service = bus_services / f"{NAME}.service"
    service.write_text(f"[D-BUS Service]\nName={NAME}\nExec=/usr/bin/touch {started}\n")
    began = time.monotonic()

    assert not notify("title", "text")

    assert time.monotonic() - began < 0.9
    assert not started.exists()


@pytest.mark.parametrize("address", ["", "unix:path=/nowhere", "tcp:host=127.0.0.1,port=9", "nonsense", "unix:"])
def test_without_a_session_bus_nothing_is_shown(monkeypatch, address):
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)

    assert not notify("title", "text")


def test_without_the_address_of_a_session_bus_nothing_is_shown():
    assert not notify("title", "text")


@pytest.mark.parametrize("text", ["nul \0", "half a pair \ud83d"])
def test_a_text_the_bus_cannot_carry_is_not_shown(serve, text):
    serve(NAME, GetCapabilities=PLAIN, Notify=SHOWN)

    assert not notify("title", text)
